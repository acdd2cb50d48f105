"""A supervisor's pid is only believed together with when it started, in which boot."""

import json
import os
import sys
from pathlib import Path

import pytest

from windlass_cluster.commands import wait_until
from windlass_cluster.native.supervisors import Plan, Process, Supervisor


@pytest.fixture
def supervisor(tmp_path: Path) -> Supervisor:
    return Supervisor(tmp_path)


def _record(supervisor: Supervisor, since: str) -> None:
    record = {"pid": os.getpid(), "since": since, "wrapped": False}
    (supervisor.folder / "supervisor.json").write_text(json.dumps(record))


def test_pid_of_an_earlier_boot_is_not_ours(supervisor: Supervisor) -> None:
    """After a reboot another process may have the pid, even with the same start time."""
    ticks = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()

    _record(supervisor, f"{boot}:{ticks}")
    assert supervisor.outer_pid() == os.getpid()

    _record(supervisor, f"another-boot:{ticks}")
    assert supervisor.outer_pid() is None


def test_pid_that_another_process_got_is_not_ours(supervisor: Supervisor) -> None:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    _record(supervisor, f"{boot}:1")

    assert supervisor.outer_pid() is None
    supervisor.stop()
    assert not (supervisor.folder / "supervisor.json").exists()


def test_program_that_ends_is_started_again_and_stop_ends_all(supervisor: Supervisor) -> None:
    flaky = Process(name="flaky", argv=["true"])
    steady = Process(name="steady", argv=[sys.executable, "-c", "import time; time.sleep(600)"])
    supervisor.start(Plan(processes=[steady, flaky]))
    supervisor.open_gate()

    def was_restarted() -> bool:
        facts = supervisor.status()
        return bool(facts.get("flaky", {}).get("starts", 0) >= 2 and facts["steady"]["running"])

    try:
        wait_until(was_restarted, "the second start", timeout_s=20)
        assert supervisor.status()["flaky"]["last_code"] == 0
    finally:
        supervisor.stop()
    assert supervisor.outer_pid() is None


def test_programs_wait_for_the_gate(supervisor: Supervisor) -> None:
    one = Process(name="one", argv=["true"])
    supervisor.start(Plan(processes=[one]))
    try:
        assert supervisor.status() == {}
        supervisor.open_gate()
        wait_until(lambda: "one" in supervisor.status(), "the first start", timeout_s=20)
    finally:
        supervisor.stop()
