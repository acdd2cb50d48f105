"""Images as files: what is written is what a containerd reads, and only what it lacks."""

import io
import json
import tarfile
from pathlib import Path

from windlass_cluster.native.oci import Layout


def _archive(layout: Layout, manifest: str, *, without: set[str]) -> dict[str, bytes]:
    """The files of an archive, by name."""
    out = io.BytesIO()
    layout.write_archive(out, manifest=manifest, reference="windlass.test/x:1", without=without)
    out.seek(0)
    files = {}
    with tarfile.open(fileobj=out) as archive:
        for entry in archive:
            content = archive.extractfile(entry)
            assert content is not None
            files[entry.name] = content.read()
    return files


def _image(tmp_path: Path) -> tuple[Layout, str]:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF")
    layout = Layout(tmp_path / "layout")
    return layout, layout.write_single_file_image(program)


def test_archive_of_an_image_names_it_and_holds_every_blob(tmp_path: Path) -> None:
    layout, manifest = _image(tmp_path)

    files = _archive(layout, manifest, without=set())

    (entry,) = json.loads(files["index.json"])["manifests"]
    assert entry["annotations"] == {"io.containerd.image.name": "windlass.test/x:1"}
    blobs = {f"blobs/{digest.replace(':', '/')}" for digest in layout.blobs_of(manifest)}
    assert set(files) == {"oci-layout", "index.json", *blobs}


def test_layers_the_receiver_has_do_not_travel(tmp_path: Path) -> None:
    layout, manifest = _image(tmp_path)
    layer = layout.blobs_of(manifest)[-1]

    files = _archive(layout, manifest, without={layer})

    assert f"blobs/{layer.replace(':', '/')}" not in files
    assert f"blobs/{manifest.replace(':', '/')}" in files


def test_same_program_gives_the_same_image(tmp_path: Path) -> None:
    _, first = _image(tmp_path)
    _, second = _image(tmp_path)

    assert first == second


def test_layer_holds_the_program_and_the_image_starts_it(tmp_path: Path) -> None:
    layout, manifest = _image(tmp_path)
    files = _archive(layout, manifest, without=set())
    _, config, layer = layout.blobs_of(manifest)

    assert json.loads(files[f"blobs/{config.replace(':', '/')}"])["config"]["Entrypoint"] == [
        "/program"
    ]
    with tarfile.open(fileobj=io.BytesIO(files[f"blobs/{layer.replace(':', '/')}"])) as content:
        (entry,) = content.getmembers()
        assert (entry.name, entry.mode) == ("program", 0o755)
