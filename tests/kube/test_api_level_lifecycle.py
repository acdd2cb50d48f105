"""The light level starts quickly, alone, beside others, and never outlives its owner."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from windlass_cluster.commands import wait_until
from windlass_cluster.errors import ClusterError
from windlass_cluster.machine import is_quick
from windlass_cluster.native.api_level import ApiLevel

pytestmark = pytest.mark.kube

# What the whole design hangs on: a person must not mind running these tests.
_UP_WARM_S = 10.0


@pytest.fixture
def level(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ApiLevel]:
    """A level of the test's own, its state in a folder of the test's own."""
    reason = ApiLevel.why_not()
    if reason is not None:
        pytest.skip(reason)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made = ApiLevel(f"lifecycle-{os.getpid()}")
    yield made
    made.down()


def _processes_of(folder: Path) -> list[str]:
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = command.read_text().replace("\0", " ")
        except OSError:
            continue
        if str(folder) in text:
            found.append(text)
    return found


def test_warm_start_takes_less_than_ten_seconds(level: ApiLevel) -> None:
    started = time.monotonic()
    access = level.up()
    took_s = time.monotonic() - started

    assert access.kubectl("get", "--raw=/readyz") == "ok"
    assert is_quick(took_s, limit_s=_UP_WARM_S)


def test_up_twice_is_the_same_server(level: ApiLevel) -> None:
    level.up().kubectl("create", "namespace", "kept")

    assert "kept" in level.up().kubectl("get", "namespace", "kept")


def test_down_leaves_no_process_and_no_file(level: ApiLevel, tmp_path: Path) -> None:
    level.up()
    # The server answers; that the last of its companions has been started is a moment later.
    wait_until(lambda: len(_processes_of(tmp_path)) >= 4, "all its processes", timeout_s=30)

    level.down()

    assert _processes_of(tmp_path) == []
    assert [one for one in tmp_path.rglob("*") if one.is_file()] == []
    with pytest.raises(ClusterError, match="is not up"):
        level.access()


def test_it_ends_with_the_process_that_owns_it(level: ApiLevel, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as owner:
        level.up(owner_pid=owner.pid)
        owner.kill()

    wait_until(lambda: _processes_of(tmp_path) == [], "its processes to end", timeout_s=30)


def test_it_comes_up_again_after_its_processes_were_killed(level: ApiLevel, tmp_path: Path) -> None:
    level.up()
    supervisor = level.supervisor.outer_pid()
    assert supervisor is not None
    subprocess.run(["kill", "-9", str(supervisor)], check=True)
    wait_until(lambda: _processes_of(tmp_path) == [], "its processes to end", timeout_s=30)

    assert level.up().kubectl("get", "--raw=/readyz") == "ok"
