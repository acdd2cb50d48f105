"""A file that holds the worker's process id while it runs (`--pidfile`)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from windlass.errors import ConfigurationError


@contextmanager
def pidfile(path: str | None) -> Iterator[None]:
    """Hold the file for as long as the block runs. Without a path nothing happens.

    A file left behind by a process that is gone is taken over.

    Raises:
        ConfigurationError: A live process holds it, or it cannot be written.
    """
    if path is None:
        yield
        return
    file = Path(path)
    holder = _holder(file)
    # Our own number: in a container every start is process 1, so the file is a leftover.
    if holder and holder != os.getpid():
        message = (
            f"--pidfile {path}: process {holder} holds it and is alive. Stop that worker first, or "
            "choose another file."
        )
        raise ConfigurationError(message)
    try:
        file.write_text(f"{os.getpid()}\n")
    except OSError as error:
        message = f"--pidfile {path} cannot be written: {error.strerror}."
        raise ConfigurationError(message) from error
    try:
        yield
    finally:
        if _holder(file) == os.getpid():
            file.unlink(missing_ok=True)


def _holder(file: Path) -> int:
    try:
        pid = int(file.read_text().strip() or 0)
        if pid <= 0:
            return 0
        os.kill(pid, 0)
    except PermissionError:
        return pid  # somebody else's, and alive
    except (OSError, ValueError):
        return 0
    return pid
