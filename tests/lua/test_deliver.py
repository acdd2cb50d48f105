from __future__ import annotations

from broker_state import fetch, ids_of, read, snapshot
from windlass.brokers.redis import RedisBroker
from windlass.continuations import LOST, plain_failure
from windlass.redis_store import continuing
from workflow_samples import (
    args_of,
    body_hole,
    chord,
    failed,
    failure_in,
    failure_part,
    member,
    part_of,
    release,
    wait_for,
)


def test_parts_come_without_a_commit_and_once(broker: RedisBroker) -> None:
    messages, continuation = chord(["a", "b"], "body")
    broker.enqueue(messages, continuations=[continuation])
    a, b = fetch(broker).deliveries
    broker.deliver([part_of(a, 1)])
    before = snapshot(broker)
    broker.deliver([part_of(a, 2)])
    assert before == snapshot(broker)

    broker.deliver([failure_part(b)])
    broker.deliver([part_of(b, 2)])

    (body,) = fetch(broker).deliveries
    assert failure_in(body).id == "b"


def test_a_continuation_that_is_not_there_is_not_made(broker: RedisBroker) -> None:
    messages, continuation = chord(["a"], "body")
    broker.enqueue(messages)
    (a,) = fetch(broker).deliveries
    broker.deliver([part_of(a, 1)])

    assert read(broker, "EXISTS", broker.keys.then(continuation.id), broker.keys.thens) == 0


def test_a_release_of_many_stops_after_a_part_and_goes_on(broker: RedisBroker) -> None:
    waits = wait_for(["a"], *(release(f"r{n}") for n in range(2500)), id_="many")
    broker.enqueue([member("a", waits.then(0))], continuations=[waits])
    (a,) = fetch(broker).deliveries
    parts = [part_of(a, 1)]
    calls = [
        continuing.deliver(broker.keys, broker.commands.now, "many", ("q",), parts)
        for _ in range(4)
    ]
    sizes = []
    for call in calls:
        reply = broker.links.call([call])[0]
        sizes.append((reply, read(broker, "LLEN", broker.keys.queue("q").ready[0])))

    assert sizes == [(b"MORE", 1000), (b"MORE", 2000), (b"", 2500), (b"", 2500)]


def test_a_failure_that_comes_while_values_are_released_is_too_late(broker: RedisBroker) -> None:
    waits = wait_for(["a"], *(release(f"r{n}") for n in range(1500)), id_="many")
    broker.enqueue([member("a", waits.then(0))], continuations=[waits])
    (a,) = fetch(broker).deliveries
    for part in (part_of(a, 1), failure_part(a), failure_part(a, LOST)):
        call = continuing.deliver(broker.keys, broker.commands.now, "many", ("q",), [part])
        broker.links.call([call])

    tasks = {args_of(each)[0] for each in fetch(broker, 1000).deliveries}
    assert tasks == {1}
    assert {args_of(each)[0] for each in fetch(broker, 1000).deliveries} == {1}


def test_the_first_failure_is_told_to_all_of_many(broker: RedisBroker) -> None:
    waits = wait_for(["a", "b"], *(release(f"r{n}") for n in range(1500)), id_="many")
    messages = [member("a", waits.then(0)), member("b", waits.then(1))]
    broker.enqueue(messages, continuations=[waits])
    a, b = fetch(broker).deliveries
    for part in (failure_part(a), failure_part(b), part_of(b, 1)):
        call = continuing.deliver(broker.keys, broker.commands.now, "many", ("q",), [part])
        broker.links.call([call])

    seen = [*fetch(broker, 1000).deliveries, *fetch(broker, 1000).deliveries]
    assert {failure_in(each).id for each in seen} == {"a"}
    assert len(seen) == 1500


def test_keys_that_are_missing_leave_it_whole_for_a_call_that_has_them(broker: RedisBroker) -> None:
    waits = wait_for(["a"], release("b", queue="q"), release("c", queue="other"), id_="two")
    broker.enqueue([member("a", waits.then(0))], continuations=[waits])
    (a,) = fetch(broker).deliveries
    part = part_of(a, 1)
    call = continuing.deliver(broker.keys, broker.commands.now, "two", ("q",), [part])

    assert broker.links.call([call]) == [b"QUEUES"]
    assert ids_of(fetch(broker)) == []
    broker.deliver([part])
    assert ids_of(fetch(broker, queues=("q", "other"))) == ["b", "c"]


def test_one_that_would_be_too_large_is_left_whole_until_it_is_told_so(broker: RedisBroker) -> None:
    waits = wait_for(["a"], release("body", hole=body_hole(1)), max_bytes=300)
    broker.enqueue([member("a", waits.then(0))], continuations=[waits])
    (a,) = fetch(broker).deliveries
    part = part_of(a, "x" * 300)
    call = continuing.deliver(broker.keys, broker.commands.now, waits.id, ("q",), [part])

    assert broker.links.call([call]) == [b"LARGE"]
    assert ids_of(fetch(broker)) == []
    failure = plain_failure("a", LOST)
    call = continuing.deliver(broker.keys, broker.commands.now, waits.id, ("q",), (), failure)
    assert broker.links.call([call]) == [b""]
    assert failed(a).part is not None
    assert failure_in(fetch(broker).deliveries[0]).id == "a"
