"""A broker on every Redis version found here, its clock in the test's hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from broker_state import NOW, at
from lua_headers import check_arity
from redis_server import RedisServer
from windlass.brokers.redis import RedisBroker
from windlass.redis_store.resp import Argument
from windlass.redis_store.scripts import Script


@pytest.fixture(autouse=True)
def _calls_fit_the_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call that a test here makes is held against the header of its script."""
    command = Script.command

    def checked(self: Script, keys: Sequence[bytes], args: Sequence[Argument]) -> bytes:
        # Variants for an outbox have two keys more than the header says, at the end.
        check_arity(self.name, len(keys) - 2 * ("KEYS[#KEYS]" in self.source), len(args))
        return command(self, keys, args)

    monkeypatch.setattr(Script, "command", checked)


@pytest.fixture
def broker(each_redis_server: RedisServer) -> Iterator[RedisBroker]:
    broker = RedisBroker(each_redis_server.unix_url, keyspace="lua")
    at(broker, NOW)
    yield broker
    broker.close()
