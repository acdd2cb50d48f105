"""`windlass worker --watch`: starts the worker again when the code changes. For development.

The worker is a process of its own and this one looks at files: it compares the times of the Python
files below the current folder, which needs nothing that an editor or a mount may lack. A worker
that is to be replaced is drained first, so no task is cut short; one that failed to start is
tried again at the next change.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import click

#: Files are looked at so often, seconds.
LOOK_S = 0.5
_PASSED_OVER = frozenset({"__pycache__", "node_modules", "site-packages"})
_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


def snapshot(folder: Path) -> dict[str, int]:
    """Return the Python files below a folder with the times they were written, ns.

    Hidden folders, virtual environments and installed packages are passed over.
    """
    return dict(_files(str(folder)))


def _files(folder: str) -> Iterator[tuple[str, int]]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    if any(entry.name == "pyvenv.cfg" for entry in entries):
        return
    for entry in entries:
        try:
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith(".") and entry.name not in _PASSED_OVER:
                    yield from _files(entry.path)
            elif entry.name.endswith(".py"):
                yield entry.path, entry.stat().st_mtime_ns
        except OSError:
            continue  # it went away meanwhile: the next look sees that


def changed(before: dict[str, int], after: dict[str, int]) -> list[str]:
    """Name the files that are new, gone or written since."""
    return sorted(
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    )


class Watch:
    """Runs a command, and again after each change.

    Args:
        command: What runs.
        folder: Where changes are looked for.
        say: Takes a line for people.
    """

    def __init__(self, command: list[str], folder: Path, say: Callable[[str], None]) -> None:
        self._command = command
        self._folder = folder
        self._say = say
        self._is_over = Event()
        self._process: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Run until a stop signal; returns the command's exit code."""
        old = {number: signal.signal(number, self._forward) for number in _FORWARDED}
        try:
            while True:
                seen = snapshot(self._folder)
                # A session of its own: Ctrl-C reaches it once, through us.
                self._process = subprocess.Popen(self._command, start_new_session=True)  # noqa: S603 # ours
                self._wait_for_change(self._process, seen)
                if self._is_over.is_set():
                    return self._process.wait()
                self._process.terminate()
                self._process.wait()
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    def _wait_for_change(self, process: subprocess.Popen[bytes], seen: dict[str, int]) -> None:
        has_said = False
        while not self._is_over.wait(LOOK_S):
            if process.poll() is not None and not has_said:
                has_said = True
                self._say(f"The worker ended with {process.returncode}; waiting for a change.")
            if names := changed(seen, snapshot(self._folder)):
                shown = ", ".join(os.path.relpath(name, self._folder) for name in names[:3])
                self._say(f"{shown} changed: the worker finishes what it runs and starts again.")
                return

    def _forward(self, number: int, _frame: object) -> None:
        self._is_over.set()
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)


def watch_worker(workdir: str | None = None) -> int:
    """Run this process's own command line without --watch, and again after each change.

    Args:
        workdir: Folder that is looked at; the current one by default.
    """
    command = [sys.executable, *(each for each in sys.orig_argv[1:] if each != "--watch")]
    folder = Path(workdir or ".").resolve()
    click.echo(f"Watching the Python files below {folder}.", err=True)
    return Watch(command, folder, lambda line: click.echo(line, err=True)).run()
