"""Keeps a list of programs running; the first process of every native node.

Runs as `python supervise.py SPEC.json` and imports nothing of ours. On a full node it is process 1
of its own pid, mount and network namespaces, so when it ends, for whatever reason, the kernel ends
everything the node ever started (containers too) and drops its mounts, links and rules: a crash
cleans up as well as an orderly stop. On the light level it is an ordinary process and its children
ask the kernel to be killed with it.

The spec is JSON: `setup` (commands run once), `gate` (a file to wait for before the processes
start), `owner_fd` (a pidfd: stop when that process ends; or null), `log_dir`, `status` (a file
written at each change) and `processes`: `name`, `argv`, `env`, `pass_fd` (or null) and `wait_for`
(`tcp:HOST:PORT`, `path:FILE` or null). A process that ends is started again after a pause.
"""

import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_BUSY_TICK_S = 0.05
_IDLE_TICK_S = 0.5
_MAX_PAUSE_S = 5.0
_STOP_S = 5.0


@dataclass
class Managed:
    """One program of the spec and the process that runs it, if any."""

    spec: dict[str, Any]
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    not_before: float = 0.0
    last_code: int | None = None

    @property
    def name(self) -> str:
        """The name the spec gives it."""
        return str(self.spec["name"])


def main() -> int:
    """Runs the spec named on the command line until told to stop."""
    spec = json.loads(Path(sys.argv[1]).read_text())
    os.chdir("/")
    stop_signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop_signals | {signal.SIGCHLD})
    # A terminal's Ctrl-C reaches the tool, which stops us in order; it must not end us half-way.
    for argv in spec["setup"]:
        subprocess.run(argv, check=True, preexec_fn=_prepare_child)
    managed = [Managed(spec=one) for one in spec["processes"]]
    while not _told_to_stop(stop_signals, managed):
        if spec["owner_fd"] is not None and _is_readable(spec["owner_fd"]):
            break
        if Path(spec["gate"]).exists():
            changed = _reap(managed) | _start_due(managed, Path(spec["log_dir"]))
            if changed:
                _write_status(Path(spec["status"]), managed)
    _stop_all(managed)
    return 0


def _told_to_stop(stop_signals: set[signal.Signals], managed: list[Managed]) -> bool:
    """Waits for the next tick or signal; says whether it was a signal to stop."""
    settled = managed[0].starts > 0 and all(one.process is not None for one in managed)
    got = signal.sigtimedwait(
        stop_signals | {signal.SIGCHLD}, _IDLE_TICK_S if settled else _BUSY_TICK_S
    )
    return got is not None and got.si_signo in stop_signals


def _reap(managed: list[Managed]) -> bool:
    """Collects ended children; orphans too, since on a node we are their process 1."""
    changed = False
    by_pid = {one.process.pid: one for one in managed if one.process is not None}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return changed
        if pid == 0:
            return changed
        ended = by_pid.get(pid)
        if ended is None or ended.process is None:
            continue
        ended.last_code = ended.process.returncode = os.waitstatus_to_exitcode(status)
        ended.process = None
        ended.not_before = time.monotonic() + min(_MAX_PAUSE_S, 0.2 * 2**ended.starts)
        changed = True


def _start_due(managed: list[Managed], log_dir: Path) -> bool:
    changed = False
    now = time.monotonic()
    for one in managed:
        if one.process is None and now >= one.not_before and _is_open(one.spec["wait_for"]):
            one.process = _start(one.spec, log_dir)
            one.starts += 1
            changed = True
    return changed


def _start(spec: dict[str, Any], log_dir: Path) -> subprocess.Popen[bytes]:
    with (log_dir / f"{spec['name']}.log").open("ab") as log:
        return subprocess.Popen(
            spec["argv"],
            env={**os.environ, **spec["env"]},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=[spec["pass_fd"]] if spec["pass_fd"] is not None else [],
            preexec_fn=_prepare_child,
        )


def _prepare_child() -> None:
    """Own session, our signal mask undone, and killed by the kernel when we are gone."""
    os.setsid()
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _is_open(condition: str | None) -> bool:
    if condition is None:
        return True
    kind, _, what = condition.partition(":")
    if kind == "path":
        return Path(what).exists()
    host, _, port = what.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=0.2):
            return True
    except OSError:
        return False


def _is_readable(pidfd: int) -> bool:
    """A pidfd can be read once its process has ended; that works from any pid namespace."""
    return bool(select.select([pidfd], [], [], 0)[0])


def _write_status(path: Path, managed: list[Managed]) -> None:
    """Replaces the status file in one step, so a reader never sees half of it."""
    facts = {
        one.name: {"starts": one.starts, "running": bool(one.process), "last_code": one.last_code}
        for one in managed
    }
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(facts, indent=1))
    partial.rename(path)


def _stop_all(managed: list[Managed]) -> None:
    """Ends the programs last to first: asked, then forced."""
    for one in reversed(managed):
        if one.process is None:
            continue
        one.process.terminate()
        try:
            one.process.wait(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            one.process.kill()
            one.process.wait()


if __name__ == "__main__":
    sys.exit(main())
