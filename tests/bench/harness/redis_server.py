"""A real redis-server of our own: loopback, free port, nothing persisted."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import redis

from .processes import cpu_seconds


def find_server() -> str:
    """Return the redis-server to run: BENCH_REDIS_SERVER, the PATH, or the one of the venv.

    Raises:
        SystemExit: There is none.
    """
    beside_python = Path(sys.executable).with_name("redis-server")
    named = os.environ.get("BENCH_REDIS_SERVER") or shutil.which("redis-server")
    if named:
        return named
    if beside_python.exists():
        return str(beside_python)
    raise SystemExit("No redis-server found. Install one, or set BENCH_REDIS_SERVER to its path.")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class BenchRedis:
    """Starts the server and answers what the scenarios ask of it.

    Args:
        folder: Working folder of the server.
    """

    def __init__(self, folder: Path) -> None:
        self.port = _free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process = subprocess.Popen(
            [
                find_server(),
                *("--port", str(self.port), "--bind", "127.0.0.1"),
                *("--save", "", "--appendonly", "no", "--dir", str(folder)),
                *("--maxmemory-policy", "noeviction", "--loglevel", "warning"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        self.client = redis.Redis(port=self.port)
        self._await_ready()
        self.version = str(self.client.info("server")["redis_version"])

    def _await_ready(self) -> None:
        deadline = time.monotonic() + 10
        while True:
            try:
                self.client.ping()
            except redis.ConnectionError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.02)
            else:
                return

    def clear(self) -> None:
        """Delete everything and start the statistics again."""
        self.client.flushall(asynchronous=False)
        self.client.script_flush()
        self.client.config_resetstat()

    def cpu_s(self) -> float:
        """Return the CPU time of the server, all threads."""
        return cpu_seconds([self._process.pid])

    def commands(self) -> dict[str, int]:
        """Return calls by command, those made inside scripts included, INFO left out."""
        stats: dict[str, Any] = self.client.info("commandstats")
        calls = {name.removeprefix("cmdstat_"): int(row["calls"]) for name, row in stats.items()}
        calls.pop("info", None)
        return calls

    def used_memory(self) -> int:
        """Return the bytes allocated for data (INFO used_memory)."""
        return int(self.client.info("memory")["used_memory"])

    def close(self) -> None:
        """End the server."""
        self.client.close()
        self._process.terminate()
        self._process.wait()
