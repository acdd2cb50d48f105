from __future__ import annotations

from broker_state import FINAL, fetch, has_bytes, leftovers, out_of_memory, read, settle, snapshot
from redis_server import RedisServer
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.depth import read_depths
from workflow_samples import args_of, chord, succeeded


def begin(broker: RedisBroker, *header: str) -> list[object]:
    messages, continuation = chord(header, "body")
    broker.enqueue(messages, continuations=[continuation])
    return list(fetch(broker, len(header)).deliveries)


def test_ends_outcomes_parts_and_what_waited_are_one_step(broker: RedisBroker) -> None:
    a, b = begin(broker, "a", "b")

    assert settle(broker, succeeded(a, 1, result=FINAL), succeeded(b, 2)) == []

    assert not has_bytes(broker, "a")
    assert read(broker, "GET", broker.keys.result("a")) == FINAL.payload
    assert read(broker, "GET", broker.keys.result("b")) is None
    assert args_of(fetch(broker).deliveries[0]) == [[1, 2]]
    assert read(broker, "EXISTS", broker.keys.then("k-body"), broker.keys.thens) == 0
    assert read_depths(broker, ["q"])[0].completed == 2


def test_a_stale_token_gives_no_part(broker: RedisBroker) -> None:
    a, _ = begin(broker, "a", "b")
    a.token += 1  # type: ignore[attr-defined]
    before = snapshot(broker)

    assert settle(broker, succeeded(a, 1, result=FINAL)) == ["a"]
    assert before == snapshot(broker)


def test_an_id_that_is_twice_in_it_gives_one_part(broker: RedisBroker) -> None:
    (a,) = begin(broker, "a")

    assert settle(broker, succeeded(a, 1), succeeded(a, 2)) == ["a"]
    assert args_of(fetch(broker).deliveries[0]) == [[1]]


def test_many_ends_of_one_chord_are_one_call(broker: RedisBroker) -> None:
    deliveries = begin(broker, *(f"h{n}" for n in range(400)))
    ends = [succeeded(each, n) for n, each in enumerate(deliveries)]

    assert len(broker.commands.settle(ends)) == 1
    assert settle(broker, *ends) == []
    assert args_of(fetch(broker).deliveries[0]) == [list(range(400))]


def test_a_part_of_a_continuation_that_is_gone_is_no_error(broker: RedisBroker) -> None:
    a, b = begin(broker, "a", "b")
    read(broker, "DEL", broker.keys.then("k-body"))

    assert settle(broker, succeeded(a, 1, result=FINAL), succeeded(b, 2)) == []
    assert fetch(broker).deliveries == []
    assert read(broker, "EXISTS", broker.keys.then("k-body")) == 0


def test_a_full_broker_ends_small_steps_and_releases(
    broker: RedisBroker, each_redis_server: RedisServer
) -> None:
    a, b = begin(broker, "a", "b")
    with out_of_memory(each_redis_server):
        assert settle(broker, succeeded(a, 1), succeeded(b, 2)) == []

    (body,) = fetch(broker).deliveries
    settle(broker, succeeded(body))
    fetch(broker, wait_ms=5_000)
    assert leftovers(broker) == []
