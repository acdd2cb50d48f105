"""What every broker does with revoked stamps: keeps them a day, and tells workers by a fetch."""

from __future__ import annotations

from typing import Any

import msgspec

from broker_samples import REQUEST, Sample
from broker_state import NOW
from windlass.brokers.base import TOMBSTONE_MS, Fetched
from windlass.stamp_marks import StampMarks


def ask(broker: Any, seen: int = 0) -> Fetched:
    request = msgspec.structs.replace(REQUEST, stamps_seen=seen)
    fetched: Fetched = broker.exchange([], request)[1]
    return fetched


def marks(broker: Any, seen: int = 0) -> StampMarks:
    found = ask(broker, seen).stamps
    assert found is not None
    return found


def test_nothing_is_said_of_stamps_while_none_is_revoked(broker: Any) -> None:
    assert ask(broker).stamps is None


def test_every_worker_hears_of_revoked_stamps_once(broker: Any) -> None:
    broker.revoke_stamps({"customer": ["c1", "c2"], "level": 7})

    found = marks(broker)
    assert found.signal_for({"customer": "c2"}, NOW) == ""
    assert found.signal_for({"level": [1, 7]}, NOW) == ""
    assert found.signal_for({"customer": "c3", "level": "7"}, NOW) is None
    assert ask(broker, found.generation).stamps is None


def test_what_is_revoked_later_is_added_and_heard_of(broker: Any) -> None:
    broker.revoke_stamps({"customer": "c1"})
    first = marks(broker).generation
    broker.revoke_stamps({"customer": "c2"}, "SIGKILL")

    found = marks(broker, first)
    assert found.generation != first
    assert found.signal_for({"customer": "c1"}, NOW) == ""
    assert found.signal_for({"customer": "c2"}, NOW) == "SIGKILL"


def test_a_signal_is_kept_beside_an_earlier_mark_without(broker: Any) -> None:
    broker.revoke_stamps({"customer": "c1"})
    broker.revoke_stamps({"customer": "c1"}, "SIGTERM")

    assert marks(broker).signal_for({"customer": "c1"}, NOW) == "SIGTERM"


def test_a_mark_ends_after_a_day_unless_it_is_set_again(brokers: Sample) -> None:
    broker = brokers.broker
    broker.revoke_stamps({"customer": ["c1", "c2"]})
    held = marks(broker)
    brokers.at(NOW + 1_000)
    broker.revoke_stamps({"customer": "c2"})
    later = NOW + TOMBSTONE_MS
    brokers.at(later)

    found = marks(broker)
    assert found.signal_for({"customer": "c1"}, later) is None
    assert found.signal_for({"customer": "c2"}, later) == ""
    assert held.signal_for({"customer": "c1"}, later) is None, (
        "of a worker that heard nothing since"
    )
