from __future__ import annotations

from broker_state import FINAL, NOW, at, done, lease, out_of_memory, read, settle
from redis_server import RedisServer
from windlass.brokers.redis import RedisBroker
from windlass.redis_store.scripts import script


def wait_for(broker: RedisBroker, *ids: str, wait_ms: int = 5_000) -> list[bytes | None]:
    keys = (broker.keys.waiting, *(broker.keys.result(id_) for id_ in ids))
    args = (broker.commands.now, wait_ms, *ids)
    return list(broker.links.call([script("await_result").command(keys, args)])[0])


def waiting(broker: RedisBroker) -> dict[bytes, int]:
    flat = read(broker, "ZRANGE", broker.keys.waiting, 0, -1, "WITHSCORES")
    return {id_: int(until) for id_, until in zip(flat[::2], flat[1::2], strict=True)}


def test_what_is_stored_is_returned_in_order_and_every_id_is_registered(
    broker: RedisBroker,
) -> None:
    settle(broker, done(lease(broker, "b")[0], result=FINAL))

    assert wait_for(broker, "a", "b", "c") == [None, FINAL.payload, None]
    assert waiting(broker) == {b"a": NOW + 5_000, b"b": NOW + 5_000, b"c": NOW + 5_000}


def test_the_longest_of_several_waits_counts(broker: RedisBroker) -> None:
    wait_for(broker, "a", wait_ms=9_000)
    wait_for(broker, "a", wait_ms=1_000)

    assert waiting(broker) == {b"a": NOW + 9_000}


def test_an_end_takes_the_registration_away(broker: RedisBroker) -> None:
    (d,) = lease(broker, "a")
    wait_for(broker, "a")
    settle(broker, done(d, result=FINAL))

    assert waiting(broker) == {}


def test_those_who_gave_up_are_forgotten(broker: RedisBroker) -> None:
    wait_for(broker, "old", wait_ms=10)
    at(broker, NOW + 10)
    wait_for(broker, "new")

    assert list(waiting(broker)) == [b"new"]


def test_a_full_broker_lets_clients_wait(
    broker: RedisBroker, each_redis_server: RedisServer
) -> None:
    with out_of_memory(each_redis_server):
        assert wait_for(broker, "a") == [None]
