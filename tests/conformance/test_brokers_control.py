"""What every broker does by id, by queue and for workers: revokes, depths, dead letters, waits."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest

from broker_samples import REQUEST, SOON, Sample, bury, depth, hand_back
from broker_state import FINAL, NOW, done, fetch, ids_of, lease, send, settle
from builders import make_message
from waiting import eventually
from windlass import Windlass
from windlass.brokers.base import (
    Capability,
    Park,
    QueueDepth,
)
from windlass.brokers.capabilities import require
from windlass.brokers.memory import MemoryBroker
from windlass.control_plane.cordon import cordon, uncordon
from windlass.control_plane.dead_letters import (
    enforce_retention,
    list_dead,
    purge_dead,
    replay,
    show_dead,
)
from windlass.control_plane.depth import list_queues
from windlass.control_plane.heartbeats import WorkerStatus, beat, read_workers, say_goodbye
from windlass.control_plane.queue_record import read_record, write_record
from windlass.errors import ConfigurationError, OperationalError
from windlass.messages import open_envelope
from windlass.states import Stage

# -- revoking, purging, where things are


def test_what_waits_is_gone_when_it_is_revoked(brokers: Sample) -> None:
    broker = brokers.broker
    parked = lease(broker, "parked")[0]
    settle(broker, Park(id="parked", queue="q", token=parked.token, task="t"))
    send(broker, "ready", "left")
    send(broker, "late", delay_ms=100)

    found = broker.revoke(["ready", "late", "parked"], result_for=lambda _: FINAL)

    assert found == {
        "ready": Stage.QUEUED, "late": Stage.SCHEDULED, "parked": Stage.PARKED,
    }  # fmt: skip
    assert [broker.stage(id_) for id_ in found] == [Stage.DONE] * 3
    assert brokers.results.get_many_raw(list(found)) == [FINAL.payload] * 3
    now = depth(broker)
    assert (now.open, now.scheduled, now.parked) == (1, 0, 0)
    brokers.at(NOW + 200)
    assert ids_of(fetch(broker)) == ["left"]


def test_what_a_worker_has_or_is_not_sent_yet_is_marked(brokers: Sample) -> None:
    broker = brokers.broker
    leased = lease(broker, "leased")[0]

    found = broker.revoke(["leased", "unknown"], terminate=True, signal="SIGUSR1")

    assert found == {"leased": Stage.LEASED, "unknown": Stage.UNKNOWN}
    assert broker.revoked(["leased", "unknown", "other"]) == dict.fromkeys(found, "SIGUSR1")
    settle(broker, hand_back(leased))
    send(broker, "unknown", "other")
    assert {d.id: d.revoked for d in fetch(broker).deliveries} == {
        "leased": True, "unknown": True, "other": False,
    }  # fmt: skip
    assert broker.revoked([]) == {}


def test_a_dead_letter_is_left_alone_by_a_revoke(broker: Any) -> None:
    settle(broker, bury(lease(broker, "a")[0]))

    assert broker.revoke(["a"]) == {"a": Stage.DEAD}
    assert broker.stage("a") is Stage.DEAD


def test_workers_hear_of_a_revoke_of_what_they_may_have(brokers: Sample) -> None:
    lease(brokers.broker, "a")
    heard: list[Any] = []
    is_done = threading.Event()

    def listen() -> None:
        try:
            while not heard:
                heard.extend(itertools.islice(brokers.other.control_messages(0.2), 1))
        finally:
            is_done.set()

    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(listen)
        while not is_done.wait(0.01):  # until it listens, hints are missed
            brokers.broker.revoke(["a"], terminate=True)
        future.result()

    assert (heard[0].kind, heard[0].ids, heard[0].signal) == ("revoke", ("a",), "SIGTERM")


def test_a_worker_is_told_of_a_cordon_and_not_of_its_renewals(brokers: Sample) -> None:
    broker, told = brokers.broker, []

    def listen() -> None:
        while told[-1:] != ["last"]:
            told.extend(name for h in brokers.other.control_messages(0.2) for name in h.workers)

    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(listen)
        while not told and not future.done():  # until it listens, hints are missed
            uncordon(broker, "first")
            cordon(broker, "first", 500)
            wait([future], 0.01)
        for worker in ("w1", "w1", "w2"):
            cordon(broker, worker, 500)
        brokers.at(NOW + 500)  # these have run out
        for worker in ("w1", "last"):
            cordon(broker, worker, 500)
        future.result()

    assert [worker for worker in told if worker != "first"] == ["w1", "w2", "w1", "last"]


def test_purging_takes_what_waits_and_leaves_what_is_leased(broker: Any) -> None:
    leased, parked = lease(broker, "leased", "parked")
    settle(broker, Park(id="parked", queue="q", token=parked.token, task="t"))
    send(broker, "ready")
    send(broker, "late", delay_ms=100)
    send(broker, "other", queue="other")

    assert broker.purge("q") == 3

    assert [broker.stage(id_) for id_ in ("ready", "late", "parked")] == [Stage.UNKNOWN] * 3
    assert broker.stage("other") is Stage.QUEUED
    assert settle(broker, done(leased)) == []
    assert broker.purge("q") == 0


# -- the control plane


def test_depth_counts_every_place(brokers: Sample) -> None:
    broker = brokers.broker
    leased, dead = lease(broker, "leased", "dead")
    settle(broker, bury(dead))
    send(broker, "ready")
    send(broker, "soon", delay_ms=1_000)
    send(broker, "late", delay_ms=100_000)
    brokers.at(NOW + 500)

    now = depth(broker)

    assert (now.open, now.leased, now.scheduled, now.dead) == (1, 1, 2, 1)
    assert (now.due_soon, now.next_due_ms, now.oldest_ms) == (1, NOW + 1_000, 500)
    assert (now.enqueued, now.completed, now.backlog) == (5, 0, 2)
    brokers.at(NOW + 1_000)
    assert (depth(broker).open, depth(broker).scheduled) == (2, 1)
    assert settle(broker, done(leased)) == []
    assert depth(broker, "unknown") == QueueDepth(queue="unknown")
    assert list_queues(broker) == ["q"]


def test_dead_letters_keep_the_bytes_and_are_replayed_as_new(brokers: Sample) -> None:
    broker = brokers.broker
    raws = {}
    for number, id_ in enumerate("ab"):
        delivery = lease(broker, id_, ttl_ms=10_000)[0]
        raws[id_] = delivery.raw
        brokers.at(NOW + number)
        settle(broker, bury(delivery, result=FINAL))

    letters = list_dead(broker, "q")
    assert [(letter.id, letter.raw) for letter in letters] == [("b", raws["b"]), ("a", raws["a"])]
    assert letters[0].task == letters[0].message.task  # type: ignore[union-attr] # it is readable
    assert [letter.id for letter in list_dead(broker, "q", offset=1)] == ["a"]
    assert show_dead(broker, "q", "nobody") is None

    assert replay(broker, "q", ["a", "nobody"]) == 1
    assert brokers.results.get_raw("a") is None
    delivery = fetch(broker).deliveries[0]
    assert (delivery.id, delivery.deliveries) == ("a", 0)
    assert open_envelope(delivery.raw).expires_ms == 0
    assert delivery.raw[20:] == raws["a"][20:]


def test_dead_letters_are_deleted_by_name_all_at_once_or_when_they_are_old(
    brokers: Sample,
) -> None:
    broker = brokers.broker
    for delivery in lease(broker, "a", "b", "c"):
        settle(broker, bury(delivery))

    assert purge_dead(broker, "q", ["a", "nobody"]) == 1
    assert broker.stage("a") is Stage.UNKNOWN
    write_record(broker, "q", dead_retention_s=60)
    assert enforce_retention(broker, "q", NOW + 59_000) == 0
    assert enforce_retention(broker, "q", NOW + 60_000) == 2
    settle(broker, bury(lease(broker, "d")[0]))
    assert purge_dead(broker, "q") == 1
    assert list_dead(broker, "q") == []


def test_a_queue_record_is_changed_field_by_field(broker: Any) -> None:
    assert read_record(broker, "q").max_deliveries is None

    write_record(broker, "q", max_deliveries=7, paused=True)
    record = write_record(broker, "q", paused=False)

    assert record == read_record(broker, "q")
    assert (record.max_deliveries, record.paused, record.generation) == (7, False, 2)
    assert write_record(broker, "q", max_deliveries=None).max_deliveries is None
    with pytest.raises(ConfigurationError, match="Did you mean 'paused'"):
        write_record(broker, "q", pausd=True)


def test_heartbeats_are_seen_until_they_expire_or_the_worker_says_goodbye(
    brokers: Sample,
) -> None:
    broker = brokers.broker
    for worker in ("w2", "w1"):
        assert beat(broker, WorkerStatus(worker_id=worker, slots=2), 1_000) == 0

    assert [worker.worker_id for worker in read_workers(broker)] == ["w1", "w2"]
    say_goodbye(broker, "w2")
    assert [worker.slots for worker in read_workers(broker)] == [2]
    cordon(broker, "w1", 500)
    assert beat(broker, WorkerStatus(worker_id="w1"), 1_000) == NOW + 500
    brokers.at(NOW + 1_001)
    assert read_workers(broker) == []


# -- waiting, threads, capabilities


@pytest.mark.parametrize(
    "wake",
    [
        lambda broker: send(broker, "new"),
        lambda broker: write_record(broker, "q", paused=False),
    ],
    ids=["a message", "the end of a pause"],
)
def test_a_wait_ends_when_there_is_something_to_look_at(
    brokers: Sample, wake: Callable[[Any], object]
) -> None:
    assert brokers.other.exchange([], REQUEST)[1].deliveries == []
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(brokers.other.wait, REQUEST, SOON)
        wake(brokers.broker)
        fetched = waiting.result(SOON / 2)

    assert fetched.now_ms == NOW


def test_a_wait_ends_with_its_time_out(brokers: Sample) -> None:
    brokers.other.exchange([], REQUEST)

    assert brokers.other.wait(REQUEST, 0.01).deliveries == []


def test_a_wait_of_a_cordoned_worker_ends_early_and_loses_nothing(brokers: Sample) -> None:
    brokers.other.exchange([], REQUEST)
    cordon(brokers.broker, REQUEST.worker_id, 60_000)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(brokers.other.wait, REQUEST, SOON)
        while not waiting.done():
            brokers.other.end_wait()  # it may not wait yet
            wait([waiting], 0.01)

    assert waiting.result().cordoned


def test_a_wait_can_be_interrupted(brokers: Sample) -> None:
    brokers.other.exchange([], REQUEST)
    ended = threading.Event()

    def wait() -> None:
        try:
            brokers.other.wait(REQUEST, SOON)
        finally:
            ended.set()

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(wait)
        while not ended.wait(0.01):  # it may not wait yet
            brokers.other.interrupt()
        with pytest.raises(OperationalError):
            waiting.result()


def test_threads_share_a_broker_and_no_message_is_served_twice(brokers: Sample) -> None:
    broker = brokers.broker
    served: list[str] = []

    def work(name: str) -> None:
        send(broker, *(f"{name}-{n}" for n in range(50)))
        while deliveries := fetch(broker, 7, worker_id=name).deliveries:
            served.extend(d.id for d in deliveries)
            assert settle(broker, *map(done, deliveries)) == []

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, "abcd"))

    assert len(served) == len(set(served)) == 200
    assert depth(broker).completed == 200


def test_it_answers_and_says_that_it_is_safe(broker: Any) -> None:
    broker.ping()

    assert broker.check().maxmemory_policy in (None, "noeviction")


def test_asking_for_what_a_broker_lacks_is_an_error_that_names_it(broker: Any) -> None:
    lacking = set(Capability) - broker.capabilities

    require(broker, broker.capabilities, "This test")
    if lacking:
        assert lacking == {Capability.PROCESSES}
        with pytest.raises(ConfigurationError, match="needs of its broker: being seen by other"):
            require(broker, Capability, "This test")


# -- memory alone: which brokers share a store


def test_apps_of_one_memory_address_share_queues_and_others_do_not() -> None:
    def app(address: str) -> Windlass:
        return Windlass("memory", broker=address, backend="memory://", set_as_current=False)

    one, same, other = app("memory://a"), app("memory://a"), app("memory://b")
    result = one.send_task("somewhere.task")

    assert same.AsyncResult(result.id).stage is Stage.QUEUED
    assert other.AsyncResult(result.id).stage is Stage.UNKNOWN


@pytest.mark.parametrize(
    ("broker", "backend"), [("memory://", "redis://"), ("redis://localhost", "memory://")]
)
def test_broker_and_results_are_both_in_memory_or_neither(broker: str, backend: str) -> None:
    app = Windlass("mixed", broker=broker, backend=backend, set_as_current=False)

    with pytest.raises(ConfigurationError, match="Expected both on the same store"):
        _ = app.backend


def test_a_wait_in_memory_sees_a_message_become_due_by_itself() -> None:
    broker = MemoryBroker()
    broker.enqueue([make_message(id="a", queue="q", delay_ms=20)])

    def is_served() -> bool:
        fetched = broker.wait(REQUEST, SOON)
        return fetched is not None and bool(fetched.deliveries)

    assert eventually(is_served)
