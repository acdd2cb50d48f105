"""A real redis-server that tests may kill, pause and restart."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping

import redis

from windlass.embedded_redis import EmbeddedRedis, ServerBinary


class RedisServer(EmbeddedRedis):
    """An embedded server with the misfortunes that brokers meet.

    `restart` keeps port, socket and folder; data survive it only with `{"appendonly": "yes"}`.
    It ends with the process that started it, however that ends: a guard waits for the end of a
    pipe, since pytest itself may be killed. (PR_SET_PDEATHSIG would go by the starting thread.)
    """

    def __init__(
        self, binary: ServerBinary | None = None, config: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(binary, config)
        self._clients: list[redis.Redis] = []
        self._guard: subprocess.Popen[bytes] | None = None

    def start(self) -> RedisServer:
        super().start()
        return self

    def __enter__(self) -> RedisServer:
        return self.start()

    def client(self, **options: object) -> redis.Redis:
        """Return a client over the unix socket that gives bytes; closed with the server."""
        client: redis.Redis = redis.Redis.from_url(self.unix_url, **options)
        self._clients.append(client)
        return client

    def restart(self) -> None:
        """SIGKILL it and start it again at the same address."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Stop the process in place: connections stay open and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        if self.pid:
            os.kill(self.pid, signal.SIGCONT)

    def commands_processed(self) -> int:
        """How many commands the server has run since its start (this one not counted)."""
        client = self.client()
        with contextlib.closing(client):
            return int(client.info("stats")["total_commands_processed"])

    def flush(self) -> None:
        """Bring it back to a clean state: running, empty, nobody else's clients waiting."""
        self.resume()
        self.start()
        client = self.client()
        with contextlib.closing(client):
            client.flushall()

    def _launch(self) -> None:
        super()._launch()
        self._end_guard()
        assert self._process is not None
        about = [str(self._process.pid), str(self.folder)]
        self._guard = subprocess.Popen(
            ["sh", "-c", 'read -r _; kill -9 "$1"; rm -rf "$2"', "sh", *about],
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for pytest
        )

    def _end(self, signal_number: int) -> None:
        self._end_guard()
        super()._end(signal_number)

    def _end_guard(self) -> None:
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.kill()
            guard.wait()
            assert guard.stdin is not None
            guard.stdin.close()

    def stop(self) -> None:
        for client in self._clients:
            client.close()
        self._clients.clear()
        super().stop()
