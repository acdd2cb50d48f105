"""Real worker processes, with their output taken line by line."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable

from windlass_operator.local.commands import WorkerCommand

_KEPT_LINES = 80


class LocalProcess:
    """A worker process that was started here.

    Args:
        command: What to run, with this interpreter.
        on_line: Told each line of its output, in a thread.
        on_end: Told when its output has ended, in a thread.
    """

    def __init__(
        self, command: WorkerCommand, on_line: Callable[[str], None], on_end: Callable[[], None]
    ) -> None:
        self._tail: deque[str] = deque(maxlen=_KEPT_LINES)
        self._on_line = on_line
        self._on_end = on_end
        # Its own session: Ctrl-C in the terminal is for us, and we end it in good order.
        self._process = subprocess.Popen(  # noqa: S603 - our own command line
            [sys.executable, *command.arguments],
            cwd=command.folder,
            env=dict(command.env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name="windlass-worker-log", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its id, and that of its process group."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return its exit status, None while it runs."""
        return self._process.poll()

    def send(self, number: int) -> None:
        """Send it a signal; nothing if it is over."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it and all that it started, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def last_words(self) -> str:
        """Return the end of its output."""
        self._reader.join(timeout=0.2)  # it has ended; what it said last is on its way
        return "\n".join(self._tail)

    def _read(self) -> None:
        output = self._process.stdout
        if output is None:
            return
        with output:
            for raw in output:
                line = raw.decode(errors="replace").rstrip("\n")
                self._tail.append(line)
                self._on_line(line)
        # Closed by the process and all of its children: it is over or about to be.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        self._on_end()
