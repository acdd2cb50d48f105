"""The scripts of the outbox, and those that store outcomes where there is one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import windlass
from broker_samples import bury, crashed
from broker_state import FINAL, PENDING, at, done, fetch, read, send, settle
from lua_headers import code_of
from redis_server import RedisServer
from windlass.brokers.base import Again
from windlass.brokers.redis import RedisBroker
from windlass.redis_store.scripts import names, script

NOW = 1_700_000_000_000


@pytest.fixture
def broker(each_redis_server: RedisServer) -> Iterator[RedisBroker]:
    broker = RedisBroker(
        each_redis_server.unix_url, keyspace="lua", has_outbox=True, max_deliveries=1
    )
    at(broker, NOW)
    yield broker
    broker.close()


def noted(broker: RedisBroker) -> list[bytes]:
    ids: list[bytes] = read(broker, "ZRANGE", broker.keys.outbox, 0, -1)
    return ids


def call(broker: RedisBroker, name: str, keys: list[bytes], *args: Any) -> Any:
    return broker.links.call([script(name).command(keys, args)])[0]


def take(broker: RedisBroker, me: str, limit: int = 10) -> Any:
    keys = [broker.keys.outbox, broker.keys.outbox_copier]
    return call(broker, "outbox_take", keys, me, 60_000, limit)


def store(broker: RedisBroker, *ids: str) -> list[bytes]:
    """Store outcomes; return their generations."""
    for id_ in ids:
        send(broker, id_)
        (delivery,) = fetch(broker, 1).deliveries
        settle(broker, done(delivery, result=FINAL))
    return [read(broker, "ZSCORE", broker.keys.outbox, id_) for id_ in ids]


def test_every_end_that_has_an_outcome_is_noted(broker: RedisBroker) -> None:
    send(broker, *"abcdef")
    ended, followed, died, bad, again, held = fetch(broker, 6).deliveries
    send(broker, "waits", delay_ms=60_000)

    settle(
        broker,
        done(ended, result=FINAL),
        crashed(died, result=FINAL),
        bury(bad, result=FINAL),
        Again(id=again.id, queue="q", token=again.token, message=_next(again.id), result=PENDING),
    )
    settle(broker, done(followed, result=FINAL, followups=(_next("f"),)))
    broker.set_state(held.id, "q", held.token, PENDING)
    broker.revoke(["waits"], result_for=lambda _: FINAL)

    assert sorted(noted(broker)) == sorted(b"a b c d e f waits".split())


def test_every_script_that_stores_outcomes_is_called_in_the_form_for_an_outbox() -> None:
    storing = [name for name in names() if re.search(r"\bstore\(", code_of(name))]
    sources = [path.read_text() for path in Path(windlass.__path__[0]).rglob("*.py")]

    for name in storing:
        called = [re.findall(rf'(\w+)\("{name}"', source) for source in sources]
        assert {by for each in called for by in each} == {"outcome_script"}, name


def _next(id_: str) -> Any:
    from builders import make_message

    return make_message(id=id_, queue="q")


def test_an_end_without_an_outcome_or_with_a_stale_token_is_not_noted(broker: RedisBroker) -> None:
    send(broker, "a", "b")
    first, second = fetch(broker, 2).deliveries

    stale = msgspec.structs.replace(done(second, result=FINAL), token=second.token + 1)
    settle(broker, done(first), stale)

    assert noted(broker) == []


def test_generations_only_grow_also_when_the_clock_was_set_back(broker: RedisBroker) -> None:
    (first,) = store(broker, "a")
    ahead = int(first) + 10**12  # twelve days: what the clock said before
    read(broker, "SET", broker.keys.outbox_generation, ahead)

    second, third = store(broker, "b", "c")

    assert [int(second), int(third)] == [ahead + 1, ahead + 2]


def test_the_oldest_are_taken_and_nobody_else_is_let_in(broker: RedisBroker) -> None:
    generations = store(broker, "a", "b", "c")

    assert take(broker, "me", 2) == [b"a", generations[0], b"b", generations[1]]
    assert take(broker, "you") == b"BUSY"
    assert take(broker, "me", 1) == [b"a", generations[0]]


def test_an_empty_outbox_is_empty_for_all_and_lets_others_in(broker: RedisBroker) -> None:
    store(broker, "a")
    take(broker, "me")
    read(broker, "DEL", broker.keys.outbox)

    assert take(broker, "you") == []
    assert take(broker, "me") == []
    assert read(broker, "EXISTS", broker.keys.outbox_copier) == 0


def test_what_was_copied_is_removed_once_and_only_in_that_generation(broker: RedisBroker) -> None:
    first, _ = store(broker, "a", "b")
    keys = [broker.keys.outbox, broker.keys.result("a"), broker.keys.result("b")]

    assert call(broker, "outbox_done", keys, 2, "a", first, "b", "1") == 1
    assert call(broker, "outbox_done", keys, 2, "a", first, "b", "1") == 0

    assert noted(broker) == [b"b"]
    assert read(broker, "EXISTS", broker.keys.result("a"), broker.keys.result("b")) == 1


def test_forgetting_gives_a_generation_after_all_that_were(broker: RedisBroker) -> None:
    generations = store(broker, "a", "b")
    keys = [broker.keys.outbox, broker.keys.outbox_generation, broker.keys.result("a")]

    at_forgetting = call(broker, "outbox_forget", keys, "a")
    (later,) = store(broker, "c")

    assert int(generations[1]) < int(at_forgetting) < int(later)
    assert noted(broker) == [b"b", b"c"]
    assert read(broker, "EXISTS", broker.keys.result("a")) == 0


def test_a_copy_replaces_an_older_one_and_itself_and_nothing_newer(broker: RedisBroker) -> None:
    kept = broker.keys.kept("a")

    answers = [
        call(broker, "keep_result", [kept], generation, ttl, payload)
        for generation, ttl, payload in ((5, 0, "five"), (5, 0, "5"), (4, 0, "4"), (7, 9_000, "7"))
    ]

    assert answers == [1, 1, 0, 1]
    assert read(broker, "GET", kept) == (7).to_bytes(8, "big") + b"7"
    assert 0 < read(broker, "PTTL", kept) <= 9_000
