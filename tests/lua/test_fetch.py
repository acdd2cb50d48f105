from __future__ import annotations

import pytest

from broker_state import (
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
from builders import make_message, make_messages
from redis_server import RedisServer
from windlass.brokers.base import HandBack
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.cordon import cordon, uncordon
from windlass.control_plane.queue_record import write_record


def test_messages_of_one_queue_get_one_token_and_one_deadline(broker: RedisBroker) -> None:
    send(broker, "a", "b")

    first, second = fetch(broker).deliveries

    q = broker.keys.queue("q")
    assert ["leased"] == places(broker, "a") == places(broker, "b")
    assert first.token == second.token
    assert [str(first.token).encode(), str(NOW + LEASE_MS).encode()] == read(
        broker, "ZRANGE", q.leases, 0, -1, "WITHSCORES"
    )
    assert read(broker, "HGET", q.left, first.token) == b"2"


def test_tokens_grow_and_are_never_used_twice(broker: RedisBroker) -> None:
    tokens = [lease(broker, id_)[0].token for id_ in "abc"]

    assert sorted(set(tokens)) == tokens


def test_an_empty_queue_gives_nothing_and_leaves_no_trace(broker: RedisBroker) -> None:
    fetched = fetch(broker)

    assert (fetched.deliveries, fetched.next_due_ms, fetched.now_ms) == ([], 0, NOW)
    assert snapshot(broker) == {}


def test_what_is_leased_is_not_given_again(broker: RedisBroker) -> None:
    lease(broker, "a")

    assert ids_of(fetch(broker, worker_id="w2")) == []


def test_due_messages_come_in_the_order_of_their_time_and_behind_what_is_ready(
    broker: RedisBroker,
) -> None:
    send(broker, "later", delay_ms=200)
    send(broker, "sooner", delay_ms=100)
    send(broker, "never", delay_ms=10_000)
    send(broker, "urgent", delay_ms=150, priority=5)
    send(broker, "ready")
    at(broker, NOW + 200)

    fetched = fetch(broker)

    assert ids_of(fetched) == ["urgent", "ready", "sooner", "later"]
    assert places(broker, "never") == ["scheduled"]
    assert fetched.next_due_ms == NOW + 10_000


def test_next_due_is_the_earliest_of_schedule_and_leases(broker: RedisBroker) -> None:
    send(broker, "late", delay_ms=LEASE_MS * 2)
    send(broker, "a")

    assert fetch(broker).next_due_ms == NOW + LEASE_MS


def test_an_even_share_first_then_the_rest_in_order(broker: RedisBroker) -> None:
    for queue in ("a", "b", "c"):
        send(broker, *(f"{queue}{n}" for n in range(4)), queue=queue)

    fair = ids_of(fetch(broker, 6, ("a", "b", "c")))
    rest = ids_of(fetch(broker, 6, ("a", "b", "c"), strict=True))

    assert fair == ["a0", "a1", "b0", "b1", "c0", "c1"]
    assert rest == ["a2", "a3", "b2", "b3", "c2", "c3"]


def test_strict_order_empties_the_first_queue_first(broker: RedisBroker) -> None:
    for queue in ("a", "b"):
        send(broker, *(f"{queue}{n}" for n in range(3)), queue=queue)

    assert ids_of(fetch(broker, 4, ("a", "b"), strict=True)) == ["a0", "a1", "a2", "b0"]


def test_no_queue_starves_when_one_message_is_wanted_at_a_time(broker: RedisBroker) -> None:
    for queue in ("a", "b", "c"):
        send(broker, *(f"{queue}{n}" for n in range(3)), queue=queue)

    served = [ids_of(fetch(broker, 1, ("a", "b", "c")))[0] for _ in range(9)]

    assert [{"a", "b", "c"}] * 3 == [{id_[0] for id_ in served[i : i + 3]} for i in (0, 3, 6)]


def test_a_share_that_one_queue_cannot_fill_goes_to_the_others(broker: RedisBroker) -> None:
    send(broker, "a0", queue="a")
    send(broker, *(f"b{n}" for n in range(9)), queue="b")

    assert len(fetch(broker, 8, ("a", "b")).deliveries) == 8


def test_a_thousand_from_each_of_ten_queues_fits_lua(broker: RedisBroker) -> None:
    queues = [f"q{n}" for n in range(10)]
    for queue in queues:
        broker.enqueue(make_messages(300, queue=queue))
        broker.enqueue(make_messages(300, queue=queue, delay_ms=10))
    at(broker, NOW + 10)

    got = [fetch(broker, 1000, queues).deliveries for _ in range(6)]

    assert [len(part) for part in got] == [1000] * 6
    assert len({d.id for part in got for d in part}) == 6000


def test_more_than_a_thousand_is_never_given_at_once(broker: RedisBroker) -> None:
    broker.enqueue(make_messages(4500, queue="q"))
    broker.enqueue(make_messages(8500, queue="q", delay_ms=10))
    at(broker, NOW + 10)

    fetched = fetch(broker, 10_000)

    assert len(fetched.deliveries) == 1000
    ids = [d.id for d in fetched.deliveries]
    while more := fetch(broker, 10_000).deliveries:
        ids += [d.id for d in more]
    assert 13_000 == len(ids) == len(set(ids))


def test_big_bodies_end_a_fetch_early_and_none_is_lost(broker: RedisBroker) -> None:
    for n in range(12):
        send(broker, f"big{n}", body=b"x" * 2_000_000)

    first = fetch(broker, 100)
    rest = fetch(broker, 100)

    assert 4 <= len(first.deliveries) <= 8
    assert [f"big{n}" for n in range(8)] == [*ids_of(first), *ids_of(rest)][:8]
    assert places(broker, "big11") == ["ready"] or "big11" in ids_of(rest)


def test_paused_queues_give_nothing_and_are_named(broker: RedisBroker) -> None:
    send(broker, "a")
    send(broker, "b", delay_ms=1)
    write_record(broker, "q", paused=True)
    at(broker, NOW + 5)

    fetched = fetch(broker, queues=("other", "q"))
    assert (fetched.deliveries, fetched.paused) == ([], ("q",))

    write_record(broker, "q", paused=False)
    assert ids_of(fetch(broker)) == ["a", "b"]


def test_a_cordoned_worker_gets_nothing_until_its_time_is_over(broker: RedisBroker) -> None:
    send(broker, "a", "b")
    cordon(broker, "w1", ttl_ms=1_000)

    assert fetch(broker).cordoned
    assert ids_of(fetch(broker, 1, worker_id="w2")) == ["a"]
    at(broker, NOW + 1_000)
    assert ids_of(fetch(broker)) == ["b"]


def test_uncordon_ends_a_cordon_early(broker: RedisBroker) -> None:
    send(broker, "a")
    cordon(broker, "w1", ttl_ms=1_000)
    uncordon(broker, "w1")

    assert ids_of(fetch(broker)) == ["a"]


def test_expired_leases_are_named_on_the_millisecond(broker: RedisBroker) -> None:
    lease(broker, "a")

    at(broker, NOW + LEASE_MS - 1)
    assert fetch(broker).expired_leases == ()
    at(broker, NOW + LEASE_MS)
    assert fetch(broker).expired_leases == ("q",)


def test_counters_and_tombstones_travel_with_the_delivery(broker: RedisBroker) -> None:
    plain, marked = lease(broker, "plain", "marked")
    settle(
        broker,
        *(HandBack(id=d.id, queue="q", token=d.token, counted=True) for d in (plain, marked)),
    )
    marked = fetch(broker).deliveries[1]
    broker.revoke(["marked"])
    settle(broker, HandBack(id="marked", queue="q", token=marked.token))

    again = fetch(broker).deliveries[0]
    assert (again.id, again.deliveries, again.handbacks, again.revoked) == ("marked", 0, 1, True)


def test_a_tombstone_ends_with_its_time(broker: RedisBroker) -> None:
    broker.revoke(["a"])
    at(broker, NOW + 24 * 3600 * 1000)
    send(broker, "a")

    assert not fetch(broker).deliveries[0].revoked


def test_an_id_without_bytes_is_passed_over(broker: RedisBroker) -> None:
    send(broker, "ghost", "real")
    read(broker, "HDEL", broker.keys.messages, "ghost")

    assert ids_of(fetch(broker)) == ["real"]


def test_bytes_of_another_version_are_given_as_they_are(broker: RedisBroker) -> None:
    send(broker, "new", "old")
    read(broker, "HSET", broker.keys.messages, "new", b"\x02whatever")

    assert ids_of(fetch(broker)) == ["new", "old"]


@pytest.mark.parametrize("want", [0, 1])
def test_only_a_fetch_that_found_everything_empty_takes_the_wake_tokens_away(
    broker: RedisBroker, want: int
) -> None:
    fetch(broker, wait_ms=5_000)
    send(broker, "a")
    q = broker.keys.queue("q")
    assert read(broker, "LLEN", q.wake) == 1

    fetch(broker, want, wait_ms=5_000)
    assert read(broker, "LLEN", q.wake) == 1

    fetch(broker, wait_ms=5_000)
    fetch(broker, wait_ms=5_000)
    assert read(broker, "LLEN", q.wake) == 0


def test_a_crowd_of_revoked_messages_is_dropped_in_bounded_steps(broker: RedisBroker) -> None:
    messages = make_messages(12_000, queue="q")
    broker.enqueue(messages)
    last = make_message(id="last", queue="q")
    broker.enqueue([last])
    q = broker.keys.queue("q")
    for start in range(0, 12_000, 2_000):
        read(broker, "SADD", q.condemned, *(m.id for m in messages[start : start + 2_000]))

    first = fetch(broker, 10)

    assert first.deliveries == []
    assert first.next_due_ms == NOW, "there is more: come back at once"
    assert "last" in {id_ for _ in range(5) for id_ in ids_of(fetch(broker, 10))}
    assert read(broker, "SCARD", q.condemned) == 0


def test_a_full_broker_still_gives_work_out(
    broker: RedisBroker, each_redis_server: RedisServer
) -> None:
    send(broker, "a")
    send(broker, "b", delay_ms=1)
    at(broker, NOW + 1)
    with out_of_memory(each_redis_server):
        deliveries = fetch(broker, wait_ms=5_000).deliveries
        assert [d.id for d in deliveries] == ["a", "b"]
        assert settle(broker, *map(done, deliveries)) == []
        assert ids_of(fetch(broker, wait_ms=5_000)) == []

    assert leftovers(broker) == []
    assert ready_ids(broker) == []
