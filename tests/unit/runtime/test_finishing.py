"""What the supervisor does with an outcome, and with the broker's word on it."""

from __future__ import annotations

import pytest

from windlass.brokers.base import Again, Done, StepDone, StoredResult
from windlass.continuations import Part
from windlass.messages import Outgoing, Then
from windlass.runtime import wire
from windlass.runtime.broker_clock import BrokerClock
from windlass.runtime.exchange import Answer, Job
from windlass.runtime.finishing import Finisher
from windlass.runtime.hand import Entry, Facts, Grants
from windlass.runtime.outcome import Retried, Stepped
from windlass.runtime.settle import Settler
from windlass.runtime.slots import Slot
from windlass.runtime.state import WorkerState

AGAIN = Outgoing(id="m", queue="q", tail=b"t")


class Traffic:
    def __init__(self):
        self.settlements, self.unfenced, self.started = [], [], []
        self.hurried = self.expected = 0

    def settle(self, settlement, now):
        self.settlements.append(settlement)

    def hurry(self, now):
        self.hurried += 1

    def expect_next(self):
        self.expected += 1


class Dispatcher:
    def __init__(self):
        self.acking, self.heard = {}, []

    def acknowledged(self, message_id, *, is_ours):
        self.heard.append((message_id, is_ours))


class Desk:
    def __init__(self):
        self.traffic, self.dispatcher, self.grants = Traffic(), Dispatcher(), Grants()
        self.state, self.facts = WorkerState(), Facts("t")
        clock = BrokerClock()
        settler = Settler("w", ttl_ms=9, stores_results=True, serializer="json", clock=clock)
        self.finisher = Finisher(settler, self.traffic, self.dispatcher, self.grants, self.state)
        self.slot = Slot(0, 1)

    def hold(self, **fields):
        entry = Entry("m", "q", 4, b"", self.facts, 0, 0, **fields)
        self.grants.add([entry], good_until=100.0)
        self.slot.plan(entry)
        return entry

    def finish(self, kind=wire.PLAIN, payload=b""):
        self.finisher.finish(self.slot, kind, 0, 250.0, payload, 5.0)

    def answer(self, now, *stale):
        job = Job(settlements=[Done(id="m", queue="q", token=4)])
        self.finisher.confirmed(Answer(job=job, stale=list(stale)), now)


@pytest.fixture
def desk():
    return Desk()


def test_success_is_settled_counted_and_measured(desk):
    desk.hold()
    desk.finish()

    assert desk.traffic.settlements == [Done(id="m", queue="q", token=4, duration_ms=250.0)]
    assert desk.facts.counts.ended == {"succeeded": 1}
    assert desk.facts.run_time.estimate_s == 0.25
    assert desk.state.tasks_done == 1


def test_result_goes_along_untouched(desk):
    desk.hold()
    desk.finish(wire.RESULT, b"bytes")

    assert desk.traffic.settlements[0].result.payload == b"bytes"
    assert desk.traffic.expected == 0


def test_other_outcomes_are_decoded(desk):
    desk.hold()
    frame = wire.answer_frame(0, 1.0, Retried(AGAIN))
    desk.finish(wire.OUTCOME, frame[wire.HEADER_SIZE :])

    assert isinstance(desk.traffic.settlements[0], Again)
    assert desk.facts.counts.ended == {"retried": 1}


def test_outcome_of_an_acknowledged_message_is_stored_without_a_fence(desk):
    desk.hold(is_acked=True)
    desk.finish(wire.RESULT, b"bytes")

    assert desk.traffic.settlements == []
    assert desk.traffic.unfenced[0].result.payload == b"bytes"


def test_outcome_of_a_lost_lease_is_dropped(desk):
    desk.hold(is_lost=True)
    desk.finish()

    assert desk.traffic.settlements == []
    assert desk.facts.counts.ended == {}


def test_answer_to_a_message_that_is_not_held_is_nothing(desk):
    desk.finish()

    assert desk.traffic.settlements == []


def test_settled_grant_is_renewed_no_more(desk):
    desk.hold()
    assert desk.grants.by_queue() == {"q": [4]}
    desk.answer(50.0)

    assert desk.grants.by_queue() == {}
    assert desk.state.outcomes_refused_total == 0


def test_outcome_refused_after_the_lease_ran_out_is_counted(desk):
    desk.hold()
    desk.answer(150.0, "m")

    assert desk.state.outcomes_refused_total == 1


def test_refusal_of_a_repeated_job_within_the_lease_means_that_the_first_try_was_carried_out(desk):
    desk.hold()
    desk.answer(50.0, "m")

    assert desk.state.outcomes_refused_total == 0


@pytest.mark.parametrize(
    ("now", "stale", "is_ours"),
    [(50.0, (), True), (50.0, ("m",), True), (150.0, ("m",), False)],
    ids=["acknowledged", "acknowledged by a try whose answer was lost", "somebody else's"],
)
def test_acks_early_message_begins_only_when_it_is_surely_ours(desk, now, stale, is_ours):
    desk.dispatcher.acking["m"] = (desk.hold(acks_early=True), desk.slot)
    desk.answer(now, *stale)

    assert desk.dispatcher.heard == [("m", is_ours)]


def test_the_end_of_a_step_does_not_wait_for_the_few_in_other_lanes(desk):
    part = Part(then=Then("next", 0), values=(b"1",))
    frame = wire.answer_frame(0, 1.0, Stepped("SUCCESS", b"r", (), part))
    desk.slot = Slot(0, 4)
    for _ in range(4):
        desk.hold()
    hurried = []
    for seq in range(4):
        desk.finisher.finish(desk.slot, wire.OUTCOME, seq, 1.0, frame[wire.HEADER_SIZE :], 5.0)
        hurried.append(desk.traffic.hurried)

    assert hurried == [0, 0, 1, 2]


def test_the_end_of_a_step_leaves_at_once_when_nothing_is_there_to_gather(desk):
    part = Part(then=Then("next", 0), values=(b"1",))
    frame = wire.answer_frame(0, 1.0, Stepped("SUCCESS", b"r", (), part))
    desk.hold()
    desk.hold()
    desk.finish(wire.OUTCOME, frame[wire.HEADER_SIZE :])
    assert desk.traffic.hurried == 0

    desk.finisher.finish(desk.slot, wire.OUTCOME, 1, 1.0, frame[wire.HEADER_SIZE :], 5.0)
    assert desk.traffic.hurried == 1
    assert desk.traffic.expected == 2
    assert desk.traffic.settlements[0] == StepDone(
        id="m",
        queue="q",
        token=4,
        result=StoredResult(payload=b"r", ttl_ms=9),
        duration_ms=250.0,
        part=part,
    )
