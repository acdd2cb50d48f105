"""What is remembered of attempts, and who pays for a process that died, on every broker."""

from __future__ import annotations

from typing import Any

from attempt_samples import again, ends, noted
from broker_samples import Sample, crashed
from broker_state import LEASE_MS, NOW, done, fetch, lease, settle
from windlass.attempts import MAX_ATTEMPTS, MAX_BYTES, Attempt, Ending
from windlass.control_plane.history import attempts_of, counters_of
from windlass.control_plane.queue_record import write_record
from windlass.states import Stage

# -- attempts


def test_a_message_that_succeeds_leaves_no_attempt(broker: Any) -> None:
    (delivery,) = lease(broker, "a")
    assert attempts_of(broker, "a") == []

    settle(broker, done(delivery))

    assert counters_of(broker, "a") == counters_of(broker, "nobody")


def test_attempts_of_crashes_and_retries_are_remembered_with_the_brokers_time(
    brokers: Sample,
) -> None:
    broker = brokers.broker
    (delivery,) = lease(broker, "a")
    settle(broker, crashed(delivery, attempt=noted(Ending.CRASHED, signal="SIGKILL", worker="w1")))
    brokers.at(NOW + 5)
    settle(broker, again(fetch(broker).deliveries[0], attempt=noted(Ending.RETRIED, retry=1)))

    assert attempts_of(broker, "a") == [
        Attempt(end="crashed", ended_ms=NOW, signal="SIGKILL", worker="w1"),
        Attempt(end="retried", ended_ms=NOW + 5, retry=1),
    ]
    # A new try starts from zero; what was before is known all the same.
    assert counters_of(broker, "a").deliveries == 0
    settle(broker, done(fetch(broker).deliveries[0]))
    assert attempts_of(broker, "a") == []


def test_a_deferred_message_keeps_its_counters(broker: Any) -> None:
    settle(broker, crashed(lease(broker, "a")[0], attempt=noted(Ending.CRASHED)))
    settle(broker, again(fetch(broker).deliveries[0], is_deferred=True))

    (delivery,) = fetch(broker).deliveries
    assert (delivery.deliveries, ends(broker, "a")) == (1, ["crashed"])


def test_a_lost_lease_names_the_worker_that_had_it(brokers: Sample) -> None:
    broker = brokers.broker
    lease(broker, "a")
    for number in range(3):
        brokers.at(NOW + (number + 1) * (LEASE_MS + 1))
        assert broker.reap("q", "reaper") == 1
        fetch(broker)

    lost = attempts_of(broker, "a")
    assert [(each.end, each.worker, each.delivery) for each in lost] == [
        ("lost", "w1", 1), ("lost", "w1", 2), ("lost", "w1", 3),
    ]  # fmt: skip
    assert broker.stage("a") is Stage.DEAD


def test_only_the_last_attempts_are_kept_and_so_many_bytes(broker: Any) -> None:
    (delivery,) = lease(broker, "a")
    for number in range(MAX_ATTEMPTS + 5):
        settle(broker, again(delivery, attempt=noted(Ending.RETRIED, retry=number)))
        (delivery,) = fetch(broker).deliveries
    assert [each.retry for each in attempts_of(broker, "a")] == list(range(5, MAX_ATTEMPTS + 5))

    for _ in range(3):
        long = noted(Ending.RETRIED, traceback="x" * (MAX_BYTES // 2 - 200))
        settle(broker, again(delivery, attempt=long))
        (delivery,) = fetch(broker).deliveries
    assert len(attempts_of(broker, "a")) == 2


# -- crashes that are shared


def test_a_shared_crash_makes_suspects_and_counts_for_nobody_yet(broker: Any) -> None:
    one, two = lease(broker, "guilty", "innocent")
    shared = noted(Ending.SUSPECTED)
    settle(broker, *(crashed(each, is_shared=True, attempt=shared) for each in (one, two)))

    deliveries = {each.id: each for each in fetch(broker).deliveries}
    assert [(each.deliveries, each.is_suspect) for each in deliveries.values()] == [(0, True)] * 2
    settle(broker, done(deliveries["innocent"]))
    settle(broker, crashed(deliveries["guilty"]))
    # The one that crashes alone is charged for both.
    assert counters_of(broker, "guilty").deliveries == 2
    settle(broker, crashed(fetch(broker).deliveries[0]))
    assert broker.stage("guilty") is Stage.DEAD


def test_a_cap_of_one_counts_a_shared_crash_at_once(broker: Any) -> None:
    write_record(broker, "q", max_deliveries=1)

    settle(broker, *(crashed(each, is_shared=True) for each in lease(broker, "a", "b")))

    assert {broker.stage(id_) for id_ in "ab"} == {Stage.DEAD}


def test_a_message_whose_lease_ran_out_once_is_no_suspect(brokers: Sample) -> None:
    broker = brokers.broker
    lease(broker, "a")
    seen = []
    for number in range(2):
        brokers.at(NOW + (number + 1) * (LEASE_MS + 1))
        broker.reap("q", "reaper")
        seen += [each.is_suspect for each in fetch(broker).deliveries]

    assert seen == [False, True]
