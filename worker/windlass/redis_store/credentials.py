"""Credentials that live in files and change: a mounted Kubernetes Secret, say.

The files are read at each connect, so a connection that the server refuses or ends comes back with
what they hold by then. Imported only where an address names such a file.
"""

from __future__ import annotations

from pathlib import Path


def read_credential(path: str) -> str:
    """Return what a file holds, without white space at its end.

    Raises:
        OSError: It cannot be read; it may come later.
    """
    try:
        return Path(path).read_text(encoding="utf-8").rstrip()
    except UnicodeDecodeError as error:
        raise OSError(f"the credentials file {path} holds no text ({error})") from error
    except OSError as error:
        raise OSError(
            f"the credentials file {path} cannot be read ({error.strerror or error})"
        ) from error
