"""Images for the native provider: made by buildah, handed to containerd, only what changed.

Everything is made from Debian packages and PyPI; no image registry is asked. buildah runs in a
mount namespace of its own, so that what its storage mounts is gone when it ends. An image goes from
buildah's storage to an OCI layout (which keeps the layers it has) and from there to each node, as
an archive without the layers that the node has.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from windlass_cluster import paths
from windlass_cluster.commands import run, run_logged
from windlass_cluster.errors import ClusterError
from windlass_cluster.native import debian
from windlass_cluster.native.locks import locked
from windlass_cluster.native.node import PAUSE_IMAGE, Node
from windlass_cluster.native.oci import Layout
from windlass_cluster.progress import step

SUITE = "bookworm"
_MIRROR = "http://deb.debian.org/debian"
_BASE_PACKAGES = "python3,python3-venv,ca-certificates"
# Documentation, translations and package lists: two thirds of the files, none of the use.
_BASE_WITHOUT = (
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "usr/share/lintian",
)
PYTHON_IMAGE = "windlass.test/python"
REDIS_IMAGE = "windlass.test/redis"
_CERTIFICATES = Path("/etc/ssl/certs")
_PIP_SETTINGS = ("PIP_CERT", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What to build: a Dockerfile with its context, and the image's name without a tag."""

    name: str
    context: Path
    file: Path
    target: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)


def layout() -> Layout:
    """Every image this machine has made, ready to be handed to a node."""
    return Layout(paths.cache_dir() / "images")


def python_image() -> str:
    """The reference of the Python base image, made once per machine and Debian suite."""
    debian.ensure(debian.MAKE_IMAGES)
    reference = f"{PYTHON_IMAGE}:{_base_key()}"
    with locked(paths.cache_dir() / "locks" / "base-image"):
        if not _is_stored(reference):
            archive = _base_archive()
            with step("making the Python base image", usually="20 s"):
                _commit_base(archive, reference)
    return reference


def redis_image() -> str:
    """The reference of the Redis image, made once per base image and Dockerfile."""
    folder = paths.IMAGES / "redis"
    arguments = {"BASE_IMAGE": python_image()}
    with step("making the Redis image", usually="10 s, once"):
        return build(
            Build(
                name=REDIS_IMAGE,
                context=folder,
                file=folder / "Dockerfile",
                arguments=arguments,
            )
        )


def build(what: Build) -> str:
    """Builds an image with buildah, using the layers of earlier builds.

    Returns:
        A reference whose tag is taken from the image's content: another image is another name.
    """
    debian.ensure(debian.MAKE_IMAGES)
    label = what.name.rpartition("/")[2]
    identity = paths.cache_dir() / "logs" / f"image-{label}.{os.getpid()}.id"
    argv = [
        *_buildah("bud"),
        "--isolation=chroot",
        "--network=host",
        "--layers",
        "--pull=never",
        "--format=oci",
        f"--file={what.file}",
        f"--iidfile={identity}",
    ]
    if what.target:
        argv.append(f"--target={what.target}")
    for name, value in what.arguments.items():
        argv.append(f"--build-arg={name}={value}")
    argv += [*_reaching_pypi(), str(what.context)]
    run_logged(argv, paths.cache_dir() / "logs" / f"image-{label}.log")
    image_id = identity.read_text().strip().removeprefix("sha256:")
    identity.unlink()
    reference = f"{what.name}:{image_id[:12]}"
    run([*_buildah("tag"), image_id, reference])
    return reference


def export(reference: str) -> str:
    """Copies an image from buildah's storage to the layout; returns its manifest's digest.

    Raises:
        ClusterError: There is no such image.
    """
    where = layout()
    where.folder.mkdir(parents=True, exist_ok=True)
    with locked(paths.cache_dir() / "locks" / "layout"):
        if not _is_stored(reference):
            raise ClusterError(f"There is no image {reference!r}. Build it first.")
        target = f"oci:{where.folder}:{reference}"
        run([*_buildah("push"), "--quiet", reference, target])
        return where.manifest_digest(reference)


def load(node: Node, *, manifest: str, reference: str) -> int:
    """Hands an image of the layout to a node; returns how many bytes had to travel."""
    where = layout()
    have = set(run([*node.ctr(), "content", "ls", "--quiet"]).split())
    # The manifest always goes: it is what the import starts from.
    have.discard(manifest)
    argv = [*node.ctr(), "images", "import", "--local", "-"]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as importing:
        assert importing.stdin is not None
        assert importing.stderr is not None
        try:
            sent = where.write_archive(
                importing.stdin, manifest=manifest, reference=reference, without=have
            )
            importing.stdin.close()
        except BrokenPipeError:
            sent = []
        said = importing.stderr.read().decode(errors="replace")
    if importing.returncode != 0:
        raise ClusterError(f"containerd on {node.name} refused image {reference}: {said}")
    return sum(where.size_bytes(digest) for digest in sent)


def pause_manifest() -> str:
    """Makes the image every pod's first container is made of; returns its manifest's digest."""
    source = paths.IMAGES / "pause" / "pause.c"
    key = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    folder = paths.cache_dir() / "bin" / f"pause-{key}"
    program = folder / "pause"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"pause.partial-{os.getpid()}"
        run(["gcc", "-Os", "-static", "-s", "-o", str(partial), str(source)])
        partial.rename(program)
    return layout().write_single_file_image(program)


def load_pause(node: Node) -> None:
    """Hands the pause image to a node."""
    load(node, manifest=pause_manifest(), reference=PAUSE_IMAGE)


def _base_key() -> str:
    facts = f"{SUITE} {_BASE_PACKAGES} {_BASE_WITHOUT}"
    return f"{SUITE}-{hashlib.sha256(facts.encode()).hexdigest()[:8]}"


def _base_archive() -> Path:
    """A Debian with Python as one tar file, kept in the cache."""
    archive = paths.cache_dir() / f"base-{_base_key()}.tar"
    if archive.exists():
        return archive
    root = paths.cache_dir() / f"base.partial-{os.getpid()}"
    shutil.rmtree(root, ignore_errors=True)
    log = paths.cache_dir() / "logs" / "base-image.log"
    argv = ["unshare", "--mount", "--", "debootstrap", "--variant=minbase"]
    argv += [f"--include={_BASE_PACKAGES}", SUITE, str(root), _MIRROR]
    try:
        with step("installing a Debian with Python for images", usually="2 to 5 minutes, once"):
            run_logged(argv, log)
            excluded = [f"--exclude=./{path}/*" for path in _BASE_WITHOUT]
            partial = archive.with_suffix(f".partial-{os.getpid()}")
            run(["tar", "-C", str(root), *excluded, "--numeric-owner", "-cf", str(partial), "."])
            partial.rename(archive)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return archive


def _commit_base(archive: Path, reference: str) -> None:
    container = run([*_buildah("from"), "scratch"]).strip()
    try:
        run([*_buildah("add"), "--quiet", container, str(archive), "/"])
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        run([*_buildah("config"), f"--env=PATH={path}", "--cmd=python3", container])
        run([*_buildah("commit"), "--quiet", container, reference])
    finally:
        run([*_buildah("rm"), container])


def _is_stored(reference: str) -> bool:
    listed = run([*_buildah("images"), "--format={{.Name}}:{{.Tag}}", "--noheading"])
    return reference in listed.split()


def _buildah(verb: str) -> list[str]:
    """buildah with a storage of our own, its mounts seen by nobody else."""
    storage = paths.cache_dir() / "buildah"
    runtime = storage / "run"
    return [
        "unshare", "--mount", "--", "buildah", f"--root={storage / 'root'}",
        f"--runroot={runtime}", "--storage-driver=overlay", verb,
    ]  # fmt: skip


def _reaching_pypi() -> list[str]:
    """What pip inside a build needs of this machine: its certificates and its settings."""
    argv = []
    if _CERTIFICATES.is_dir():
        argv.append(f"--volume={_CERTIFICATES}:{_CERTIFICATES}:ro")
    settings = {name: os.environ[name] for name in _PIP_SETTINGS if os.environ.get(name)}
    return [*argv, *(f"--build-arg={name}={value}" for name, value in settings.items())]
