"""Leases are renewed, heartbeats sent and tombstones looked at, whatever goes wrong."""

from __future__ import annotations

import threading

import pytest

from waiting import eventually
from windlass.errors import OperationalError
from windlass.runtime.hand import Entry, Facts, Grants
from windlass.runtime.lease_keeper import LeaseKeeper, LeasesLost, Revoked


class Broker:
    def __init__(self):
        self.lost, self.tombstones, self.errors = [], {}, []
        self.renewals = []

    def renew(self, tokens, lease_ms):
        if self.errors:
            raise self.errors.pop()
        self.renewals.append((tokens, lease_ms))
        return self.lost

    def revoked(self, ids):
        return {id_: signal for id_, signal in self.tombstones.items() if id_ in ids}


class Scene:
    def __init__(self, lease_s=15.0, **options):
        self.broker, self.grants, self.posted, self.beats = Broker(), Grants(), [], 0
        self.in_hand = []
        self.keeper = LeaseKeeper(
            self.broker,
            self.grants,
            lease_s,
            beat=options.pop("beat", self.beat),
            ids_in_hand=lambda: self.in_hand,
            post=self.posted.append,
            **options,
        )

    def beat(self):
        self.beats += 1

    def hold(self, token, queue="q"):
        entry = Entry("m", queue, token, b"", Facts("t"), 0, 0)
        self.grants.add([entry], good_until=1.0)


@pytest.fixture
def scene():
    return Scene()


def test_all_grants_are_renewed_in_one_call(scene):
    scene.hold(1)
    scene.hold(2)
    scene.hold(3, queue="r")
    scene.keeper.run_once()

    assert scene.broker.renewals == [({"q": [1, 2], "r": [3]}, 15_000)]
    assert scene.grants.is_surely_ours(1, now=2.0)


def test_nothing_in_hand_is_no_renewal_but_a_heartbeat(scene):
    scene.keeper.run_once()

    assert scene.broker.renewals == []
    assert scene.beats == 1


def test_lost_grants_are_told(scene):
    scene.hold(1)
    scene.hold(2)
    scene.broker.lost = [2]
    scene.keeper.run_once()

    assert scene.posted == [LeasesLost(tokens=frozenset({2}))]
    assert not scene.grants.is_surely_ours(2, now=2.0)


def test_revoke_that_nobody_heard_is_found_by_its_tombstone(scene):
    scene.in_hand = ["a", "b"]
    scene.broker.tombstones = {"b": "SIGTERM", "c": ""}
    scene.keeper.run_once()

    assert scene.posted == [Revoked(signals={"b": "SIGTERM"})]


@pytest.mark.parametrize("error", [OperationalError("away"), RuntimeError("a mistake of ours")])
def test_error_ends_neither_the_thread_nor_the_renewals(error):
    scene = Scene(lease_s=0.03)
    scene.hold(1)
    scene.broker.errors = [error, error]
    scene.keeper.start()

    eventually(lambda: len(scene.broker.renewals) > 3)
    assert scene.broker.errors == []
    scene.keeper.stop()


def test_a_heartbeat_that_somebody_waits_for_goes_alone_and_at_once():
    scene = Scene(lease_s=900.0)
    scene.hold(1)
    scene.keeper.start()
    eventually(lambda: scene.beats == 1)
    scene.keeper.beat_soon()

    eventually(lambda: scene.beats == 2)
    assert len(scene.broker.renewals) == 1
    scene.keeper.stop()


def test_who_finds_the_first_heartbeat_finds_a_worker_that_listens():
    listens = threading.Event()
    heard_at_beat = []

    def wait(timeout_s):
        threading.Timer(0.05, listens.set).start()
        return listens.wait(timeout_s)

    def beat():
        heard_at_beat.append(listens.is_set())

    scene = Scene(lease_s=900.0, listens=wait, beat=beat)
    scene.keeper.start()

    eventually(lambda: heard_at_beat)
    scene.keeper.stop()
    assert heard_at_beat == [True]


def test_worker_that_cannot_listen_is_shown_before_a_lease_could_run_out():
    asked = []
    scene = Scene(lease_s=3.0, listens=asked.append)
    scene.keeper.start()

    eventually(lambda: scene.beats)
    scene.keeper.stop()
    assert asked == [1.5]
