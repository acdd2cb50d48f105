from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from broker_state import (
    FINAL,
    LEASE_MS,
    NOW,
    at,
    fetch,
    has_bytes,
    ids_of,
    leftovers,
    out_of_memory,
    read,
    send,
    settle,
    snapshot,
)
from builders import make_message
from redis_server import RedisServer
from windlass.brokers.base import Delivery, Fetched, FetchRequest, HandBack, Settlement, StepDone
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.cordon import cordon
from windlass.control_plane.depth import read_depths
from windlass.control_plane.queue_record import write_record
from windlass.redis_store.stepping import pack_step, read_step
from workflow_samples import (
    IMMUTABLE,
    WENT_WRONG,
    args_of,
    chain,
    chord,
    failed,
    member,
    release,
    succeeded,
    wait_for,
)

REQUEST = FetchRequest(
    worker_id="w1", queues=("q",), want=1, lease_ms=LEASE_MS, wait_ms=5_000, step_only=True
)


def begin(broker: RedisBroker, *ids: str) -> Delivery:
    """Send a chain and lease its first message."""
    first, continuations = chain(*ids)
    broker.enqueue([first], continuations=continuations)
    (delivery,) = fetch(broker, 1).deliveries
    return delivery


def step(broker: RedisBroker, item: Settlement, **options: Any) -> Fetched | None:
    """What the script alone makes of a step; None when it did nothing."""
    command = pack(broker, [item], **options)
    return None if command is None else read_step(item, broker.links.call([command])[0])


def pack(broker: RedisBroker, items: Sequence[Settlement], **options: Any) -> bytes | None:
    request = msgspec.structs.replace(REQUEST, **options)
    return pack_step(broker.keys, broker.commands.now, items, request)


def state(broker: RedisBroker) -> dict[str, Any]:
    """A snapshot; of hashes the fields, since they are dumped in any order."""
    found = snapshot(broker)
    for name in found:
        if read(broker, "TYPE", broker.keys.base + name) == b"hash":
            found[name] = sorted(read(broker, "HGETALL", broker.keys.base + name))
    return found


def test_what_a_step_releases_is_leased_in_its_commit_under_the_same_token(
    broker: RedisBroker,
) -> None:
    a = begin(broker, "a", "b")

    fetched = step(broker, succeeded(a, [1, "x"], result=FINAL, duration_ms=2.0))

    assert fetched is not None
    (b,) = fetched.deliveries
    assert (b.id, b.queue, b.token, args_of(b)) == ("b", "q", a.token, [[1, "x"]])
    assert fetched.is_step
    assert fetched.now_ms == NOW
    assert not has_bytes(broker, "a")
    assert read(broker, "GET", broker.keys.result("a")) == FINAL.payload
    assert read(broker, "EXISTS", broker.keys.then("k-b"), broker.keys.thens) == 0
    depth = read_depths(broker, ["q"])[0]
    assert (depth.leased, depth.open, depth.completed) == (1, 0, 1)
    assert read(broker, "HGET", broker.keys.queue("q").stats, "enqueued") == b"2"
    assert read(broker, "HGET", broker.keys.queue("q").stats, "service_us") == b"2000"


def test_the_same_bytes_are_leased_as_by_a_commit_and_a_fetch(broker: RedisBroker) -> None:
    shapes: list[dict[str, Any]] = [{}, {"hole": IMMUTABLE}, {"priority": 4, "ttl_ms": 5_000}]
    for number, shape in enumerate(shapes):
        found = []
        for way in ("slow", "fast"):
            made = wait_for([f"a{way}{number}"], release("same", 7, **shape), id_="k")
            broker.enqueue([member(f"a{way}{number}", made.then(0))], continuations=[made])
            (a,) = fetch(broker, 1).deliveries
            if way == "slow":
                settle(broker, succeeded(a, {"v": 1}))
                (b,) = fetch(broker, 1).deliveries
            else:
                fetched = step(broker, succeeded(a, {"v": 1}))
                assert fetched is not None
                (b,) = fetched.deliveries
            found.append(b.raw)
            settle(broker, succeeded(b))
        assert found[0] == found[1]


def test_a_chain_of_steps_ends_and_leaves_nothing(broker: RedisBroker) -> None:
    delivery = begin(broker, *"abcdef")
    for _ in "bcdef":
        fetched = step(broker, succeeded(delivery))
        assert fetched is not None
        (delivery,) = fetched.deliveries
    settle(broker, succeeded(delivery))

    fetch(broker, wait_ms=5_000)
    assert leftovers(broker) == []


def test_the_continuation_that_the_released_message_feeds_is_looked_after_from_now(
    broker: RedisBroker,
) -> None:
    a = begin(broker, "a", "b", "c")
    at(broker, NOW + 5_000)

    assert step(broker, succeeded(a)) is not None
    assert read(broker, "ZRANGE", broker.keys.thens, 0, -1, "WITHSCORES") == [
        b"k-c", str(NOW + 5_000).encode(),
    ]  # fmt: skip


def test_the_grant_that_goes_on_is_renewed_reaped_and_fences(broker: RedisBroker) -> None:
    a = begin(broker, "a", "b", "c")
    at(broker, NOW + 10_000)
    fetched = step(broker, succeeded(a))
    assert fetched is not None
    (b,) = fetched.deliveries

    at(broker, NOW + LEASE_MS + 5_000)
    assert broker.reap("q", "w2") == 0, "the lease of b began with the commit of a"
    assert broker.renew({"q": [b.token]}, LEASE_MS) == []
    at(broker, NOW + 3 * LEASE_MS)
    assert broker.reap("q", "w2") == 1
    (again,) = fetch(broker, 1).deliveries

    assert (again.id, again.deliveries) == ("b", 1)
    assert again.token > b.token
    assert step(broker, succeeded(b)) is None
    assert settle(broker, succeeded(b)) == ["b"]


def test_a_step_that_is_repeated_does_nothing(broker: RedisBroker) -> None:
    a = begin(broker, "a", "b")
    assert step(broker, succeeded(a)) is not None
    before = snapshot(broker)

    assert step(broker, succeeded(a)) is None
    assert settle(broker, succeeded(a)) == ["a"]
    assert snapshot(broker) == before


def _ready(broker: RedisBroker) -> None:
    send(broker, "other")


def _ready_elsewhere(broker: RedisBroker) -> None:
    send(broker, "other", queue="r", priority=3)


def _paused(broker: RedisBroker) -> None:
    write_record(broker, "q", paused=True)


def _cordoned(broker: RedisBroker) -> None:
    cordon(broker, "w1")


def _rate(broker: RedisBroker) -> None:
    write_record(broker, "q", rate_limit="100/s")


def _concurrency(broker: RedisBroker) -> None:
    write_record(broker, "q", max_concurrency=5)


def _limits(broker: RedisBroker) -> None:
    read(broker, "HSET", broker.keys.limits, "tests.step", '{"max":1}')


def _stamps(broker: RedisBroker) -> None:
    broker.revoke_stamps({"batch": "b1"})


def _revoked(broker: RedisBroker) -> None:
    read(broker, "ZADD", broker.keys.revoked, NOW + 1_000, "b")


def _counted(broker: RedisBroker) -> None:
    read(broker, "HSET", broker.keys.attempts, "b", "0:0:1:0")


def _remembered(broker: RedisBroker) -> None:
    read(broker, "HSET", broker.keys.attempts, "a", "1:0")


def _there_already(broker: RedisBroker) -> None:
    broker.enqueue([make_message(id="b", queue="q", delay_ms=60_000)])


def _failed_before(broker: RedisBroker) -> None:
    read(broker, "HSET", broker.keys.then("k-b"), "fail", "x")


def _part_there(broker: RedisBroker) -> None:
    read(broker, "HSET", broker.keys.then("k-b"), "have", 1, "v0", "null")


def _gone(broker: RedisBroker) -> None:
    read(broker, "DEL", broker.keys.then("k-b"))


IN_THE_WAY: list[Callable[[RedisBroker], None]] = [
    _ready, _ready_elsewhere, _paused, _cordoned, _rate, _concurrency, _limits, _stamps,
    _revoked, _counted, _remembered, _there_already, _failed_before, _part_there, _gone,
]  # fmt: skip


@pytest.mark.parametrize("obstacle", IN_THE_WAY, ids=lambda each: each.__name__[1:])
def test_nothing_is_done_when_something_is_in_the_way(
    broker: RedisBroker, obstacle: Callable[[RedisBroker], None]
) -> None:
    a = begin(broker, "a", "b")
    obstacle(broker)
    before = state(broker)

    assert step(broker, succeeded(a), queues=("q", "r")) is None
    assert state(broker) == before


def test_a_message_that_is_not_due_now_is_not_leased(broker: RedisBroker) -> None:
    made = wait_for(["a"], release("b", delay_ms=1_000))
    broker.enqueue([member("a", made.then(0))], continuations=[made])
    (a,) = fetch(broker, 1).deliveries

    assert step(broker, succeeded(a)) is None


def test_a_release_that_would_be_too_large_is_left_to_the_ordinary_commit(
    broker: RedisBroker,
) -> None:
    made = wait_for(["a"], release("b"), max_bytes=200)
    broker.enqueue([member("a", made.then(0))], continuations=[made])
    (a,) = fetch(broker, 1).deliveries

    assert step(broker, succeeded(a, "x" * 400)) is None


@pytest.mark.parametrize("header", [["a"], ["a", "b"]])
def test_several_messages_or_parts_are_left_to_the_ordinary_commit(
    broker: RedisBroker, header: list[str]
) -> None:
    made = wait_for(header, release("x"), *([release("y")] if len(header) == 1 else []))
    messages = [member(id_, made.then(i)) for i, id_ in enumerate(header)]
    broker.enqueue(messages, continuations=[made])
    a, *_ = [fetch(broker, 1).deliveries[0] for _ in header]

    assert step(broker, succeeded(a)) is None


def test_one_of_several_messages_of_a_grant_is_left_to_the_ordinary_commit(
    broker: RedisBroker,
) -> None:
    for name in "ab":
        first, continuations = chain(f"{name}1", f"{name}2")
        broker.enqueue([first], continuations=continuations)
    a, b = fetch(broker, 2).deliveries

    assert step(broker, succeeded(a)) is None
    assert settle(broker, succeeded(a)) == []
    fetch(broker, 1)
    assert step(broker, succeeded(b)) is not None


def test_a_message_that_was_handed_back_is_nobodys_though_its_grant_has_one_left(
    broker: RedisBroker,
) -> None:
    for name in "ab":
        first, continuations = chain(f"{name}1", f"{name}2")
        broker.enqueue([first], continuations=continuations)
    a, _ = fetch(broker, 2).deliveries
    settle(broker, HandBack(id=a.id, queue="q", token=a.token))
    (again,) = fetch(broker, 1).deliveries

    assert again.id == a.id
    assert step(broker, succeeded(a)) is None
    assert step(broker, succeeded(again)) is not None


def test_a_chord_of_one_is_a_step(broker: RedisBroker) -> None:
    messages, made = chord(["a"], "body")
    broker.enqueue(messages, continuations=[made])
    (a,) = fetch(broker).deliveries

    fetched = step(broker, succeeded(a, 5))

    assert fetched is not None
    assert args_of(fetched.deliveries[0]) == [[5]]


def test_failures_and_what_is_no_lone_step_are_not_packed_at_all(broker: RedisBroker) -> None:
    a = begin(broker, "a", "b")
    other = msgspec.structs.replace(succeeded(a), token=-a.token)
    assert isinstance(other, StepDone)

    assert pack(broker, [failed(a, WENT_WRONG)]) is None
    assert pack(broker, [succeeded(a), succeeded(a)]) is None
    assert pack(broker, [other]) is None
    assert pack(broker, [succeeded(a)], queues=("r",)) is None
    assert pack(broker, [succeeded(a)], queues=(*(f"q{n}" for n in range(8)), "q")) is None
    assert pack(broker, [succeeded(a)], step_only=False) is None
    assert pack(broker, [succeeded(a)], queues=(*(f"q{n}" for n in range(7)), "q")) is not None


def test_somebody_who_waits_for_the_outcome_is_told(broker: RedisBroker) -> None:
    a = begin(broker, "a", "b")
    read(broker, "ZADD", broker.keys.waiting, NOW + 60_000, "a")

    assert step(broker, succeeded(a, result=FINAL)) is not None
    assert read(broker, "ZSCORE", broker.keys.waiting, "a") is None


def test_a_full_broker_takes_small_steps(
    broker: RedisBroker, each_redis_server: RedisServer
) -> None:
    a = begin(broker, "a", "b")
    with out_of_memory(each_redis_server):
        assert step(broker, succeeded(a, 1, result=FINAL)) is not None


def test_an_exchange_that_cannot_be_a_step_is_done_as_ever(broker: RedisBroker) -> None:
    a = begin(broker, "a", "b")
    send(broker, "before")

    stale, fetched = broker.exchange([succeeded(a)], msgspec.structs.replace(REQUEST, want=5))

    assert stale == []
    assert fetched is not None
    assert not fetched.is_step
    assert ids_of(fetched) == ["before", "b"]
