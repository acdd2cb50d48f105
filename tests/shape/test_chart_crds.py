"""The chart carries copies of crds/, as Helm reads only its own folder: `make crds` makes them."""

from pathlib import Path

import pytest

from repository import ROOT

SOURCE, COPIES = ROOT / "crds", ROOT / "charts" / "windlass" / "files" / "crds"


def test_chart_has_every_crd_and_no_other() -> None:
    assert [one.name for one in sorted(COPIES.iterdir())] == [
        one.name for one in sorted(SOURCE.glob("*.yaml"))
    ]


@pytest.mark.parametrize("file", sorted(SOURCE.glob("*.yaml")), ids=lambda file: file.name)
def test_chart_copy_is_the_same(file: Path) -> None:
    same = (COPIES / file.name).read_text() == file.read_text()

    assert same, "crds/ changed: run `make crds`"
