from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from broker_state import (
    FINAL,
    NOW,
    at,
    done,
    fetch,
    has_bytes,
    ids_of,
    lease,
    leftovers,
    out_of_memory,
    places,
    read,
    send,
    settle,
    snapshot,
)
from builders import make_message
from redis_server import RedisServer
from windlass.brokers.base import Bury, HandBack, Park
from windlass.brokers.memory_queue import stamped
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.depth import read_depths
from windlass.control_plane.heartbeats import WorkerStatus, beat
from windlass.states import Stage

DAY_MS = 24 * 3600 * 1000


def revoke(broker: RedisBroker, id_: str = "a", **options: Any) -> Stage:
    return broker.revoke([id_], result_for=lambda _id: FINAL, **options)[id_]


def send_ready(broker: RedisBroker) -> None:
    send(broker, "a", priority=4)


def send_scheduled(broker: RedisBroker) -> None:
    send(broker, "a", delay_ms=500, priority=4)


def send_parked(broker: RedisBroker) -> None:
    (d,) = lease(broker, "a")
    settle(broker, Park(id="a", queue="q", token=d.token, task="tests.unknown"))


@pytest.mark.parametrize(
    ("send_it", "stage"),
    [
        (send_ready, Stage.QUEUED),
        (send_scheduled, Stage.SCHEDULED),
        (send_parked, Stage.PARKED),
    ],
)
def test_what_waits_is_as_good_as_gone_at_once(
    broker: RedisBroker, send_it: Callable[[RedisBroker], None], stage: Stage
) -> None:
    send_it(broker)

    assert stage == revoke(broker)

    assert FINAL.payload == read(broker, "GET", broker.keys.result("a"))
    assert broker.stage("a") == Stage.DONE
    depth = read_depths(broker, ["q"])[0]
    assert (depth.open, depth.scheduled, depth.parked) == (0, 0, 0)
    at(broker, NOW + 500)
    assert ids_of(fetch(broker)) == []
    assert leftovers(broker) == []


def test_revoking_again_finds_it_done(broker: RedisBroker) -> None:
    send(broker, "a")
    revoke(broker)
    before = snapshot(broker)

    assert broker.revoke(["a"])["a"] == Stage.DONE
    assert before == snapshot(broker)


def test_a_due_message_that_nobody_promoted_yet_is_revoked(broker: RedisBroker) -> None:
    send(broker, "a", delay_ms=5)
    at(broker, NOW + 5)

    assert revoke(broker) == Stage.SCHEDULED
    assert ids_of(fetch(broker)) == []


def test_a_promoted_message_is_revoked_in_the_ready_list(broker: RedisBroker) -> None:
    send(broker, "a", "b", delay_ms=5)
    at(broker, NOW + 5)
    (first,) = fetch(broker, 1).deliveries
    other = "b" if first.id == "a" else "a"

    assert revoke(broker, other) == Stage.QUEUED
    settle(broker, done(first))
    assert ids_of(fetch(broker)) == []
    assert leftovers(broker) == []


def test_what_a_worker_has_is_marked_with_its_signal_for_the_next_delivery(
    broker: RedisBroker,
) -> None:
    (delivery,) = lease(broker, "a")

    assert revoke(broker, terminate=True, signal="SIGKILL") == Stage.LEASED

    assert broker.revoked(["a", "b"]) == {"a": "SIGKILL"}
    assert read(broker, "EXISTS", broker.keys.result("a")) == 0
    settle(broker, HandBack(id="a", queue="q", token=delivery.token))
    assert fetch(broker).deliveries[0].revoked


def test_a_mark_without_terminate_names_no_signal(broker: RedisBroker) -> None:
    lease(broker, "a")
    revoke(broker)

    assert broker.revoked(["a"]) == {"a": ""}


def test_an_unknown_id_is_marked_for_a_day(broker: RedisBroker) -> None:
    assert revoke(broker) == Stage.UNKNOWN

    send(broker, "a")
    assert fetch(broker).deliveries[0].revoked
    assert read(broker, "EXISTS", broker.keys.result("a")) == 0


def test_marks_and_signals_are_forgotten_after_their_time(broker: RedisBroker) -> None:
    revoke(broker, terminate=True)
    at(broker, NOW + DAY_MS)
    beat(broker, WorkerStatus(worker_id="w1"), ttl_ms=1_000)

    assert broker.revoked(["a"]) == {}
    assert read(broker, "EXISTS", broker.keys.revoked, broker.keys.signals) == 0


def test_a_later_mark_keeps_its_signal_when_an_older_one_ends(broker: RedisBroker) -> None:
    revoke(broker, "old", terminate=True)
    at(broker, NOW + DAY_MS)
    revoke(broker, "new", terminate=True)

    assert broker.revoked(["old", "new"]) == {"new": "SIGTERM"}
    assert read(broker, "HLEN", broker.keys.signals) == 1


def test_a_dead_letter_is_left_alone(broker: RedisBroker) -> None:
    (d,) = lease(broker, "a")
    settle(broker, Bury(id="a", queue="q", token=d.token, reason="x", detail="", worker="w"))
    before = snapshot(broker)

    assert revoke(broker) == Stage.DEAD
    assert before == snapshot(broker)


def test_a_revoked_id_cannot_be_sent_again_while_it_is_in_its_list(broker: RedisBroker) -> None:
    send(broker, "a")
    revoke(broker)

    assert broker.enqueue([make_message(id="a", queue="q")]) == [False]
    assert ids_of(fetch(broker)) == []


def test_each_id_is_looked_up_in_its_own_queue(broker: RedisBroker) -> None:
    send(broker, "a", queue="one")
    send(broker, "b", queue="two", delay_ms=5)

    stages = broker.revoke(["a", "b", "c"])
    assert stages == {"a": "QUEUED", "b": "SCHEDULED", "c": "UNKNOWN"}


def test_a_message_that_moves_between_look_and_revoke_is_found_again(
    broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(broker, "a", queue="new")
    look = broker._revoker.raws_of
    elsewhere = stamped(make_message(id="a", queue="old").tail, 0, NOW)
    answers = iter([{"a": elsewhere}, None])
    monkeypatch.setattr(broker._revoker, "raws_of", lambda ids: next(answers) or look(ids))

    assert revoke(broker) == Stage.QUEUED
    assert ids_of(fetch(broker, queues=("new",))) == []


@pytest.mark.parametrize("raw", [b"", b"\x01", b"\x02" + b"0" * 40, b"\x010" + b"\xff" * 60])
def test_damaged_bytes_are_condemned_in_the_dark_and_never_loop(
    broker: RedisBroker, raw: bytes
) -> None:
    send(broker, "a")
    read(broker, "HSET", broker.keys.messages, "a", raw)

    assert revoke(broker) == Stage.UNKNOWN
    assert fetch(broker).deliveries[0].revoked


def test_a_full_broker_revokes(broker: RedisBroker, each_redis_server: RedisServer) -> None:
    send(broker, "a")
    (delivery,) = lease(broker, "b", queue="other")
    with out_of_memory(each_redis_server):
        assert revoke(broker) == Stage.QUEUED
        assert revoke(broker, "b", terminate=True) == Stage.LEASED
        assert revoke(broker, "c") == Stage.UNKNOWN

    settle(broker, done(delivery))
    assert ids_of(fetch(broker)) == []
    assert not has_bytes(broker, "a")
    assert places(broker, "a") == []
