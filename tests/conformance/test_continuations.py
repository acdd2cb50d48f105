"""What every broker with Capability.JOINS does with the steps of workflows that go well."""

from __future__ import annotations

from typing import Any

import pytest

from broker_samples import REQUEST, Sample, depth, hand_back
from broker_state import NOW, fetch, ids_of
from windlass.brokers.base import Again, StepDone
from windlass.continuations import Waiting
from windlass.messages import open_envelope, then_of
from windlass.states import Stage
from workflow_samples import (
    IMMUTABLE,
    args_of,
    body_hole,
    chain,
    chord,
    member,
    part_of,
    release,
    run_all,
    succeeded,
    wait_for,
)


def test_a_step_is_released_with_the_value_of_the_one_before_it(broker: Any) -> None:
    first, continuations = chain("a", "b", "c")
    broker.enqueue([first], continuations=continuations)

    (a,) = fetch(broker).deliveries
    broker.exchange([succeeded(a, [1, "x"])], None)
    (b,) = fetch(broker).deliveries
    assert (b.id, args_of(b)) == ("b", [[1, "x"]])
    broker.exchange([succeeded(b, None)], None)
    (c,) = fetch(broker).deliveries
    assert (c.id, args_of(c)) == ("c", [None])
    broker.exchange([succeeded(c)], None)
    assert fetch(broker).deliveries == []


def test_a_body_gets_the_values_in_the_order_of_its_header(broker: Any) -> None:
    messages, continuation = chord(["a", "b", "c"], "body")
    broker.enqueue(messages, continuations=[continuation])

    a, b, c = fetch(broker).deliveries
    broker.exchange([succeeded(c, "C"), succeeded(a, "A")], None)
    assert ids_of(fetch(broker)) == []
    broker.exchange([succeeded(b, "B")], None)

    (body,) = fetch(broker).deliveries
    assert (body.id, args_of(body)) == ("body", [["A", "B", "C"]])


def test_a_chain_of_many_steps_runs_to_its_end(broker: Any) -> None:
    ids = [f"s{n}" for n in range(1200)]
    first, continuations = chain(*ids)
    broker.enqueue([first], continuations=continuations)

    ran = run_all(broker, **dict.fromkeys(ids, 0))

    assert ran == ids
    assert broker.waiting([c.id for c in continuations]) == [None] * 1199


def test_a_wide_body_gets_every_value(broker: Any) -> None:
    header = [f"h{n}" for n in range(2300)]
    messages, continuation = chord(header, "body")
    assert broker.enqueue(messages, continuations=[continuation]) == [True] * 2300

    while (deliveries := fetch(broker, 700).deliveries) and deliveries[0].id != "body":
        ended = [succeeded(each, args_of(each)[0]) for each in deliveries]
        assert broker.exchange(ended, None)[0] == []

    (body,) = deliveries
    assert args_of(body) == [list(range(2300))]


def test_a_group_in_the_middle_of_a_chain_of_more_messages_than_one_call_sends(
    broker: Any,
) -> None:
    ids = [f"g{n}" for n in range(2600)]
    last = wait_for(ids, release("last", hole=body_hole(2600)), sources=["middle"] * 2600)
    middle = wait_for(
        ["a"], *(release(id_, n, then=last.then(n)) for n, id_ in enumerate(ids)), id_="middle"
    )
    broker.enqueue([member("a", middle.then(0))], continuations=[middle, last])

    (a,) = fetch(broker).deliveries
    broker.exchange([succeeded(a, "A")], None)
    assert depth(broker).open == 2600
    assert broker.waiting(["middle"]) == [None]

    while (deliveries := fetch(broker, 900).deliveries) and deliveries[0].id != "last":
        assert all(args_of(each)[0] == "A" for each in deliveries)
        broker.exchange([succeeded(each, args_of(each)[1]) for each in deliveries], None)
    assert args_of(deliveries[0]) == [list(range(2600))]


def test_a_chord_of_chords_of_chains_nests(broker: Any) -> None:
    outer = wait_for(
        ["left", "right"], release("outer", hole=body_hole(2)), sources=["k-left", "k-right"]
    )
    left = wait_for(
        ["l2", "l3"], release("left", then=outer.then(0), hole=body_hole(2)), sources=["k-l2", ""]
    )
    right = wait_for(["r1"], release("right", then=outer.then(1), hole=body_hole(1)))
    l1, chained = chain("l1", "l2", then=left.then(0))
    messages = [l1, member("l3", left.then(1)), member("r1", right.then(0))]
    broker.enqueue(messages, continuations=[outer, left, right, *chained])

    seen: dict[str, Any] = {}
    while deliveries := fetch(broker).deliveries:
        for each in deliveries:
            seen[each.id] = args_of(each)
            broker.exchange([succeeded(each, each.id)], None)

    assert seen["l2"] == ["l1"]
    assert seen["left"] == [["l2", "l3"]]
    assert seen["right"] == [["r1"]]
    assert seen["outer"] == [["left", "right"]]


def test_a_release_that_takes_nothing_is_sent_as_it_is(broker: Any) -> None:
    waits = wait_for(["a"], release("b", 1, 2, hole=IMMUTABLE))
    broker.enqueue([member("a", waits.then(0))], continuations=[waits])

    (a,) = fetch(broker).deliveries
    assert part_of(a).values == ()
    broker.exchange([succeeded(a)], None)

    assert args_of(fetch(broker).deliveries[0]) == [1, 2]


@pytest.mark.parametrize("serializer", ["json", "msgpack", "pickle"])
@pytest.mark.parametrize("own", [(), (1,), tuple(range(15)), tuple(range(40))])
def test_values_come_before_own_arguments_in_every_serializer(
    broker: Any, serializer: str, own: tuple[int, ...]
) -> None:
    value = {"list": [1, None, "ü"], "b": b"\x00\xff"}
    step = release("step", *own, serializer=serializer)
    body = release("body", *own, serializer=serializer, hole=body_hole(2))
    first = wait_for(["a"], step)
    second = wait_for(["b", "c"], body)
    messages = [
        member("a", first.then(0)),
        member("b", second.then(0)),
        member("c", second.then(1)),
    ]
    broker.enqueue(messages, continuations=[first, second])

    broker.exchange([succeeded(each, value) for each in fetch(broker).deliveries], None)

    seen = {each.id: args_of(each) for each in fetch(broker).deliveries}
    assert seen == {"step": [value, *own], "body": [[value, value], *own]}


def test_one_value_goes_to_messages_of_several_serializers(broker: Any) -> None:
    names = ("json", "msgpack", "pickle")
    waits = wait_for(
        ["a", "b"],
        *(release(name, serializer=name, hole=body_hole(2)) for name in names),
        release("deaf", 5, hole=body_hole(2, "nothing")),
    )
    broker.enqueue([member("a", waits.then(0)), member("b", waits.then(1))], continuations=[waits])
    broker.exchange([succeeded(each, [each.id]) for each in fetch(broker).deliveries], None)

    seen = {each.id: args_of(each) for each in fetch(broker).deliveries}
    assert seen == {**{name: [[["a"], ["b"]]] for name in names}, "deaf": [5]}


def test_released_messages_have_their_queue_priority_and_times_from_then_on(
    brokers: Sample,
) -> None:
    broker = brokers.broker
    waits = wait_for(
        ["a"],
        release("low", queue="other"),
        release("high", queue="other", priority=9),
        release("late", delay_ms=500),
        release("at", eta_ms=NOW + 90_000),
        release("short", ttl_ms=700),
    )
    broker.enqueue([member("a", waits.then(0))], continuations=[waits])
    brokers.at(NOW + 60_000)
    broker.exchange([succeeded(fetch(broker).deliveries[0], 1)], None)

    assert ids_of(fetch(broker, queues=("other",))) == ["high", "low"]
    (short,) = fetch(broker).deliveries
    envelope = open_envelope(short.raw)
    assert (envelope.expires_ms, envelope.enqueued_ms) == (NOW + 60_700, NOW + 60_000)
    assert broker.stage("late") is Stage.SCHEDULED
    brokers.at(NOW + 60_500)
    assert ids_of(fetch(broker)) == ["late"]
    brokers.at(NOW + 90_000)
    assert ids_of(fetch(broker)) == ["at"]


def test_what_is_not_released_yet_is_no_backlog_and_has_no_stage(broker: Any) -> None:
    first, continuations = chain("a", "b", "c")
    broker.enqueue([first], continuations=continuations)

    assert (depth(broker).open, depth(broker).enqueued) == (1, 1)
    assert broker.stage("b") is Stage.UNKNOWN


def test_a_message_that_is_declared_with_its_workflow_twice_is_there_once(broker: Any) -> None:
    messages, continuation = chord(["a", "b"], "body")
    assert broker.enqueue(messages, continuations=[continuation]) == [True, True]
    assert broker.enqueue(messages, continuations=[continuation]) == [False, False]

    assert run_all(broker) == ["a", "b", "body"]


async def test_the_async_twin_declares_too(broker: Any) -> None:
    first, continuations = chain("a", "b")
    assert await broker.aenqueue([first], continuations=continuations) == [True]

    assert run_all(broker) == ["a", "b"]
    await broker.aclose()


def test_a_workflow_without_a_message_is_only_declared(broker: Any) -> None:
    waits = wait_for(["elsewhere"], release("b"))
    assert broker.enqueue([], continuations=[waits]) == []

    assert broker.waiting(["k-b", "nothing"]) == [
        Waiting(id="k-b", members=("elsewhere",), arrived=(), sends=("b",)),
        None,
    ]


def test_who_waits_for_what_can_be_asked(broker: Any) -> None:
    messages, continuation = chord(["a", "b", "c"], "body")
    broker.enqueue(messages, continuations=[continuation])
    a, _, c = fetch(broker).deliveries
    broker.exchange([succeeded(c, 1), succeeded(a, 1)], None)

    (waiting,) = broker.waiting([continuation.id])
    assert waiting.members == ("a", "b", "c")
    assert waiting.arrived == (0, 2)
    assert waiting.sends == ("body",)


# -- a part counts once


def test_a_part_that_two_workers_give_counts_once(brokers: Sample) -> None:
    broker = brokers.broker
    messages, continuation = chord(["a", "b"], "body")
    broker.enqueue(messages, continuations=[continuation])
    a, b = fetch(broker).deliveries
    brokers.at(NOW + 20_000)
    broker.reap("q", "w2")
    again = {each.id: each for each in fetch(broker).deliveries}

    # The one whose lease ran out gives its part too late; nothing comes of it.
    assert broker.exchange([succeeded(a, "late")], None)[0] == ["a"]
    assert broker.exchange([succeeded(again["a"], "A")], None)[0] == []
    assert broker.exchange([succeeded(again["a"], "A")], None)[0] == ["a"]
    assert broker.exchange([succeeded(b, "late")], None)[0] == ["b"]
    broker.exchange([succeeded(again["b"], "B")], None)

    (body,) = fetch(broker).deliveries
    assert args_of(body) == [["A", "B"]]
    assert fetch(broker).deliveries == []


def test_a_part_that_is_delivered_again_is_not_counted_again(broker: Any) -> None:
    messages, continuation = chord(["a", "b"], "body")
    broker.enqueue(messages, continuations=[continuation])
    a, b = fetch(broker).deliveries

    broker.deliver([part_of(a, 1), part_of(a, 2)])
    broker.deliver([part_of(a, 3)])
    assert fetch(broker).deliveries == []
    broker.deliver([part_of(b, 4)])
    broker.deliver([part_of(b, 5)])

    (body,) = fetch(broker).deliveries
    assert args_of(body) == [[1, 4]]


def test_parts_of_several_continuations_end_in_one_trip(broker: Any) -> None:
    workflows = [chord([f"{n}a", f"{n}b"], f"{n}body") for n in range(4)]
    for messages, continuation in workflows:
        broker.enqueue(messages, continuations=[continuation])
    deliveries = fetch(broker).deliveries

    stale, fetched = broker.exchange(
        [succeeded(each, each.id) for each in deliveries],
        REQUEST,
    )

    assert stale == []
    assert {each.id: args_of(each) for each in fetched.deliveries} == {
        f"{n}body": [[f"{n}a", f"{n}b"]] for n in range(4)
    }


# -- what may happen to a member on its way


def test_a_retry_keeps_its_place(broker: Any) -> None:
    messages, continuation = chord(["a", "b"], "body")
    broker.enqueue(messages, continuations=[continuation])
    a, b = fetch(broker).deliveries
    again = member("a", then_of(a.raw), queue="slow")
    ended = [Again(id="a", queue="q", token=a.token, message=again), succeeded(b, "B")]
    broker.exchange(ended, None)
    assert fetch(broker).deliveries == []

    (a,) = fetch(broker, queues=("slow",)).deliveries
    broker.exchange([succeeded(a, "A")], None)

    assert args_of(fetch(broker).deliveries[0]) == [["A", "B"]]


def test_a_hand_back_gives_no_part(broker: Any) -> None:
    first, continuations = chain("a", "b")
    broker.enqueue([first], continuations=continuations)
    broker.exchange([hand_back(fetch(broker).deliveries[0])], None)

    assert run_all(broker) == ["a", "b"]


def test_a_workflow_takes_the_place_of_a_member(broker: Any) -> None:
    messages, continuation = chord(["a", "b"], "body")
    broker.enqueue(messages, continuations=[continuation])
    a, b = fetch(broker).deliveries
    x, inner = chain("x", "a", then=then_of(a.raw))
    replaced = StepDone(
        id="a", queue="q", token=a.token, followups=(x,), declares=tuple(inner),
        holds=then_of(a.raw), holder=f"c{inner[0].id}",
    )  # fmt: skip
    broker.exchange([replaced, succeeded(b, "B")], None)

    assert broker.sweep(0, 10) == 0
    (x_,) = fetch(broker).deliveries
    broker.exchange([succeeded(x_, "X")], None)
    assert broker.sweep(0, 10) == 0
    (a,) = fetch(broker).deliveries
    assert args_of(a) == ["X"]
    broker.exchange([succeeded(a, "A")], None)
    assert args_of(fetch(broker).deliveries[0]) == [["A", "B"]]


def test_members_that_are_added_come_behind_the_others_in_the_order_of_their_index(
    broker: Any,
) -> None:
    messages, continuation = chord(["a", "b"], "body")
    broker.enqueue(messages, continuations=[continuation])
    a, b = fetch(broker).deliveries
    added = [
        member(id_, continuation.then(index)) for id_, index in (("y", 2**33 + 9), ("x", 2**33))
    ]
    grown = succeeded(a, "A", followups=tuple(added), grows=((2**33 + 9, "y"), (2**33, "x")))
    broker.exchange([succeeded(b, "B")], None)
    broker.exchange([grown], None)

    (waiting,) = broker.waiting([continuation.id])
    assert waiting.members == ("a", "b", "x", "y")
    assert broker.sweep(0, 10) == 0
    broker.exchange([succeeded(each, each.id) for each in fetch(broker).deliveries], None)
    assert args_of(fetch(broker).deliveries[0]) == [["A", "B", "x", "y"]]
