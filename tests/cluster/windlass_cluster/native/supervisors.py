"""Starts, finds and ends supervisors (`supervise.py`) from the outside.

A supervisor is known by its pid together with its start time, so a pid that another process got
after a crash or a reboot is never taken for ours. A supervisor that is `isolated` runs under
`unshare`; ending either of the two ends the whole node.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from windlass_cluster.commands import wait_until
from windlass_cluster.errors import ClusterError

_SUPERVISE = Path(__file__).with_name("supervise.py")
_UNSHARE = (
    "unshare --net --mount --pid --uts --ipc --fork --mount-proc --kill-child=SIGKILL --"
).split()
_STOP_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One program that a supervisor keeps running."""

    name: str
    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)
    wait_for: str | None = None
    pass_fd: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The form `supervise.py` reads."""
        return {
            "name": self.name,
            "argv": self.argv,
            "env": self.env,
            "wait_for": self.wait_for,
            "pass_fd": self.pass_fd,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one supervisor does."""

    processes: list[Process]
    setup: list[list[str]] = field(default_factory=list)
    watch_pid: int | None = None
    isolated: bool = False


@dataclass(frozen=True, slots=True)
class Supervisor:
    """The supervisor that lives in one folder, whether it runs or not."""

    folder: Path

    @property
    def log_dir(self) -> Path:
        """Where the programs' output goes."""
        return self.folder / "logs"

    def start(self, plan: Plan) -> None:
        """Starts it; its processes wait until `open_gate`."""
        self.log_dir.mkdir(parents=True, exist_ok=True)
        self._gate.unlink(missing_ok=True)
        spec = self.folder / "supervise.json"
        spec.write_text(json.dumps(self._spec(plan), indent=1))
        argv = [sys.executable, "-S", "-E", str(_SUPERVISE), str(spec)]
        fds = [one.pass_fd for one in plan.processes if one.pass_fd is not None]
        with (self.log_dir / "supervise.log").open("ab") as log:
            child = subprocess.Popen(
                _UNSHARE + argv if plan.isolated else argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=fds,
                cwd="/",
            )
        record = {"pid": child.pid, "since": _start_time(child.pid), "isolated": plan.isolated}
        self._record.write_text(json.dumps(record))
        if plan.isolated:
            self._wait_for_inner(child)

    def open_gate(self) -> None:
        """Lets the processes start: the network is there now."""
        self._gate.touch()

    def outer_pid(self) -> int | None:
        """The process that was started from here, if it is alive."""
        try:
            record = json.loads(self._record.read_text())
        except (OSError, ValueError):
            return None
        pid = int(record["pid"])
        return pid if _start_time(pid) == record["since"] else None

    def pid(self) -> int | None:
        """The supervisor itself as seen from outside; its namespaces are the node's."""
        outer = self.outer_pid()
        if outer is None or not json.loads(self._record.read_text())["isolated"]:
            return outer
        children = _children(outer)
        return children[0] if children else None

    def status(self) -> dict[str, dict[str, Any]]:
        """What the supervisor last wrote about each program; empty before the first start."""
        try:
            facts: dict[str, dict[str, Any]] = json.loads((self.folder / "status.json").read_text())
        except (OSError, ValueError):
            return {}
        return facts

    def stop(self) -> None:
        """Ends it and with it every process it started: asked first, then forced."""
        outer, inner = self.outer_pid(), self.pid()
        if outer is not None:
            self._signal(inner or outer, signal.SIGTERM)
            if not self._gone_within(_STOP_S):
                self._signal(inner or outer, signal.SIGKILL)
                self._signal(outer, signal.SIGKILL)
                self._gone_within(_STOP_S)
        self._record.unlink(missing_ok=True)

    def remove(self) -> None:
        """Ends it and deletes its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log_tail(self, name: str, *, size_bytes: int = 3000) -> str:
        """The end of a program's log, for an error message."""
        try:
            return (self.log_dir / f"{name}.log").read_text(errors="replace")[-size_bytes:]
        except OSError:
            return ""

    @property
    def _record(self) -> Path:
        return self.folder / "supervisor.json"

    @property
    def _gate(self) -> Path:
        return self.folder / "gate"

    def _spec(self, plan: Plan) -> dict[str, Any]:
        return {
            "setup": plan.setup,
            "gate": str(self._gate),
            "watch_pid": plan.watch_pid,
            "log_dir": str(self.log_dir),
            "status": str(self.folder / "status.json"),
            "processes": [one.as_json() for one in plan.processes],
        }

    def _wait_for_inner(self, child: "subprocess.Popen[bytes]") -> None:
        def is_inside() -> bool:
            if child.poll() is not None:
                raise ClusterError(f"a node did not start: {self.log_tail('supervise')}")
            return self.pid() is not None

        wait_until(is_inside, "the node's namespaces", timeout_s=10)

    def _gone_within(self, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            outer = self.outer_pid()
            if outer is None:
                return True
            _collect(outer)
            time.sleep(0.05)
        return False

    @staticmethod
    def _signal(pid: int, what: signal.Signals) -> None:
        try:
            os.kill(pid, what)
        except ProcessLookupError:
            return


def _start_time(pid: int) -> str | None:
    """When a live process started, in ticks since this boot, with the boot's id."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else f"{boot}:{fields[19]}"


def _children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _collect(pid: int) -> None:
    """Reaps the process if it is a child of this very run of the tool."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
