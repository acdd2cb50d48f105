"""Commands to workers, and looking at what waits for its time; on every broker."""

from __future__ import annotations

import threading

from broker_samples import SOON, Sample
from broker_state import NOW, send
from waiting import eventually
from windlass.brokers.base import ControlMessage
from windlass.control_plane.scheduled import list_revoked, list_scheduled
from windlass.messages import open_envelope


def test_call_reaches_those_who_listen_and_their_answers_come_back(brokers: Sample) -> None:
    call = ControlMessage(kind="call", method="ping", arguments={"n": [1]}, reply_to="me")
    assert brokers.broker.call_workers(call) == 0
    heard: list[ControlMessage] = []
    listening = threading.Thread(
        target=lambda: heard.append(next(brokers.other.control_messages(SOON))), daemon=True
    )
    listening.start()
    answers = brokers.broker.answers("me")
    eventually(lambda: brokers.broker.call_workers(call) == 1)
    listening.join(SOON)
    assert heard == [call]

    brokers.other.answer_call("me", b"one")
    brokers.other.answer_call("somebody-else", b"two")
    brokers.other.answer_call("me", b"three")
    assert [answers.next_payload(SOON), answers.next_payload(SOON)] == [b"one", b"three"]
    assert answers.next_payload(0.01) is None
    answers.close()
    brokers.other.answer_call("me", b"nobody listens")


def test_scheduled_messages_and_revoked_ids_are_listed(brokers: Sample) -> None:
    send(brokers.broker, "late", delay_ms=9_000)
    send(brokers.broker, "soon", delay_ms=5_000, priority=7)
    send(brokers.broker, "now")

    found = list_scheduled(brokers.broker, "q")
    assert [(each.id, each.priority, each.due_ms - NOW) for each in found] == [
        ("soon", 7, 5_000), ("late", 0, 9_000),
    ]  # fmt: skip
    assert open_envelope(found[0].raw).queue == "q"
    assert [each.id for each in list_scheduled(brokers.broker, "q", 1)] == ["soon"]
    assert list_scheduled(brokers.broker, "empty") == []
    brokers.broker.revoke(["unknown"])
    assert list_revoked(brokers.broker) == ["unknown"]


def test_nothing_is_missed_that_is_sent_once_the_broker_says_that_one_listens(
    brokers: Sample,
) -> None:
    call = ControlMessage(kind="call", method="ping", reply_to="me")
    heard_by: list[int] = []

    def tell() -> None:
        heard_by.append(brokers.broker.call_workers(call))

    assert next(brokers.other.control_messages(SOON, tell)) == call
    assert heard_by == [1]
