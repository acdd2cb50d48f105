from __future__ import annotations

import msgspec
import pytest

from broker_state import FINAL, PENDING, done, lease, out_of_memory, read, settle, snapshot
from redis_server import RedisServer
from windlass.brokers.redis import RedisBroker
from windlass.errors import BrokerFullError


def test_the_owner_stores_a_state(broker: RedisBroker) -> None:
    (d,) = lease(broker, "a")

    assert broker.set_state("a", "q", d.token, PENDING)
    assert broker.set_state("a", "q", d.token, PENDING), "as often as it likes"
    assert read(broker, "GET", broker.keys.result("a")) == PENDING.payload
    assert 0 < read(broker, "PTTL", broker.keys.result("a")) <= PENDING.ttl_ms


def test_a_stale_token_or_one_that_ended_stores_nothing(broker: RedisBroker) -> None:
    (d,) = lease(broker, "a")
    assert not broker.set_state("a", "q", d.token + 1, PENDING)
    settle(broker, done(d, result=FINAL))
    before = snapshot(broker)

    assert not broker.set_state("a", "q", d.token, PENDING)
    assert before == snapshot(broker)


def test_a_full_broker_refuses_progress_so_that_outcomes_have_room(
    broker: RedisBroker, each_redis_server: RedisServer
) -> None:
    (d,) = lease(broker, "a")
    with out_of_memory(each_redis_server), pytest.raises(BrokerFullError):
        broker.set_state("a", "q", d.token, msgspec.structs.replace(PENDING, payload=b"jN" * 999))
    assert read(broker, "EXISTS", broker.keys.result("a")) == 0
