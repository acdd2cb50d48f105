from __future__ import annotations

import pytest

from broker_state import fetch, read, settle, snapshot
from windlass.brokers.base import StepDone
from windlass.brokers.redis import RedisBroker
from windlass.brokers.redis_sweep import Found, Missing, Sweeper
from windlass.continuations import VANISHED
from windlass.control_plane.heartbeats import WorkerStatus, beat
from windlass.messages import then_of
from workflow_samples import chain, chord, failure_in, succeeded


@pytest.fixture
def sweeper(broker: RedisBroker) -> Sweeper:
    continuations = broker.continuations
    return Sweeper(broker.links, broker.keys, broker.commands, continuations.release)


def lose(sweeper: Sweeper, missing: Missing, id_: str = "k-body") -> bool:
    """Take a part for lost, as somebody would who looked a moment ago."""
    return sweeper._lose(id_, ["q"], Found(missing, VANISHED, "q"))


def test_a_message_that_is_there_again_is_not_lost(broker: RedisBroker, sweeper: Sweeper) -> None:
    messages, continuation = chord(["a"], "body")
    broker.enqueue(messages, continuations=[continuation])
    before = snapshot(broker)

    assert not lose(sweeper, Missing(0, "a", "", ""))
    assert before == snapshot(broker)


def test_a_part_that_has_come_meanwhile_is_not_lost(broker: RedisBroker, sweeper: Sweeper) -> None:
    messages, continuation = chord(["a", "b"], "body")
    broker.enqueue(messages, continuations=[continuation])
    settle(broker, succeeded(fetch(broker, 1).deliveries[0], 1))

    assert not lose(sweeper, Missing(0, "a", "", ""))
    assert fetch(broker, 1).deliveries[0].id == "b"


def test_a_message_that_is_still_to_be_sent_is_not_lost(
    broker: RedisBroker, sweeper: Sweeper
) -> None:
    first, continuations = chain("a", "b", "c")
    broker.enqueue([first], continuations=continuations)

    assert not lose(sweeper, Missing(0, "b", "k-b", ""), "k-c")


def test_a_holder_that_changed_or_lives_answers_for_it(
    broker: RedisBroker, sweeper: Sweeper
) -> None:
    messages, continuation = chord(["a"], "body")
    broker.enqueue(messages, continuations=[continuation])
    (a,) = fetch(broker).deliveries
    held = {"id": "a", "queue": "q", "token": a.token, "holds": then_of(a.raw)}
    settle(broker, StepDone(**held, holder="wW"))  # type: ignore[arg-type]
    assert not lose(sweeper, Missing(0, "a", "", ""))
    beat(broker, WorkerStatus(worker_id="W", hostname="h", pid=1, app="", version=""), 5000)
    assert not lose(sweeper, Missing(0, "a", "", "wW"))

    read(broker, "DEL", broker.keys.workers_seen)
    assert lose(sweeper, Missing(0, "a", "", "wW"))
    assert failure_in(fetch(broker).deliveries[0]).id == "a"


def test_lost_twice_it_is_told_once(broker: RedisBroker, sweeper: Sweeper) -> None:
    _, continuation = chord(["a"], "body")
    broker.enqueue([], continuations=[continuation])

    assert lose(sweeper, Missing(0, "a", "", ""))
    assert not lose(sweeper, Missing(0, "a", "", ""))
    assert len(fetch(broker).deliveries) == 1
