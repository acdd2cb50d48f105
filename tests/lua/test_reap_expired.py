from __future__ import annotations

from broker_state import (
    FINAL,
    LEASE_MS,
    NOW,
    at,
    done,
    fetch,
    ids_of,
    lease,
    leftovers,
    out_of_memory,
    places,
    read,
    ready_ids,
    send,
    settle,
    snapshot,
)
from builders import make_messages
from redis_server import RedisServer
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.dead_letters import show_dead
from windlass.control_plane.queue_record import write_record


def test_expired_leases_go_back_to_the_front_with_one_delivery_counted(broker: RedisBroker) -> None:
    lease(broker, "a", "b")
    at(broker, NOW + 1)
    lease(broker, "c")
    send(broker, "new")
    at(broker, NOW + 1 + LEASE_MS)

    assert broker.reap("q", "w2") == 3

    fetched = fetch(broker)
    assert ids_of(fetched) == ["a", "b", "c", "new"]
    assert [d.deliveries for d in fetched.deliveries] == [1, 1, 1, 0]


def test_priorities_are_kept(broker: RedisBroker) -> None:
    lease(broker, "low")
    lease(broker, "high", priority=9)
    at(broker, NOW + LEASE_MS)
    broker.reap("q", "w2")

    assert ready_ids(broker) == ["high", "low"]


def test_live_leases_and_empty_queues_are_left_alone(broker: RedisBroker) -> None:
    assert broker.reap("empty", "w2") == 0
    lease(broker, "a")
    at(broker, NOW + LEASE_MS - 1)
    before = snapshot(broker)

    assert broker.reap("q", "w2") == 0
    assert before == snapshot(broker)


def test_twice_counts_once(broker: RedisBroker) -> None:
    lease(broker, "a")
    at(broker, NOW + LEASE_MS)

    assert [broker.reap("q", "w2") for _ in range(2)] == [1, 0]
    assert fetch(broker).deliveries[0].deliveries == 1


def test_the_late_worker_is_stale(broker: RedisBroker) -> None:
    (late,) = lease(broker, "a")
    at(broker, NOW + LEASE_MS)
    broker.reap("q", "w2")
    (current,) = fetch(broker).deliveries

    assert settle(broker, done(late, result=FINAL)) == ["a"]
    assert settle(broker, done(current)) == []
    assert leftovers(broker) == []


def test_at_the_cap_it_is_buried_with_the_outcome_of_a_lost_worker(broker: RedisBroker) -> None:
    write_record(broker, "q", max_deliveries=1)
    broker.lost_result = lambda _id: FINAL
    lease(broker, "a")
    at(broker, NOW + LEASE_MS)

    assert broker.reap("q", "w2") == 1

    letter = show_dead(broker, "q", "a")
    assert letter is not None
    assert (letter.reason, letter.deliveries, letter.worker) == ("max_deliveries", 1, "w2")
    assert FINAL.payload == read(broker, "GET", broker.keys.result("a"))
    assert places(broker, "a") == ["dead"]


def test_a_grant_renewed_between_the_two_steps_of_a_burial_is_spared(broker: RedisBroker) -> None:
    write_record(broker, "q", max_deliveries=1)
    (delivery,) = lease(broker, "a")
    at(broker, NOW + LEASE_MS)

    def renew_first(_id: str) -> None:
        broker.renew({"q": [delivery.token]}, LEASE_MS)

    broker.lost_result = renew_first

    assert broker.reap("q", "w2") == 0
    assert places(broker, "a") == ["leased"]
    assert settle(broker, done(delivery)) == []


def test_a_grant_of_ids_that_are_gone_is_cleared_away(broker: RedisBroker) -> None:
    (delivery,) = lease(broker, "a")
    q = broker.keys.queue("q")
    read(broker, "HDEL", q.leased, "a")
    read(broker, "HDEL", broker.keys.messages, "a")
    at(broker, NOW + LEASE_MS)

    assert broker.reap("q", "w2") == 0
    assert leftovers(broker) == []
    assert settle(broker, done(delivery)) == ["a"]


def test_tens_of_thousands_come_back_in_bounded_steps(broker: RedisBroker) -> None:
    sent = make_messages(10_000, queue="q")
    broker.enqueue(sent)
    while fetch(broker, 1_000).deliveries:
        pass
    at(broker, NOW + LEASE_MS)

    steps = []
    while moved := broker.reap("q", "w2"):
        steps.append(moved)

    assert sum(steps) == 10_000
    assert max(steps) <= 2_000
    assert sorted(m.id for m in sent) == sorted(ready_ids(broker))
    assert read(broker, "HLEN", broker.keys.queue("q").grants) == 0


def test_waiting_workers_are_woken(broker: RedisBroker) -> None:
    lease(broker, "a")
    fetch(broker, wait_ms=5_000)
    at(broker, NOW + LEASE_MS)
    broker.reap("q", "w2")

    assert read(broker, "LLEN", broker.keys.queue("q").wake) == 1


def test_a_full_broker_takes_lost_messages_back(
    broker: RedisBroker, each_redis_server: RedisServer
) -> None:
    lease(broker, "a")
    at(broker, NOW + LEASE_MS)
    with out_of_memory(each_redis_server):
        assert broker.reap("q", "w2") == 1

    assert fetch(broker).deliveries[0].deliveries == 1
