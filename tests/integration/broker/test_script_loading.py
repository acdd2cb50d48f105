"""A server that forgets the scripts at any moment: what is sent in one write keeps its order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from broker_state import FINAL, done, ids_of, lease, read, send
from every_script import call_every_script
from redis_server import RedisServer
from schedule_builders import make_entry
from windlass.brokers.base import Fetched, FetchRequest
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.schedules import put_schedule, read_schedule, trigger_schedule
from windlass.redis_store import connection
from windlass.redis_store.resending import to_send_again
from windlass.redis_store.resp import packed
from windlass.redis_store.scripts import edition, names, script
from windlass.redis_store.wire import Refusal, Reply, Wire

REQUEST = FetchRequest(worker_id="w", queues=("q",), want=5, lease_ms=15_000)
UNKNOWN = Refusal("NOSCRIPT No matching script. Please use EVAL.")


@pytest.fixture
def broker(redis_server: RedisServer) -> Iterator[RedisBroker]:
    broker = RedisBroker(redis_server.url, keyspace="scripts")
    yield broker
    broker.close()


def test_all_scripts_are_there_after_the_first_that_was_missing(
    broker: RedisBroker, redis_server: RedisServer
) -> None:
    client = redis_server.client()
    client.script_flush()

    send(broker, "a")

    assert client.script_exists(*(script(name).sha.decode() for name in names())) == [True] * len(
        names()
    )


def test_every_operation_works_on_a_server_that_forgets_before_each_call(
    broker: RedisBroker, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = redis_server.client()
    real = Wire.send

    def send_after_flush(self: Wire, data: bytes) -> None:
        client.script_flush()
        real(self, data)

    monkeypatch.setattr(Wire, "send", send_after_flush)
    call_every_script(broker)


def run_with_schedule(broker: RedisBroker) -> tuple[str, list[Any]]:
    """Lease the run of a schedule and two more, and build the ends of all three."""
    put_schedule(broker, make_entry(queue="runs"))
    run_id = trigger_schedule(broker, "s")
    held = [*lease(broker, "a", "b"), *_fetch(broker, "runs").deliveries]
    send(broker, "next")
    return run_id, [done(each, result=FINAL) for each in held]


def _fetch(broker: RedisBroker, queue: str) -> Fetched:
    request = FetchRequest(worker_id="w", queues=(queue,), want=5, lease_ms=15_000)
    fetched = broker.exchange([], request)[1]
    assert fetched is not None
    return fetched


@pytest.mark.parametrize("position", range(5))
def test_a_server_that_forgets_in_the_middle_of_a_pipeline_keeps_its_order(
    broker: RedisBroker,
    redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    position: int,
) -> None:
    client = redis_server.client()
    run_id, ends = run_with_schedule(broker)
    sent: list[int] = []

    def one_by_one(wire: Wire, commands: Sequence[bytes]) -> list[Reply]:
        replies = []
        for number, command in enumerate(commands):
            if not sent and number == position:
                client.script_flush()
            wire.send(command)
            replies.append(wire.try_read())
        sent.append(len(commands))
        return replies

    monkeypatch.setattr(connection, "_exchange", one_by_one)
    stale, fetched = broker.exchange(ends, REQUEST)
    monkeypatch.undo()

    schedule = read_schedule(broker, "s")
    assert schedule.run is not None
    assert (schedule.run.id, schedule.state) == (run_id, "SUCCESS")
    assert stale == []
    assert fetched is not None
    assert ids_of(fetched) == ["next"]
    assert (len(sent) == 2) == (position < sent[0])


def test_a_server_that_knows_another_edition_knows_none_of_this_one(
    broker: RedisBroker, redis_server: RedisServer
) -> None:
    client = redis_server.client()
    run_id, ends = run_with_schedule(broker)
    client.script_flush()
    for name in set(names()) - {"note_run_end"}:  # a version that lacks one
        client.script_load(script(name).source.replace(edition(), "0" * 40))

    broker.exchange(ends, REQUEST)

    schedule = read_schedule(broker, "s")
    assert schedule.run is not None
    assert (schedule.run.id, schedule.state) == (run_id, "SUCCESS")


def test_users_without_transactions_get_the_scripts_all_the_same(
    broker: RedisBroker, redis_server: RedisServer
) -> None:
    client = redis_server.client()
    read(broker, "ACL", "SETUSER", "plain", "on", ">secret", "~*", "&*", "+@all", "-multi", "-exec")
    client.script_flush()
    url = redis_server.url.replace("redis://", "redis://plain:secret@")
    plain = RedisBroker(url, keyspace="scripts")

    send(plain, "a")

    assert ids_of(_fetch(plain, "q")) == ["a"]
    plain.close()


@pytest.mark.parametrize(
    ("replies", "again"),
    [
        ([b"OK", 1, 1], []),
        ([UNKNOWN, UNKNOWN, 1], [0, 1, 2]),
        ([1, UNKNOWN, 1], [1, 2]),
        ([UNKNOWN, 1, 1], [0]),
    ],
    ids=["all known", "a WAIT behind them", "the last script", "one behind it was done"],
)
def test_what_is_sent_again_begins_with_the_first_that_was_missing(
    replies: list[Any], again: list[int]
) -> None:
    call = script("renew").command((b"k",), ("", 1))

    assert list(to_send_again([call, call, packed("WAIT", 1, 5)], replies)) == again


async def test_the_async_twin_keeps_the_order_too(
    broker: RedisBroker, redis_server: RedisServer
) -> None:
    redis_server.client().script_flush()
    mark = script("revoke_stamps").command(
        (broker.keys.stamps, broker.keys.stamps_generation), ("", 1000, "m")
    )
    after = packed("ZCARD", broker.keys.stamps)

    assert (await broker.async_links.call([mark, after]))[1] == 1
    await broker.async_links.close()
