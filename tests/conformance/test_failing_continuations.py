"""What every broker with Capability.JOINS does when a part fails, however it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from broker_samples import Sample, bury, crashed
from broker_state import LEASE_MS, NOW, fetch, ids_of
from windlass.brokers.base import Park, StepDone
from windlass.continuations import LOST, PURGED, REVOKED, VANISHED
from windlass.control_plane.dead_letters import replay
from windlass.control_plane.heartbeats import WorkerStatus, beat
from windlass.messages import decode_message, then_of
from windlass.redis_store.resp import packed
from windlass.released import open_failing_body
from windlass.states import Stage
from workflow_samples import (
    args_of,
    body_hole,
    chain,
    chord,
    error_in,
    failed,
    failure_in,
    failure_part,
    is_failing,
    member,
    release,
    run_all,
    succeeded,
    wait_for,
)


def start_chord(broker: Any, *header: str, body: str = "body") -> str:
    """Send a chord; returns the id of its continuation."""
    messages, continuation = chord(header, body)
    broker.enqueue(messages, continuations=[continuation])
    return continuation.id


def told(broker: Any) -> tuple[str, str, Any]:
    """What the body is told: the failed task, its state, its error."""
    (body,) = fetch(broker).deliveries
    assert body.id == "body"
    return failure_in(body).id, failure_in(body).state, error_in(body)[0]


def test_a_failure_is_told_at_once_and_only_once(broker: Any) -> None:
    id_ = start_chord(broker, "a", "b", "c")
    a, b, c = fetch(broker).deliveries
    broker.exchange([failed(b)], None)

    assert told(broker) == ("b", "FAILURE", "TaskError")
    assert broker.waiting([id_]) == [None]
    broker.exchange([failed(c), succeeded(a, 1)], None)
    assert fetch(broker).deliveries == []


def test_failures_that_come_together_are_told_once(broker: Any) -> None:
    start_chord(broker, "a", "b", "c")
    broker.exchange([failed(each) for each in fetch(broker).deliveries], None)

    assert len(fetch(broker).deliveries) == 1


def test_the_others_go_on_running_after_one_has_failed(broker: Any) -> None:
    start_chord(broker, "a", "b", "c")
    broker.exchange([failed(fetch(broker, 1).deliveries[0])], None)

    assert ids_of(fetch(broker)) == ["b", "c", "body"]


def test_a_failing_message_names_kind_and_task_and_what_waits_for_it(broker: Any) -> None:
    after = wait_for(["body"], release("after"), sources=["k-body"])
    waits = wait_for(
        ["a"],
        release("body", 1, then=after.then(0), hole=body_hole(1), errbacks=b'{"errbacks":[]}'),
    )
    broker.enqueue([member("a", waits.then(0))], continuations=[waits, after])
    broker.exchange([failed(fetch(broker).deliveries[0])], None)

    (body,) = fetch(broker).deliveries
    message = decode_message(body.id, body.raw)
    assert message.task == "windlass.fail"
    assert message.headers.failing == ("chord", "tests.step")
    assert message.headers.then == after.then(0)
    assert open_failing_body(message.body)[0] == b'{"errbacks":[]}'


def test_failure_travels_to_the_end_of_a_chain(broker: Any) -> None:
    first, continuations = chain("a", "b", "c", "d")
    broker.enqueue([first], continuations=continuations)
    (a,) = fetch(broker).deliveries
    broker.exchange([succeeded(a, 1)], None)
    broker.exchange([failed(fetch(broker).deliveries[0])], None)

    told_to = []
    while deliveries := fetch(broker).deliveries:
        (each,) = deliveries
        told_to.append((each.id, failure_in(each).id))
        ended = succeeded(each) if then_of(each.raw) is None else failed(each)
        broker.exchange([ended], None)
    assert [id_ for id_, _ in told_to] == ["c", "d"]
    assert told_to[0] == ("c", "b")


def test_failure_of_more_messages_than_one_call_sends_is_told_to_all(broker: Any) -> None:
    ids = [f"g{n}" for n in range(2600)]
    last = wait_for(ids, release("last", hole=body_hole(2600)), sources=["middle"] * 2600)
    releases = (release(id_, then=last.then(n), queue="many") for n, id_ in enumerate(ids))
    middle = wait_for(["a"], *releases, id_="middle")
    broker.enqueue([member("a", middle.then(0))], continuations=[middle, last])
    broker.exchange([failed(fetch(broker).deliveries[0])], None)

    count = 0
    while deliveries := fetch(broker, 1000, ("many",)).deliveries:
        assert all(is_failing(each) for each in deliveries)
        broker.exchange([failed(each) for each in deliveries], None)
        count += len(deliveries)
    assert count == 2600
    assert ids_of(fetch(broker)) == ["last"]


def test_a_failing_message_is_not_scheduled_and_does_not_expire(broker: Any) -> None:
    waits = wait_for(["a"], release("late", delay_ms=500_000, ttl_ms=1))
    broker.enqueue([member("a", waits.then(0))], continuations=[waits])
    broker.exchange([failed(fetch(broker).deliveries[0])], None)

    assert ids_of(fetch(broker)) == ["late"]


# -- every end is a part


def by_bury(sample: Sample) -> None:
    (a,) = fetch(sample.broker, 1).deliveries
    sample.broker.exchange([bury(a, part=failure_part(a, LOST))], None)


def by_crash(sample: Sample) -> None:
    for _ in range(3):
        (a,) = fetch(sample.broker, 1).deliveries
        sample.broker.exchange([crashed(a, part=failure_part(a, LOST))], None)


def by_reap(sample: Sample) -> None:
    for n in range(1, 4):
        fetch(sample.broker, 1)
        sample.at(NOW + n * (LEASE_MS + 1))
        sample.broker.reap("q", "w2")


def by_revoke_ready(sample: Sample) -> None:
    assert sample.broker.revoke(["a"]) == {"a": Stage.QUEUED}


def by_revoke_parked(sample: Sample) -> None:
    (a,) = fetch(sample.broker, 1).deliveries
    sample.broker.exchange([Park(id="a", queue="q", token=a.token, task="tests.step")], None)
    assert sample.broker.revoke(["a"]) == {"a": Stage.PARKED}


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (by_bury, ("a", "FAILURE", LOST.error_type)),
        (by_crash, ("a", "FAILURE", LOST.error_type)),
        (by_reap, ("a", "FAILURE", LOST.error_type)),
        (by_revoke_ready, ("a", "REVOKED", REVOKED.error_type)),
        (by_revoke_parked, ("a", "REVOKED", REVOKED.error_type)),
    ],
)
def test_each_end_of_a_member_is_told_to_the_body(
    brokers: Sample, end: Callable[[Sample], None], expected: tuple[str, str, str]
) -> None:
    start_chord(brokers.broker, "a")
    end(brokers)

    assert told(brokers.broker) == expected


def test_a_scheduled_member_that_is_revoked_is_told(broker: Any) -> None:
    waits = wait_for(["a"], release("body", hole=body_hole(1)))
    broker.enqueue([member("a", waits.then(0), delay_ms=500)], continuations=[waits])

    assert broker.revoke(["a"]) == {"a": Stage.SCHEDULED}
    assert told(broker) == ("a", "REVOKED", "TaskRevokedError")
    assert broker.revoke(["a"]) == {"a": Stage.UNKNOWN}
    assert fetch(broker).deliveries == []


def test_a_running_member_that_is_revoked_is_still_its_workers(broker: Any) -> None:
    start_chord(broker, "a")
    (a,) = fetch(broker).deliveries
    assert broker.revoke(["a"]) == {"a": Stage.LEASED}
    assert fetch(broker).deliveries == []

    broker.exchange([succeeded(a, 1)], None)
    assert args_of(fetch(broker).deliveries[0]) == [[1]]


def test_a_crash_below_the_cap_gives_no_part(broker: Any) -> None:
    start_chord(broker, "a")
    (a,) = fetch(broker).deliveries
    broker.exchange([crashed(a, part=failure_part(a, LOST))], None)

    assert run_all(broker) == ["a", "body"]


def test_purging_tells_the_bodies(broker: Any) -> None:
    waits = wait_for(["a", "b"], release("body", queue="other", hole=body_hole(2)))
    messages = [member("a", waits.then(0)), member("b", waits.then(1), delay_ms=500)]
    broker.enqueue([*messages, member("plain", None)], continuations=[waits])

    assert broker.purge("q") == 3
    (body,) = fetch(broker, queues=("other",)).deliveries
    assert (failure_in(body).state, error_in(body)) == (
        PURGED.state,
        ("TaskRevokedError", ["purged"]),
    )


def test_a_replayed_dead_letter_gives_its_part_once(brokers: Sample) -> None:
    broker = brokers.broker
    start_chord(broker, "a", "b")
    a, b = fetch(broker).deliveries
    broker.exchange([bury(a, part=failure_part(a, LOST)), succeeded(b, 1)], None)
    (body,) = fetch(broker).deliveries
    broker.exchange([succeeded(body)], None)

    assert replay(broker, "q", ["a"]) == 1
    (again,) = fetch(broker).deliveries
    assert broker.exchange([succeeded(again, "A")], None)[0] == []
    assert fetch(broker).deliveries == []


# -- too large


def test_a_body_over_its_size_fails_and_says_so(broker: Any) -> None:
    waits = wait_for(["a", "b"], release("body", hole=body_hole(2)), max_bytes=400)
    broker.enqueue([member("a", waits.then(0)), member("b", waits.then(1))], continuations=[waits])
    broker.exchange([succeeded(each, "x" * 200) for each in fetch(broker).deliveries], None)

    (body,) = fetch(broker).deliveries
    kind, (text,) = error_in(body)
    assert kind == "MessageTooLarge"
    assert "over 400 bytes (task_max_size_bytes)" in text


def test_a_body_within_its_size_is_sent(broker: Any) -> None:
    waits = wait_for(["a", "b"], release("body", hole=body_hole(2)), max_bytes=1000)
    broker.enqueue([member("a", waits.then(0)), member("b", waits.then(1))], continuations=[waits])
    broker.exchange([succeeded(each, "x" * 200) for each in fetch(broker).deliveries], None)

    assert args_of(fetch(broker).deliveries[0]) == [["x" * 200, "x" * 200]]


# -- what will never come


def forget(sample: Sample, *ids: str) -> None:
    """Lose messages as a broken server would: nobody is told."""
    store = getattr(sample.broker, "store", None)
    if store is not None:
        for id_ in ids:
            store.queue(store.messages[id_].queue).remove_waiting(store.messages.pop(id_))
        return
    client = sample.broker.links
    keys = sample.broker.keys
    client.call([packed("HDEL", keys.messages, *ids)])
    client.call([packed("LREM", keys.queue("q").ready[0], "1", id_) for id_ in ids])


def test_a_member_that_vanished_is_a_failure_at_the_sweep(brokers: Sample) -> None:
    broker = brokers.broker
    start_chord(broker, "a", "b", "c")
    (a,) = fetch(broker, 1).deliveries
    broker.exchange([succeeded(a, 1)], None)
    forget(brokers, "b")

    assert broker.sweep(1000, 10) == 0, "looked after too soon"
    brokers.at(NOW + 1000)
    assert broker.sweep(1000, 10) == 1
    assert broker.sweep(0, 10) == 0
    assert ids_of(fetch(broker, 1)) == ["c"]
    assert told(broker) == ("b", "FAILURE", VANISHED.error_type)


def test_a_workflow_whose_client_died_before_it_sent_a_message_ends(brokers: Sample) -> None:
    broker = brokers.broker
    _, continuations = chain("a", "b", "c")
    broker.enqueue([], continuations=continuations)
    brokers.at(NOW + 5)

    assert broker.sweep(5, 10) == 1
    (b,) = fetch(broker).deliveries
    assert (b.id, failure_in(b).id) == ("b", "a")
    broker.exchange([failed(b)], None)
    (c,) = fetch(broker).deliveries
    broker.exchange([succeeded(c)], None)
    assert broker.waiting([each.id for each in continuations]) == [None, None]


def test_what_runs_waits_is_scheduled_or_parked_is_not_lost(brokers: Sample) -> None:
    broker = brokers.broker
    waits = wait_for(["a", "b", "c", "d"], release("body", hole=body_hole(4)))
    times: list[dict[str, int]] = [{}, {}, {"delay_ms": 10**6}, {}]
    messages = [member(id_, waits.then(n), **times[n]) for n, id_ in enumerate("abcd")]
    broker.enqueue(messages, continuations=[waits])
    _, b = fetch(broker, 2).deliveries
    broker.exchange([Park(id="b", queue="q", token=b.token, task="tests.step")], None)
    brokers.at(NOW + 1000)

    assert broker.sweep(1000, 10) == 0
    assert broker.waiting([waits.id]) != [None]


def test_a_step_that_is_still_to_be_released_is_not_lost(brokers: Sample) -> None:
    first, continuations = chain("a", "b", "c")
    brokers.broker.enqueue([first], continuations=continuations)
    brokers.at(NOW + 1000)

    assert brokers.broker.sweep(1000, 10) == 0
    assert run_all(brokers.broker) == ["a", "b", "c"]


def test_a_sweep_is_bounded_and_takes_turns(brokers: Sample) -> None:
    broker = brokers.broker
    for n in range(5):
        start_chord(broker, f"{n}a", body=f"{n}body")
    forget(brokers, *(f"{n}a" for n in range(5)))
    brokers.at(NOW + 1)

    assert [broker.sweep(1, 2) for _ in range(4)] == [2, 2, 1, 0]
    assert len(fetch(broker).deliveries) == 5


def test_a_dead_letter_that_gave_no_part_is_a_failure_at_the_sweep(brokers: Sample) -> None:
    broker = brokers.broker
    start_chord(broker, "a")
    (a,) = fetch(broker).deliveries
    broker.exchange([bury(a)], None)
    assert fetch(broker).deliveries == []
    brokers.at(NOW + 1)

    assert broker.sweep(1, 10) == 1
    assert told(broker) == ("a", "FAILURE", "TaskError")


def test_who_runs_an_acknowledged_member_answers_for_it_as_long_as_it_lives(
    brokers: Sample,
) -> None:
    broker = brokers.broker
    start_chord(broker, "a")
    (a,) = fetch(broker).deliveries
    held = StepDone(id="a", queue="q", token=a.token, holds=then_of(a.raw), holder="wW1")
    broker.exchange([held], None)
    beat(broker, WorkerStatus(worker_id="W1", hostname="h", pid=1, app="", version=""), 5000)

    brokers.at(NOW + 4000)
    assert broker.sweep(1, 10) == 0
    brokers.at(NOW + 6000)
    assert broker.sweep(1, 10) == 1
    assert told(broker) == ("a", "FAILURE", VANISHED.error_type)


def test_an_acknowledged_member_gives_its_part_afterwards(broker: Any) -> None:
    start_chord(broker, "a")
    (a,) = fetch(broker).deliveries
    held = StepDone(id="a", queue="q", token=a.token, holds=then_of(a.raw), holder="wW1")
    broker.exchange([held], None)
    broker.deliver([succeeded(a, "A").part])

    assert args_of(fetch(broker).deliveries[0]) == [["A"]]
