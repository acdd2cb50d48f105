"""Whatever ends a step without its task is a failed part of what waits for it."""

from __future__ import annotations

import pytest

from windlass.brokers.base import Bury, Crashed, Done, StepDone
from windlass.continuations import Failure
from windlass.errors import TaskRevokedError, TimeLimitExceeded
from windlass.messages import Then
from windlass.runtime.broker_clock import BrokerClock
from windlass.runtime.hand import Entry, Facts
from windlass.runtime.outcome import Buried, Returned, Stepped
from windlass.runtime.settle import Settler
from workflow_samples import member

THEN = Then("next", 2, "j", ("q",))


def settler(*, stores: bool = True) -> Settler:
    return Settler("W", ttl_ms=60, stores_results=stores, serializer="json", clock=BrokerClock())


def entry(then: Then | None = THEN) -> Entry:
    raw = b"\x010" + bytes(18) + member("m", then).tail
    return Entry("m", "q", 4, raw, Facts("t"), 0, 0)


def told(part) -> tuple[str, str, bytes]:
    assert part.then == THEN
    failure = Failure.decode(part.failure)
    return failure.id, failure.state, failure.error


@pytest.mark.parametrize("stores", [True, False])
def test_a_hard_limit_is_a_failed_part(stores: bool) -> None:
    ended = settler(stores=stores).failed(entry(), TimeLimitExceeded(5.0))

    assert isinstance(ended, StepDone)
    assert told(ended.part)[:2] == ("m", "FAILURE")
    assert b"TimeLimitExceeded" in told(ended.part)[2]
    assert (ended.result is not None) is stores


def test_a_revoke_is_a_revoked_part() -> None:
    ended = settler().failed(entry(), TaskRevokedError("revoked"), "REVOKED")

    assert isinstance(ended, StepDone)
    assert told(ended.part)[1] == "REVOKED"


def test_a_crash_brings_the_part_for_the_cap() -> None:
    ended = settler().crashed(entry(), "signal 9 (SIGKILL)")

    assert isinstance(ended, Crashed)
    assert b"SIGKILL" in told(ended.part)[2]


@pytest.mark.parametrize("failure", [b"", Failure("m", "FAILURE", b"j{}").encode()])
def test_a_dead_letter_is_a_failed_part(failure: bytes) -> None:
    ended = settler().settle(entry(), Buried("undecodable", "no JSON", None, failure), 1.0)

    assert isinstance(ended, Bury)
    assert told(ended.part)[2] == b"j{}" if failure else b"no JSON" in told(ended.part)[2]


def test_an_acknowledgement_at_start_says_who_answers_for_the_part() -> None:
    ended = settler().acknowledge(entry())

    assert isinstance(ended, StepDone)
    assert (ended.part, ended.holds, ended.holder) == (None, THEN, "wW")


def test_an_acknowledged_step_gives_its_part_afterwards() -> None:
    part = settler().failed(entry(), TaskRevokedError("x")).part  # type: ignore[union-attr]
    ended = settler().settle_unfenced(entry(), Stepped("FAILURE", b"r", (), part))
    handed_back = settler().settle_unfenced(entry(), Returned())

    assert ended.step is not None
    assert ended.step.part is part
    assert handed_back.step is not None
    assert b"acknowledged at start" in told(handed_back.step.part)[2]


def test_what_is_no_step_ends_as_ever() -> None:
    made = settler()

    assert type(made.failed(entry(None), TimeLimitExceeded(5.0))) is Done
    assert type(made.acknowledge(entry(None))) is Done
    assert made.crashed(entry(None), "x").part is None
    assert made.settle_unfenced(entry(None), Returned()).step is None
