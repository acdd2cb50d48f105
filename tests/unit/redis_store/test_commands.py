"""Packing of script calls: pure, no server."""

from __future__ import annotations

import pytest

from builders import make_message, make_messages
from windlass.brokers.base import Done, StoredResult
from windlass.redis_store import commands
from windlass.redis_store.commands import Commands
from windlass.redis_store.keys import Keys
from windlass.redis_store.packing import CHUNK, MAX_CALL_BYTES

MEGABYTE = 1024 * 1024


@pytest.fixture
def pack() -> Commands:
    return Commands(Keys("unit"))


def test_a_large_batch_is_cut_into_calls_that_carry_every_message_once(pack: Commands) -> None:
    calls = pack.enqueue(make_messages(2 * CHUNK + 1))

    assert [len(call.indexes) for call in calls] == [CHUNK, CHUNK, 1]
    assert [index for call in calls for index in call.indexes] == list(range(2 * CHUNK + 1))


def test_queues_and_priorities_travel_apart_in_the_order_of_sending(pack: Commands) -> None:
    messages = [make_message(queue=f"q{n % 2}", priority=n % 3) for n in range(12)]

    calls = pack.enqueue(messages)

    for call in calls:
        kinds = {(messages[i].queue, messages[i].priority) for i in call.indexes}
        assert len(kinds) == 1
        assert list(call.indexes) == sorted(call.indexes)
    assert sorted(index for call in calls for index in call.indexes) == list(range(12))


def test_large_bodies_are_cut_by_their_size(pack: Commands) -> None:
    calls = pack.enqueue([make_message(body=b"x" * 3 * MEGABYTE) for _ in range(7)])

    assert [len(call.indexes) for call in calls] == [2, 2, 2, 1]
    assert all(len(call.command) < MAX_CALL_BYTES + MEGABYTE for call in calls)


def test_a_body_over_the_limit_travels_alone(pack: Commands) -> None:
    bodies = (1, MAX_CALL_BYTES + 1, 1)

    calls = pack.enqueue([make_message(body=b"x" * size) for size in bodies])

    assert [len(call.indexes) for call in calls] == [1, 1, 1]


def test_large_outcomes_are_cut_by_their_size(pack: Commands) -> None:
    large = StoredResult(payload=b"x" * 5 * MEGABYTE, ttl_ms=1)
    ended = [Done(id=f"m{n}", queue="q", token=1, result=large) for n in range(3)]

    calls = pack.settle([*ended, Done(id="small", queue="q", token=1)])

    assert [len(call.command) // MEGABYTE for call in calls] == [5, 5, 5]


def test_nothing_makes_no_calls(pack: Commands) -> None:
    assert pack.enqueue([]) == []
    assert pack.settle([]) == []


def test_names_of_queues_that_are_made_up_as_they_go_are_not_kept_for_ever(
    pack: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "MAX_HEADS", 10)
    first = pack.enqueue_one(make_message(id="a", queue="q0"))
    for n in range(50):
        pack.enqueue_one(make_message(queue=f"q{n}"))

    assert len(pack._heads) <= 10
    assert pack.enqueue_one(make_message(id="a", queue="q0")) == first
