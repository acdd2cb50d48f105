"""--pidfile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from windlass.cli.pidfile import pidfile
from windlass.errors import ConfigurationError


def test_file_holds_the_pid_while_it_runs_and_is_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "w.pid"
    with pidfile(str(path)):
        assert int(path.read_text()) == os.getpid()

    assert not path.exists()


def test_live_holder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pid"
    path.write_text(str(os.getppid()))
    with pytest.raises(ConfigurationError, match="holds it and is alive"), pidfile(str(path)):
        pass

    assert path.exists()


@pytest.mark.parametrize(
    "content", ["", "garbage", "999999999", "-1", pytest.param(str(os.getpid()), id="our own")]
)
def test_file_left_behind_is_taken_over(tmp_path: Path, content: str) -> None:
    path = tmp_path / "w.pid"
    path.write_text(content)
    with pidfile(str(path)):
        assert int(path.read_text()) == os.getpid()


def test_folder_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    missing = tmp_path / "no" / "w.pid"
    with pytest.raises(ConfigurationError, match="cannot be written"), pidfile(str(missing)):
        pass


def test_without_a_path_nothing_happens() -> None:
    with pidfile(None):
        pass
