"""A PostgreSQL of the test's own on a unix socket, where its programs are installed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from waiting import eventually


def found() -> bool:
    """Whether there is one, and a driver."""
    try:
        import psycopg  # noqa: F401 - asked for here
    except ImportError:
        return False
    return shutil.which("initdb") is not None and shutil.which("postgres") is not None


class PostgresServer:
    """Started when made; `stop` ends it and removes its files."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="pg"))
        # It refuses to run as root.
        self._user = "nobody" if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(self._folder, pwd.getpwnam(self._user).pw_uid, -1)
        data = self._folder / "data"
        self._run("initdb", "-D", str(data), "-A", "trust", "-U", "tests", "-N")
        self._process = subprocess.Popen(
            [
                shutil.which("postgres") or "postgres", "-D", str(data), "-k", str(self._folder),
                "-c", "listen_addresses=", "-c", "fsync=off",
            ],
            user=self._user,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.url = f"postgresql+psycopg://tests@/postgres?host={self._folder}"
        eventually(self._is_up, message="PostgreSQL answers")

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()
        shutil.rmtree(self._folder)

    def _is_up(self) -> bool:
        ready = ["pg_isready", "-h", str(self._folder)]
        return subprocess.run(ready, capture_output=True, check=False).returncode == 0

    def _run(self, *command: str) -> None:
        subprocess.run(command, user=self._user, cwd=self._folder, check=True, capture_output=True)
