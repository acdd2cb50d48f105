"""Runs other programs: one way to do it, with an error that shows what they said."""

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from windlass_cluster.errors import CommandFailedError, NotReadyError

_POLL_S = 0.2


class Runner(Protocol):
    """How providers run commands; tests put a recorder in its place."""

    def __call__(
        self, argv: Sequence[str], /, *, stdin: str | None = None, timeout_s: float = 600
    ) -> str:
        """Runs `argv` to its end and returns its standard output; raises CommandFailedError."""
        ...


def run(argv: Sequence[str], /, *, stdin: str | None = None, timeout_s: float = 600) -> str:
    """Runs a command to its end and returns its standard output.

    Args:
        argv: The command; no shell is involved.
        stdin: Text for its standard input.
        timeout_s: Seconds it may take.

    Raises:
        CommandFailedError: It ended with a non-zero code or took too long.
    """
    try:
        done = subprocess.run(
            argv, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as late:
        said = f"no end after {timeout_s:.0f} s\n{_text(late.stdout)}{_text(late.stderr)}"
        raise CommandFailedError(argv, code=-1, output=said) from late
    if done.returncode != 0:
        raise CommandFailedError(argv, code=done.returncode, output=done.stderr + done.stdout)
    return done.stdout


def run_logged(
    argv: Sequence[str], log: Path, *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> None:
    """Runs a long command with its output in a file, shown only when it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as out:
        out.write(f"$ {' '.join(argv)}\n")
        out.flush()
        done = subprocess.run(
            argv, stdout=out, stderr=subprocess.STDOUT, cwd=cwd, env=env, check=False
        )
    if done.returncode != 0:
        raise CommandFailedError(argv, code=done.returncode, output=log.read_text()[-6000:])


def wait_until(probe: Callable[[], bool], what: str, *, timeout_s: float) -> None:
    """Asks `probe` until it says yes.

    Args:
        probe: May raise CommandFailedError for "not yet".
        what: What is waited for, for the error.
        timeout_s: Seconds until NotReadyError.

    Raises:
        NotReadyError: It never said yes.
    """
    last = ""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            if probe():
                return
        except CommandFailedError as failed:
            last = failed.output
        time.sleep(_POLL_S)
    raise NotReadyError(what, after_s=timeout_s, last=last)


def _text(raw: str | bytes | None) -> str:
    return raw.decode(errors="replace") if isinstance(raw, bytes) else raw or ""
