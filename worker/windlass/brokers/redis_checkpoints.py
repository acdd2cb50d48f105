"""Checkpoints on Redis. Next in the walk: `lua/checkpoint.lua`."""

from __future__ import annotations

from windlass.redis_store.commands import Commands
from windlass.redis_store.connection import Links
from windlass.redis_store.keys import Keys
from windlass.redis_store.scripts import script


class RedisCheckpoints:
    """Implements `windlass.brokers.checkpoints.Checkpoints`."""

    def __init__(self, links: Links, keys: Keys, commands: Commands) -> None:
        self._links = links
        self._keys = keys
        self._commands = commands

    def save(self, message_id: str, queue: str, token: int, retries: int, payload: bytes) -> bool:
        """See `Checkpoints.save`."""
        keys = self._keys
        touched = (keys.queue(queue).leased, keys.messages, keys.checkpoints, keys.checked)
        args = (self._commands.now, message_id, token, retries, payload)
        return bool(self._links.call([script("checkpoint").command(touched, args)])[0])

    def read(self, message_id: str, retries: int) -> bytes | None:
        """See `Checkpoints.read`."""
        touched = (self._keys.messages, self._keys.checkpoints)
        call = script("read_checkpoint").command(touched, (message_id, retries))
        found: bytes | None = self._links.call([call])[0]
        return found

    def sweep(self, older_than_ms: int, limit: int) -> int:
        """See `Checkpoints.sweep`."""
        keys = self._keys
        touched = (keys.messages, keys.checkpoints, keys.checked)
        args = (self._commands.now, older_than_ms, limit)
        return int(self._links.call([script("sweep_checkpoints").command(touched, args)])[0])
