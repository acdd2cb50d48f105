"""Outcomes become settlements; what a killed process cannot say is said by the supervisor."""

from __future__ import annotations

import msgspec
import pytest

from windlass.attempts import Raised
from windlass.brokers.base import (
    Again,
    Bury,
    Crashed,
    DeadEnd,
    Done,
    HandBack,
    Park,
    StoredResult,
)
from windlass.errors import TimeLimitExceeded, WorkerLostError
from windlass.messages import Outgoing
from windlass.results import codec
from windlass.runtime import crew
from windlass.runtime.broker_clock import BrokerClock
from windlass.runtime.casualties import Casualties
from windlass.runtime.hand import Entry, Facts
from windlass.runtime.outcome import Buried, Finished, Retried, Returned, Unknown
from windlass.runtime.settle import Settler
from windlass.runtime.slots import Slot
from windlass.runtime.state import WorkerState

WHO = {"id": "m", "queue": "q", "token": 4}
AGAIN = Outgoing(id="m", queue="q", tail=b"t", delay_ms=5)
STORED = StoredResult(payload=b"r", ttl_ms=60)


def settler(*, stores=True, **options):
    clock = BrokerClock()
    return Settler("w", ttl_ms=60, stores_results=stores, serializer="json", clock=clock, **options)


def entry(facts=None, **fields):
    given = {"deliveries": 0, "handbacks": 0, **fields}
    return Entry("m", "q", 4, b"", facts or Facts("t"), **given)


@pytest.mark.parametrize(
    ("outcome", "settlement"),
    [
        (Finished("SUCCESS"), Done(**WHO, duration_ms=9.0)),
        (Finished("FAILURE", b"r"), Done(**WHO, result=STORED, duration_ms=9.0, state="FAILURE")),
        (Finished("SUCCESS", None, (AGAIN,)), Done(**WHO, followups=(AGAIN,), duration_ms=9.0)),
        (Retried(AGAIN, b"r"), Again(**WHO, message=AGAIN, result=STORED, duration_ms=9.0)),
        (Returned(counted=False), HandBack(**WHO, counted=False)),
        (
            Buried("undecodable", "why", b"r"),
            Bury(
                **WHO,
                reason="undecodable",
                detail="why",
                worker="w",
                result=STORED,
                attempt=b'{"end":"buried","worker":"w","delivery":1,"message":"undecodable: why"}',
            ),
        ),
        (Unknown("x"), Park(**WHO, task="x")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_outcome_has_its_settlement(outcome, settlement):
    assert settler().settle(entry(), outcome, 9.0) == settlement


def test_without_a_backend_nothing_is_stored():
    done = settler(stores=False).settle(entry(), Finished("SUCCESS", b"r"), 1.0)

    assert done.result is None
    assert settler(stores=False).crashed(entry(), "signal 9").result is None


def test_crash_says_why_and_has_an_outcome_for_the_cap():
    crashed = settler().crashed(entry(), "signal 9 (SIGKILL)")

    assert (crashed.reason, crashed.worker) == ("signal 9 (SIGKILL)", "w")
    meta = codec.decode_meta("m", crashed.result.payload, {"json"})
    assert meta.status == "FAILURE"
    assert isinstance(meta.result, WorkerLostError)


def test_task_that_stores_no_errors_gets_none_from_the_supervisor():
    facts = Facts("t")
    facts.stores_errors = False

    assert settler().failed(entry(facts), TimeLimitExceeded(1.0)).result is None


@pytest.mark.parametrize("outcome", [Returned(), Buried("rejected", "no"), Unknown("x")])
def test_acknowledged_message_cannot_go_back_so_it_fails(outcome):
    unfenced = settler().settle_unfenced(entry(is_acked=True), outcome)
    meta = codec.decode_meta("m", unfenced.result.payload, {"json"})

    assert meta.status == "FAILURE"
    assert "acks_late=False" in str(meta.result)


def test_retry_of_an_acknowledged_message_is_sent_as_a_new_one():
    unfenced = settler().settle_unfenced(entry(is_acked=True), Retried(AGAIN, b"r"))

    assert unfenced.followups == (AGAIN,)


class Traffic:
    def __init__(self):
        self.settlements, self.unfenced = [], []

    def settle(self, settlement, now):
        self.settlements.append(settlement)

    def hurry(self, now):
        pass


class Scene:
    """A dead slot with the messages that ran in it."""

    def __init__(self, *entries, doom=None, doomed=None):
        self.slot = Slot(0, 4)
        self.slot.held = dict(enumerate(entries))
        self.slot.doom, self.slot.doomed_seq = doom, doomed
        self.traffic = Traffic()
        self.state = WorkerState()
        Casualties(settler(), self.traffic, self.state).settle(self.slot, "signal 9", 0.0)

    @property
    def kinds(self):
        return [type(settlement) for settlement in self.traffic.settlements]


def test_everything_that_ran_in_a_process_that_died_has_crashed():
    scene = Scene(entry(), entry())

    assert scene.kinds == [Crashed, Crashed]


@pytest.mark.parametrize("doom", [crew.HARD_LIMIT, crew.TERMINATED])
def test_neighbours_of_a_message_that_was_ended_on_purpose_are_handed_back_uncounted(doom):
    scene = Scene(entry(), entry(hard_s=2.0), entry(), doom=doom, doomed=1)

    assert scene.kinds == [HandBack, Done, HandBack]
    assert not any(s.counted for s in scene.traffic.settlements if isinstance(s, HandBack))
    assert scene.state.handed_back_total == 2


def test_cold_stop_hands_back_counted():
    scene = Scene(entry(), doom=crew.COLD_STOP)

    assert scene.traffic.settlements == [HandBack(**WHO, counted=True)]


def test_memory_kill_is_a_crash_in_words():
    slot_text = "900 KiB of memory, over twice"
    scene = Scene(doom=crew.MEMORY)
    scene.slot.held = {0: entry()}
    scene.slot.doom_text = slot_text
    Casualties(settler(), scene.traffic, scene.state).settle(scene.slot, "signal 9", 0.0)

    assert scene.traffic.settlements[0].reason == slot_text


@pytest.mark.parametrize("doom", [None, crew.COLD_STOP, crew.HARD_LIMIT])
def test_acknowledged_message_ends_as_failure_and_never_goes_back(doom):
    scene = Scene(entry(is_acked=True), doom=doom, doomed=9)

    assert scene.traffic.settlements == []
    (unfenced,) = scene.traffic.unfenced
    meta = codec.decode_meta("m", unfenced.result.payload, {"json"})
    assert isinstance(meta.result, WorkerLostError)


def test_message_whose_lease_was_lost_is_nobodys_business_here():
    scene = Scene(entry(is_lost=True))

    assert (scene.traffic.settlements, scene.traffic.unfenced) == ([], [])


RAISED = Raised("ValueError", "no price for 'A7'", "Traceback ...", 2)


@pytest.mark.parametrize(
    ("keeps", "outcome", "reason"),
    [
        ({"q": {"failed"}}, Finished("FAILURE", dead_as="failed", raised=RAISED), "failed"),
        ({"q": {"expired"}}, Finished("REVOKED", dead_as="expired"), "expired"),
        ({}, Finished("FAILURE", dead_as="failed", raised=RAISED, keeps=True), "failed"),
        ({"q": {"expired"}}, Finished("FAILURE", dead_as="failed", raised=RAISED), None),
        ({"other": {"failed"}}, Finished("FAILURE", dead_as="failed", raised=RAISED), None),
        ({"q": {"failed", "expired"}}, Finished("REVOKED"), None),
        ({"q": {"failed", "expired"}}, Finished("SUCCESS"), None),
    ],
)
def test_an_end_is_kept_where_queue_or_task_says_so(keeps, outcome, reason):
    settled = settler(keeps=keeps).settle(entry(generation=1), outcome, 9.0)

    assert settled.state == outcome.state
    assert (settled.reason if isinstance(settled, DeadEnd) else None) == reason


def test_texts_that_may_name_arguments_are_left_out_where_those_are_encrypted():
    class Encrypting:
        encrypts = True

    outcome = Finished("FAILURE", dead_as="failed", raised=RAISED, keeps=True)
    plain = settler().settle(entry(), outcome, 9.0)
    hidden = settler(seals=Encrypting()).settle(entry(), outcome, 9.0)

    assert (plain.detail, b"A7" in plain.attempt) == ("ValueError: no price for 'A7'", True)
    assert (hidden.detail, b"A7" in hidden.attempt) == ("ValueError", False)
    assert msgspec.json.decode(hidden.attempt)["retry"] == 2
