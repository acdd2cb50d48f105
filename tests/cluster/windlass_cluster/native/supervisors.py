"""Starts, finds and ends supervisors (`supervise.py`) from the outside.

A supervisor is known by its pid together with its start time, so a pid that another process got
after a crash or a reboot is never taken for ours. A supervisor that is `isolated` runs under
`unshare`; ending either of the two ends the whole node.
"""

import json
import os
import shutil
import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from windlass_cluster.commands import wait_until
from windlass_cluster.errors import ClusterError

_SUPERVISE = Path(__file__).with_name("supervise.py")
_NAMESPACES = ["--net", "--mount", "--pid", "--uts", "--ipc", "--mount-proc"]
_UNSHARE = ["unshare", *_NAMESPACES, "--fork", "--kill-child=SIGKILL", "--"]
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
    """What one supervisor does.

    Attributes:
        processes: The programs it keeps running.
        setup: Commands it runs once, before them.
        owner_pid: A process it must not outlive.
        isolated: Whether it gets namespaces of its own.
        inside_pid: A process whose namespaces it joins instead.
    """

    processes: list[Process]
    setup: list[list[str]] = field(default_factory=list)
    owner_pid: int | None = None
    isolated: bool = False
    inside_pid: int | None = None

    def wrapper(self) -> list[str]:
        """The command that puts it into its namespaces; empty for the machine's own."""
        if self.isolated:
            return _UNSHARE
        if self.inside_pid is not None:
            return ["nsenter", f"--target={self.inside_pid}", "--net", "--mount", "--pid", "--"]
        return []


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
        owner_fd: int | None = None
        argv = [sys.executable, "-S", "-E", str(_SUPERVISE), str(spec)]
        fds = [one.pass_fd for one in plan.processes if one.pass_fd is not None]
        with ExitStack() as opened:
            if plan.owner_pid is not None:
                # It keeps its number in the child, so the spec can name it beforehand.
                owner_fd = os.pidfd_open(plan.owner_pid)
                opened.callback(os.close, owner_fd)
                fds.append(owner_fd)
            spec.write_text(json.dumps(self._spec(plan, owner_fd=owner_fd), indent=1))
            log = opened.enter_context((self.log_dir / "supervise.log").open("ab"))
            pid = _spawn([*plan.wrapper(), *argv], log.fileno(), fds)
        record = {"pid": pid, "since": _start_time(pid), "wrapped": bool(plan.wrapper())}
        self._record.write_text(json.dumps(record))
        if plan.wrapper():
            self._wait_for_inner()

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
        if outer is None or not json.loads(self._record.read_text())["wrapped"]:
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

    def _spec(self, plan: Plan, *, owner_fd: int | None) -> dict[str, Any]:
        return {
            "setup": plan.setup,
            "gate": str(self._gate),
            "owner_fd": owner_fd,
            "log_dir": str(self.log_dir),
            "status": str(self.folder / "status.json"),
            "processes": [one.as_json() for one in plan.processes],
        }

    def _wait_for_inner(self) -> None:
        def is_inside() -> bool:
            if self.outer_pid() is None:
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


def _spawn(argv: list[str], log_fd: int, fds: list[int]) -> int:
    """Starts a process in a session of its own that may outlive us; returns its pid."""
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, log_fd, 1),
        (os.POSIX_SPAWN_DUP2, log_fd, 2),
    ]
    for fd in fds:
        os.set_inheritable(fd, True)
    try:
        return os.posix_spawnp(argv[0], argv, os.environ, file_actions=actions, setsid=True)
    finally:
        for fd in fds:
            os.set_inheritable(fd, False)


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
