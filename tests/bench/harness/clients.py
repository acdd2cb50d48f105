"""The harness' end of a client process."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .peer import Peer, python


class ClientProcess:
    """A sending process of a peer. Use as a context manager.

    Args:
        peer: Whose client.
        env: The whole environment.
        folder: Working folder: tests/bench.
        log: File that gets its stderr.
    """

    def __init__(self, peer: Peer, *, env: Mapping[str, str], folder: Path, log: Path) -> None:
        self._peer = peer
        self._log = log
        with log.open("ab") as errors:
            self._popen = subprocess.Popen(
                python("-m", "harness.client_main", peer.client),
                env=dict(env),
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._read()

    def _read(self) -> dict[str, Any]:
        output = self._popen.stdout
        if output is None:
            raise RuntimeError("the client process has no standard output")
        line = output.readline()
        if not line:
            said = self._log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"The client of {self._peer.name} ended. It said:\n{said}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, op: str, **arguments: Any) -> dict[str, Any]:  # values are JSON
        """Run one operation of `harness.client_main` and return its answer."""
        commands = self._popen.stdin
        if commands is None:
            raise RuntimeError("the client process has no standard input")
        commands.write(json.dumps({"op": op, **arguments}) + "\n")
        commands.flush()
        return self._read()

    def close(self) -> None:
        """End the process."""
        if self._popen.stdin is not None:
            self._popen.stdin.close()
        try:
            self._popen.wait(5)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        if self._popen.stdout is not None:
            self._popen.stdout.close()

    def __enter__(self) -> ClientProcess:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
