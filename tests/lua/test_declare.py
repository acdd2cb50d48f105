from __future__ import annotations

import pytest

from broker_state import fetch, ids_of, leftovers, out_of_memory, places, read, snapshot
from redis_server import RedisServer
from windlass.brokers.redis import RedisBroker
from windlass.errors import BrokerFullError
from workflow_samples import body_hole, chain, chord, member, release, run_all, wait_for


def test_continuations_and_messages_are_stored_in_one_step(broker: RedisBroker) -> None:
    first, continuations = chain("a", "b", "c")

    assert broker.enqueue([first], continuations=continuations) == [True]

    assert places(broker, "a") == ["ready"]
    assert places(broker, "b") == []
    assert {b"k-b", b"k-c"} == set(read(broker, "ZRANGE", broker.keys.thens, 0, -1))
    assert read(broker, "HGET", broker.keys.then("k-b"), "need") == b"1"


def test_done_twice_it_changes_nothing(broker: RedisBroker) -> None:
    messages, continuation = chord(["a", "b"], "body")
    broker.enqueue(messages, continuations=[continuation])
    before = snapshot(broker)

    assert broker.enqueue(messages, continuations=[continuation]) == [False, False]
    assert before == snapshot(broker)


def test_a_workflow_of_many_calls_is_declared_before_its_first_message_is_sent(
    broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [f"h{n}" for n in range(1200)]
    waits = wait_for(ids, release("body", hole=body_hole(1200)))
    seen: list[tuple[int, int]] = []
    call = broker.links.try_call

    def noted(*args: object) -> object:
        reply = call(*args)  # type: ignore[arg-type]
        declared = read_counts(broker)
        seen.append(declared)
        return reply

    monkeypatch.setattr(broker.links, "try_call", noted)
    broker.enqueue([member(id_, waits.then(n)) for n, id_ in enumerate(ids)], continuations=[waits])
    monkeypatch.undo()

    assert seen[0] == (1, 0)
    assert seen[-1] == (1, 1200)


def read_counts(broker: RedisBroker) -> tuple[int, int]:
    """(continuations, messages), read past the patched call."""
    from windlass.redis_store.resp import packed

    commands = [packed("ZCARD", broker.keys.thens), packed("HLEN", broker.keys.messages)]
    link = broker.links.link()
    found = link.call(commands)
    link.close()
    return found[0], found[1]


def test_large_releases_are_cut_into_calls_and_sent_whole(broker: RedisBroker) -> None:
    big = "x" * 1_500_000
    waits = wait_for(["a"], *(release(f"r{n}", big) for n in range(12)), id_="many")
    broker.enqueue([member("a", waits.then(0))], continuations=[waits])

    assert broker.waiting(["many"])[0] is not None
    (a,) = fetch(broker).deliveries
    del a
    assert read(broker, "HLEN", broker.keys.then("many")) > 5


def test_a_full_broker_declares_nothing_and_sends_nothing(
    broker: RedisBroker, each_redis_server: RedisServer
) -> None:
    messages, continuation = chord([f"h{n}" for n in range(3)], "body")
    with out_of_memory(each_redis_server), pytest.raises(BrokerFullError):
        broker.enqueue(messages, continuations=[continuation])

    assert leftovers(broker) == []
    many = [f"h{n}" for n in range(900)]
    messages, continuation = chord(many, "body")
    with out_of_memory(each_redis_server), pytest.raises(BrokerFullError):
        broker.enqueue(messages, continuations=[continuation])
    assert leftovers(broker) == []


def test_nothing_is_left_of_workflows_that_ended(broker: RedisBroker) -> None:
    messages, continuation = chord(["a", "b"], "body")
    first, continuations = chain("x", "y", "z")
    broker.enqueue([*messages, first], continuations=[continuation, *continuations])

    assert sorted(run_all(broker)) == ["a", "b", "body", "x", "y", "z"]
    fetch(broker, wait_ms=5_000)
    assert ids_of(fetch(broker)) == []
    assert leftovers(broker) == []
