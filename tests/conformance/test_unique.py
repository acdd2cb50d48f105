"""Messages that must not be beside others like them: every mode, on every broker."""

from __future__ import annotations

from typing import Any

import pytest

from broker_samples import Sample, bury, crashed, depth, hand_back
from broker_state import FINAL, LEASE_MS, NOW, PENDING, done, settle
from builders import make_message
from unique_samples import GONE, claim, make_unique, take
from windlass.brokers.base import Again, Park
from windlass.brokers.unique import Claimed
from windlass.control_plane.dead_letters import replay
from windlass.states import Stage
from workflow_samples import body_hole, failure_in, is_failing, member, release, wait_for

HELD = Claimed("a", is_held=True)
RUNNING = Claimed("a", is_held=True, is_running=True)


def new(id_: str) -> Claimed:
    return Claimed(id_, is_new=True)


@pytest.mark.parametrize("until", ["queued", "started", "done"])
def test_while_the_first_one_waits_others_with_its_key_are_not_stored(
    broker: Any, until: str
) -> None:
    assert claim(broker, "a", until) == new("a")

    assert claim(broker, "b", until) == HELD
    assert claim(broker, "c", until, key="t:other") == new("c")
    assert claim(broker, "d", until, delay_ms=5, on_duplicate="reject") == HELD
    assert [each.id for each in take(broker)] == ["a", "c"]


@pytest.mark.parametrize("times", [{"delay_ms": 9_000}, {"priority": 5}])
def test_a_holder_is_found_wherever_it_waits(broker: Any, times: dict[str, int]) -> None:
    claim(broker, "a", **times)

    assert claim(broker, "b") == HELD
    assert claim(broker, "b", queue="elsewhere") == HELD


def test_a_parked_holder_holds(broker: Any) -> None:
    claim(broker, "a", "started")
    (held,) = take(broker)
    settle(broker, Park(id="a", queue="q", token=held.token, task="tests.noop"))

    assert claim(broker, "b", "started") == HELD


@pytest.mark.parametrize(
    ("until", "while_it_runs"), [("queued", new("b")), ("started", new("b")), ("done", RUNNING)]
)
def test_what_a_worker_has_holds_only_where_it_is_unique_until_it_is_done(
    broker: Any, until: str, while_it_runs: Claimed
) -> None:
    claim(broker, "a", until)
    take(broker)

    assert claim(broker, "b", until) == while_it_runs


@pytest.mark.parametrize(
    ("until", "once_more"), [("queued", HELD), ("started", new("b")), ("done", HELD)]
)
def test_one_that_waits_for_its_retry_has_been_started_and_is_queued_again(
    brokers: Sample, until: str, once_more: Claimed
) -> None:
    broker = brokers.broker
    claim(broker, "a", until)
    (run,) = take(broker)
    brokers.at(NOW + 1)
    retry = make_message(id="a", queue="q", delay_ms=100)
    settle(broker, Again(id="a", queue="q", token=run.token, message=retry, result=PENDING))

    assert claim(broker, "b", until) == once_more


@pytest.mark.parametrize(
    ("until", "once_more"), [("queued", HELD), ("started", new("b")), ("done", HELD)]
)
def test_one_whose_run_has_crashed_has_been_started_and_is_queued_again(
    broker: Any, until: str, once_more: Claimed
) -> None:
    claim(broker, "a", until)
    (run,) = take(broker)
    settle(broker, crashed(run))

    assert claim(broker, "b", until) == once_more


def test_one_that_is_handed_back_has_not_been_started(broker: Any) -> None:
    claim(broker, "a", "started")
    (run,) = take(broker)
    settle(broker, hand_back(run))

    assert claim(broker, "b", "started") == HELD


@pytest.mark.parametrize("until", ["queued", "started", "done"])
def test_the_end_of_the_holder_frees_the_key_with_or_without_an_outcome(
    broker: Any, until: str
) -> None:
    for id_, outcome in (("a", FINAL), ("b", None), ("c", FINAL)):
        assert claim(broker, id_, until) == new(id_)
        (run,) = take(broker)
        settle(broker, done(run, result=outcome))


def test_a_dead_letter_holds_nothing_and_does_again_when_it_is_replayed(broker: Any) -> None:
    claim(broker, "a")
    (run,) = take(broker)
    settle(broker, bury(run))
    assert claim(broker, "b") == new("b")

    claim(broker, "c", key="t:replayed")
    settle(broker, *(bury(each) for each in take(broker) if each.id == "c"))
    replay(broker, "q", ["c"])
    assert claim(broker, "d", key="t:replayed") == Claimed("c", is_held=True)


@pytest.mark.parametrize("times", [{}, {"delay_ms": 500}])
def test_what_is_revoked_holds_nothing(broker: Any, times: dict[str, int]) -> None:
    claim(broker, "a", **times)
    broker.revoke(["a"], result_for=lambda _: GONE)

    assert claim(broker, "b") == new("b")


def test_what_is_purged_holds_nothing(broker: Any) -> None:
    claim(broker, "a")
    broker.purge("q")

    assert claim(broker, "b") == new("b")


def test_what_has_expired_in_the_queue_will_not_run_and_holds_nothing(brokers: Sample) -> None:
    claim(brokers.broker, "a", ttl_ms=100)
    assert claim(brokers.broker, "b") == HELD

    brokers.at(NOW + 100)
    assert claim(brokers.broker, "b") == new("b")


def test_a_lost_worker_does_not_free_the_key_of_what_it_had(brokers: Sample) -> None:
    broker = brokers.broker
    claim(broker, "a")
    take(broker)
    brokers.at(NOW + LEASE_MS + 1)
    assert claim(broker, "b") == RUNNING

    broker.reap("q", "w2")
    assert claim(broker, "b") == HELD


def test_a_period_is_held_for_its_time_whatever_becomes_of_the_message(brokers: Sample) -> None:
    broker = brokers.broker
    claim(broker, "a", "period", period_ms=1_000)
    (run,) = take(broker)
    settle(broker, done(run))

    brokers.at(NOW + 999)
    assert claim(broker, "b", "period", period_ms=1_000) == HELD
    brokers.at(NOW + 1_000)
    assert claim(broker, "b", "period", period_ms=1_000) == new("b")
    assert claim(broker, "c", "period", period_ms=1_000) == Claimed("b", is_held=True)


# -- replacing


@pytest.mark.parametrize(
    "times", [{}, {"delay_ms": 500}, {"queue": "elsewhere"}, {"queue": "elsewhere", "delay_ms": 5}]
)
def test_a_replaced_one_ends_and_its_successor_takes_its_place(
    brokers: Sample, times: dict[str, Any]
) -> None:
    broker = brokers.broker
    claim(broker, "a", **times)

    assert claim(broker, "b", on_duplicate="replace") == new("b")

    assert broker.stage("a") is Stage.DONE
    assert brokers.results.get_raw("a") == GONE.payload
    assert claim(broker, "c") == Claimed("b", is_held=True)
    brokers.at(NOW + 500)
    assert [each.id for each in take(broker)] == ["b"]
    assert take(broker, queue="elsewhere") == []


def test_a_parked_one_is_replaced_too(broker: Any) -> None:
    claim(broker, "a")
    (held,) = take(broker)
    settle(broker, Park(id="a", queue="q", token=held.token, task="tests.noop"))

    assert claim(broker, "b", on_duplicate="replace") == new("b")
    assert depth(broker).parked == 0


def test_one_that_runs_is_not_replaced(broker: Any) -> None:
    claim(broker, "a")
    take(broker)

    assert claim(broker, "b", on_duplicate="replace") == RUNNING
    assert broker.stage("a") is Stage.LEASED


def test_the_join_of_a_replaced_one_gets_its_part(broker: Any) -> None:
    waits = wait_for(["a"], release("body", hole=body_hole(1)), id_="body")
    message = member("a", waits.then(0))
    message.unique = make_unique("a").unique
    broker.enqueue([], continuations=[waits])
    broker.enqueue_unique([message])

    claim(broker, "b", on_duplicate="replace")

    told = next(each for each in take(broker) if each.id == "body")
    assert is_failing(told)
    assert (failure_in(told).id, failure_in(told).state) == ("a", "REVOKED")


# -- the same id again


def test_an_id_that_is_there_is_left_as_it_is(broker: Any) -> None:
    claim(broker, "a")

    assert claim(broker, "a") == Claimed("a")
    assert claim(broker, "a", key="t:another") == Claimed("a")


def test_an_id_that_has_ended_is_not_run_again_while_its_outcome_is_kept(broker: Any) -> None:
    claim(broker, "a")
    (run,) = take(broker)
    settle(broker, done(run, result=FINAL))

    assert claim(broker, "a") == Claimed("a")
    message = make_message(id="a", queue="q")
    message.once = True
    assert broker.enqueue([message]) == [False]
    assert broker.enqueue([message, make_message(id="b", queue="q")]) == [False, True]


def test_an_id_that_may_be_here_again_is_known_by_its_lock_too(broker: Any) -> None:
    message = make_unique("a")
    message.once = True
    assert broker.enqueue_unique([message]) == [new("a")]
    (run,) = take(broker)
    settle(broker, done(run))

    assert broker.enqueue_unique([message]) == [Claimed("a")]


def test_an_id_with_an_outcome_that_ends_nothing_is_sent(brokers: Sample) -> None:
    brokers.results.store_raw("a", PENDING.payload, 0)
    message = make_message(id="a", queue="q")
    message.once = True

    assert brokers.broker.enqueue([message]) == [True]


# -- many


async def test_the_async_twin_gives_the_same_answers(brokers: Sample) -> None:
    broker = brokers.broker
    waits = wait_for(["a"], release("body", hole=body_hole(1)), id_="body")
    message = member("a", waits.then(0))
    message.unique = make_unique("a").unique
    broker.enqueue([], continuations=[waits])

    assert await broker.aenqueue_unique([message]) == [new("a")]
    assert await broker.aenqueue_unique([make_unique("b"), make_unique("c", key="t:c")]) == [
        HELD,
        new("c"),
    ]
    replacing = make_unique("d", on_duplicate="replace", queue="elsewhere")
    assert await broker.aenqueue_unique([replacing], result_for=lambda _: GONE) == [new("d")]
    assert sorted(each.id for each in take(broker)) == ["body", "c"]
    assert brokers.results.get_raw("a") == GONE.payload
    await broker.aclose()


def test_many_are_sent_in_one_call_and_answered_in_order(broker: Any) -> None:
    claim(broker, "a", queue="elsewhere")
    messages = [
        make_unique("b"),
        make_unique("c", key="t:2"),
        make_unique("d", key="t:2"),
        make_unique("e", on_duplicate="replace"),
    ]

    assert broker.enqueue_unique(messages) == [
        HELD,
        new("c"),
        Claimed("c", is_held=True),
        new("e"),
    ]


def test_locks_that_hold_nothing_are_swept_and_the_others_stay(brokers: Sample) -> None:
    broker = brokers.broker
    claim(broker, "ended", key="t:1")
    settle(broker, *(done(each) for each in take(broker)))
    claim(broker, "waits", key="t:2")
    claim(broker, "period", "period", key="t:3", period_ms=1_000)
    claim(broker, "throttled", "throttle", key="t:4", period_ms=1_000)
    settle(broker, *(done(each) for each in take(broker) if each.id == "throttled"))

    assert broker.sweep_unique()[1:] == (4, 1)
    assert claim(broker, "x", key="t:2") == Claimed("waits", is_held=True, is_running=True)
    brokers.at(NOW + 1_000)
    assert broker.sweep_unique()[1:] == (3, 2)
