"""A real redis-server that tests may kill, pause and restart."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping

import redis

from windlass.embedded_redis import EmbeddedRedis, ServerBinary


class RedisServer(EmbeddedRedis):
    """An embedded server with the misfortunes that brokers meet.

    `restart` keeps port, socket and folder; data survive it only with `{"appendonly": "yes"}`.
    """

    def __init__(
        self, binary: ServerBinary | None = None, config: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(binary, config)
        self._clients: list[redis.Redis] = []

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

    def stop(self) -> None:
        for client in self._clients:
            client.close()
        self._clients.clear()
        super().stop()
