"""Clocks that are wrong, names that are odd, messages from the future, batches that are large."""

from __future__ import annotations

import time

import pytest

from broker_state import fetch, has_bytes, ids_of, read, ready_ids, send, settle
from builders import make_message, make_messages
from waiting import eventually
from windlass.brokers.base import Bury
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.dead_letters import list_dead, purge_dead, replay
from windlass.control_plane.depth import list_queues, read_depths
from windlass.errors import DecodeError, InvalidQueueName
from windlass.messages import decode_message
from windlass.redis_store.resp import packed

HOURS_MS = 5 * 3600 * 1000


@pytest.fixture(params=[-HOURS_MS, HOURS_MS], ids=["5h-behind", "5h-ahead"])
def wrong_clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + request.param / 1000)
    monkeypatch.setattr(time, "time_ns", lambda: int((real() + request.param / 1000) * 1e9))


@pytest.mark.usefixtures("wrong_clock")
def test_delays_leases_and_expiry_are_the_brokers_whatever_the_clients_clock_says(
    broker: RedisBroker,
) -> None:
    seconds, micros = (int(part) for part in read(broker, "TIME"))
    before = seconds * 1000 + micros // 1000
    send(broker, "late", delay_ms=60_000)
    send(broker, "brief", ttl_ms=60_000)
    send(broker, "soon", delay_ms=1)

    brief = decode_message("brief", read(broker, "HGET", broker.keys.messages, "brief"))
    due = int(read(broker, "ZSCORE", broker.keys.queue("q").scheduled, "0late"))
    assert 0 <= due - before - 60_000 < 30_000
    assert 0 <= brief.expires_ms - before - 60_000 < 30_000
    got = set(ids_of(fetch(broker)))
    if "soon" not in got:
        assert eventually(lambda: ids_of(fetch(broker))) == ["soon"]
    assert got >= {"brief"}
    assert fetch(broker, 0).expired_leases == ()
    assert broker.reap("q", "w2") == 0


def test_a_delay_never_ends_early_by_the_part_of_a_millisecond(broker: RedisBroker) -> None:
    send(broker, "first")  # so that the script is known
    for n in range(50):
        message = make_message(id=f"m{n}", queue="q", delay_ms=5_000)
        # In a transaction, so that hardly any time passes between the two.
        enqueue = broker.commands.enqueue_one(message)
        transaction = [packed("MULTI"), packed("TIME"), enqueue, packed("EXEC")]
        seconds, micros = map(int, broker.links.call(transaction)[3][0])
        due_ms = int(read(broker, "ZSCORE", broker.keys.queue("q").scheduled, f"0m{n}"))
        assert due_ms * 1000 >= seconds * 1_000_000 + micros + 5_000_000


@pytest.mark.parametrize(
    "name", ["a:b:r1", "x:dead", "with/slash", "user@host", "UPPER.lower_9-", "0", "q" * 120]
)
def test_unusual_queue_names_do_not_meet_each_others_keys(broker: RedisBroker, name: str) -> None:
    neighbours = [name[:-1] or "1", name.split(":")[0][:100] + "x"]
    send(broker, "mine", queue=name)
    for neighbour in neighbours:
        assert ids_of(fetch(broker, queues=(neighbour,))) == []

    assert list_queues(broker) == [name]
    assert broker.stage("mine") == "QUEUED"
    assert ids_of(fetch(broker, queues=(name,))) == ["mine"]


@pytest.mark.parametrize("name", ["", "a b", "a\n", "{q}", "é", "-first", "q" * 121, "a*", None])
def test_names_that_keys_cannot_carry_are_refused_before_anything_is_sent(
    broker: RedisBroker, name: str
) -> None:
    message = make_message(queue="q")
    message.queue = name

    with pytest.raises(InvalidQueueName, match="Expected 1 to 120 characters"):
        broker.enqueue([message])
    assert list_queues(broker) == []


def test_a_message_of_a_newer_version_is_buried_shown_and_replayed_without_harm_to_others(
    broker: RedisBroker,
) -> None:
    send(broker, "old", "new", "other")
    raw = b"\x07" + read(broker, "HGET", broker.keys.messages, "new")[1:]
    read(broker, "HSET", broker.keys.messages, "new", raw)

    deliveries = {d.id: d for d in fetch(broker).deliveries}
    assert list(deliveries) == ["old", "new", "other"]
    with pytest.raises(DecodeError, match="version 7"):
        decode_message("new", deliveries["new"].raw)
    token = deliveries["new"].token
    letter = Bury(
        id="new", queue="q", token=token, reason="unsupported_version", detail="v7", worker="w"
    )
    settle(broker, letter)

    (found,) = list_dead(broker, "q")
    assert (found.task, found.message, found.raw) == (None, None, raw)
    assert replay(broker, "q", ["new"]) == 1
    assert fetch(broker).deliveries[0].raw == raw


def test_twenty_thousand_messages_in_one_call(broker: RedisBroker) -> None:
    messages = [
        make_message(queue=f"q{n % 3}", priority=n % 2 * 9, args=(n,), id=f"m{n:05}")
        for n in range(20_000)
    ]

    assert all(broker.enqueue(messages))
    assert not any(broker.enqueue(messages))
    assert [d.open for d in read_depths(broker, ["q0", "q1", "q2"])] == [6667, 6667, 6666]
    assert ready_ids(broker, "q0") == [
        *(f"m{n:05}" for n in range(0, 20_000, 3) if n % 2),
        *(f"m{n:05}" for n in range(0, 20_000, 3) if not n % 2),
    ]


def test_a_body_of_a_hundred_megabytes_goes_through_beside_small_ones(broker: RedisBroker) -> None:
    send(broker, "before")
    send(broker, "huge", body=b"x" * 100_000_000)
    send(broker, "after")

    seen = [id_ for _ in range(3) for id_ in ids_of(fetch(broker, 1))]
    assert seen == ["before", "huge", "after"]
    assert has_bytes(broker, "huge")


def test_dead_letters_of_thousands_are_listed_in_pages(broker: RedisBroker) -> None:
    broker.enqueue(make_messages(600, queue="q"))
    letters = [
        Bury(id=d.id, queue="q", token=d.token, reason="rejected", detail="", worker="w")
        for d in fetch(broker, 600).deliveries
    ]
    settle(broker, *letters)

    pages = [list_dead(broker, "q", offset, 250) for offset in (0, 250, 500, 750)]
    assert [len(page) for page in pages] == [250, 250, 100, 0]
    assert len({letter.id for page in pages for letter in page}) == 600
    assert purge_dead(broker, "q") == 600
