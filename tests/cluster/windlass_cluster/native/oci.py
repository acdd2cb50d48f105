"""Container images as files: the OCI image layout, read and written without a container engine.

Two things are needed of it: an image made of one file (pause), and an archive of an image with
only those layers that the receiving node does not have yet.
"""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_NAME = "io.containerd.image.name"


@dataclass(frozen=True, slots=True)
class Layout:
    """A folder in OCI image layout; images in it share their layers."""

    folder: Path

    def manifest_digest(self, tag: str) -> str:
        """The digest of the manifest that carries a tag.

        Raises:
            KeyError: No image has it.
        """
        try:
            index = json.loads((self.folder / "index.json").read_text())
        except FileNotFoundError:
            raise KeyError(tag) from None
        for entry in index["manifests"]:
            if entry.get("annotations", {}).get("org.opencontainers.image.ref.name") == tag:
                return str(entry["digest"])
        raise KeyError(tag)

    def blobs_of(self, manifest: str) -> list[str]:
        """The digests an image consists of: manifest, config, layers."""
        content = json.loads(self._blob(manifest).read_text())
        return [
            manifest,
            content["config"]["digest"],
            *(layer["digest"] for layer in content["layers"]),
        ]

    def size_bytes(self, digest: str) -> int:
        """How large a blob is."""
        return self._blob(digest).stat().st_size

    def write_archive(
        self, out: IO[bytes], *, manifest: str, reference: str, without: Container[str]
    ) -> list[str]:
        """Writes an image as a tar archive that containerd imports.

        Args:
            out: Where the archive goes, as a stream.
            manifest: Digest of the image's manifest.
            reference: The name the image gets.
            without: Digests the receiver has already.

        Returns:
            The digests that were written.
        """
        descriptor = self._descriptor(_MANIFEST, manifest) | {"annotations": {_NAME: reference}}
        index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [descriptor]}
        sent = [digest for digest in self.blobs_of(manifest) if digest not in without]
        with tarfile.open(fileobj=out, mode="w|") as archive:
            _add_bytes(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
            for digest in sent:
                archive.add(self._blob(digest), f"blobs/sha256/{digest.removeprefix('sha256:')}")
            _add_bytes(archive, "index.json", json.dumps(index).encode())
        return sent

    def write_single_file_image(self, program: Path) -> str:
        """Writes an image whose only file is a static program; returns its manifest's digest."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as layer:
            _add_bytes(layer, program.name, program.read_bytes(), mode=0o755)
        layer_digest = self._put(buffer.getvalue())
        config: dict[str, Any] = {
            "architecture": _architecture(),
            "os": "linux",
            "config": {"Entrypoint": [f"/{program.name}"], "User": "65535:65535"},
            "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
        }
        config_digest = self._put(json.dumps(config).encode())
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": self._descriptor(_CONFIG, config_digest),
            "layers": [self._descriptor(_LAYER, layer_digest)],
        }
        return self._put(json.dumps(manifest).encode())

    def _descriptor(self, media_type: str, digest: str) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": digest, "size": self.size_bytes(digest)}

    def _blob(self, digest: str) -> Path:
        return self.folder / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def _put(self, content: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        path = self._blob(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return digest


def _add_bytes(archive: tarfile.TarFile, name: str, content: bytes, *, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))


def _architecture() -> str:
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
