"""The answer to an enqueue is lost, and what was sent has ended before the client tries again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from broker_state import FINAL, done, fetch, settle
from builders import make_message, make_messages
from redis_server import RedisServer
from unique_samples import make_unique
from windlass.brokers.base import Delivery, StepDone
from windlass.brokers.publish_retry import PublishRetry
from windlass.brokers.redis import RedisBroker
from windlass.errors import OperationalError
from windlass.messages import then_of
from windlass.redis_store.async_connection import AsyncLinks
from windlass.redis_store.connection import Links
from windlass.redis_store.wire import Reply
from windlass.states import Stage
from workflow_samples import chain, chord, part_of

AT_ONCE = PublishRetry(interval_start=0.0, interval_step=0.0)
QUEUES = ("q", "bodies")


@pytest.fixture
def broker(redis_server: RedisServer) -> Iterator[RedisBroker]:
    broker = RedisBroker(redis_server.url, keyspace="lost")
    yield broker
    broker.close()


@pytest.fixture
def other(redis_server: RedisServer) -> Iterator[RedisBroker]:
    other = RedisBroker(redis_server.url, keyspace="lost")
    yield other
    other.close()


def lose_first_answer(
    monkeypatch: pytest.MonkeyPatch, broker: RedisBroker, meanwhile: Callable[[], object]
) -> None:
    """Have the next call be done, and its answer be lost while `meanwhile` happens."""
    lost: list[bool] = []
    real, areal = Links.try_call, AsyncLinks.try_call

    def lose() -> None:
        lost.append(True)
        meanwhile()
        raise OperationalError("the answer is lost")

    def try_call(
        self: Links, commands: Sequence[bytes], within_s: float | None = None
    ) -> list[Reply]:
        replies = real(self, commands, within_s)
        if self is broker.links and not lost:
            lose()
        return replies

    async def atry_call(self: AsyncLinks, commands: Sequence[bytes]) -> list[Reply]:
        replies = await areal(self, commands)
        if self is broker.async_links and not lost:
            lose()
        return replies

    monkeypatch.setattr(Links, "try_call", try_call)
    monkeypatch.setattr(AsyncLinks, "try_call", atry_call)


def run_all(other: RedisBroker, ran: list[str], result: Any = FINAL) -> None:
    """Run whatever is there to its end, steps of workflows too."""
    while deliveries := fetch(other, queues=QUEUES).deliveries:
        for each in deliveries:
            ran.append(each.id)
            settle(other, ended(each, result))


def ended(delivery: Delivery, result: Any) -> Any:
    if then_of(delivery.raw) is None:
        return done(delivery, result=result)
    return StepDone(
        id=delivery.id, queue=delivery.queue, token=delivery.token, result=result,
        part=part_of(delivery, 1),
    )  # fmt: skip


@pytest.mark.parametrize("count", [1, 3], ids=["one", "many"])
def test_plain_messages_are_run_once(
    broker: RedisBroker, other: RedisBroker, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    ran: list[str] = []
    messages = make_messages(count, queue="q")
    lose_first_answer(monkeypatch, broker, lambda: run_all(other, ran))

    assert broker.enqueue(messages, AT_ONCE) == [False] * count

    run_all(other, ran)
    assert sorted(ran) == sorted(message.id for message in messages)


async def test_the_async_twin_runs_them_once_too(
    broker: RedisBroker, other: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    lose_first_answer(monkeypatch, broker, lambda: run_all(other, ran))

    assert await broker.aenqueue([make_message(id="a", queue="q")], AT_ONCE) == [False]

    run_all(other, ran)
    assert ran == ["a"]
    await broker.async_links.close()


def test_what_is_there_and_waits_is_left_as_it_is(
    broker: RedisBroker, other: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_first_answer(monkeypatch, broker, lambda: None)

    assert broker.enqueue([make_message(id="a", queue="q")], AT_ONCE) == [False]
    assert other.stage("a") is Stage.QUEUED


@pytest.mark.parametrize("is_ended", [True, False], ids=["ended", "in the middle"])
@pytest.mark.parametrize("kind", ["chain", "chord"])
def test_a_workflow_is_run_once(
    broker: RedisBroker,
    other: RedisBroker,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    is_ended: bool,
) -> None:
    if kind == "chain":
        first, waits = chain("a", "b", "c")
        messages, continuations, ids = [first], list(waits), ["a", "b", "c"]
    else:
        messages, body = chord(["a", "b"], "c", queue="bodies")
        continuations, ids = [body], ["a", "b", "c"]
    ran: list[str] = []

    def meanwhile() -> None:
        if is_ended:
            run_all(other, ran)
            return
        (step,) = fetch(other, 1, QUEUES).deliveries
        ran.append(step.id)
        settle(other, ended(step, None))

    lose_first_answer(monkeypatch, broker, meanwhile)
    assert broker.enqueue(messages, AT_ONCE, continuations) == [False] * len(messages)

    run_all(other, ran)
    assert sorted(ran) == ids
    assert other.waiting([each.id for each in continuations]) == [None] * len(continuations)


def test_a_workflow_whose_only_trace_is_what_waits_is_not_begun_again(
    broker: RedisBroker, other: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first step was acknowledged at its start, and runs."""
    first, waits = chain("a", "b")

    def meanwhile() -> None:
        (step,) = fetch(other, 1, QUEUES).deliveries
        end = StepDone(
            id=step.id, queue="q", token=step.token, holds=then_of(step.raw), holder="ww1"
        )
        settle(other, end)

    lose_first_answer(monkeypatch, broker, meanwhile)

    assert broker.enqueue([first], AT_ONCE, waits) == [False]
    assert other.stage("a") is Stage.UNKNOWN


@pytest.mark.parametrize("until", ["queued", "done", "period", "throttle"])
def test_a_unique_message_is_run_once_also_without_an_outcome(
    broker: RedisBroker, other: RedisBroker, monkeypatch: pytest.MonkeyPatch, until: str
) -> None:
    ran: list[str] = []
    lose_first_answer(monkeypatch, broker, lambda: run_all(other, ran, None))

    (answer,) = broker.enqueue_unique([make_unique("a", until, period_ms=60_000)], AT_ONCE)

    run_all(other, ran)
    assert (answer.id, answer.is_held) == ("a", False)
    assert ran == ["a"]


def test_a_first_try_looks_at_no_outcome(broker: RedisBroker, other: RedisBroker) -> None:
    """An id of one's own is checked because the message says so, not because it was tried."""
    ran: list[str] = []
    for _ in range(2):
        broker.enqueue([make_message(id="a", queue="q")])
        run_all(other, ran)

    assert ran == ["a", "a"]
