"""Keyspaces, processes and threads that share a server, and the slots of a cluster."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Sequence

import pytest

from broker_state import done, fetch, ids_of, read, send, settle, snapshot
from builders import make_messages
from every_script import call_every_script
from redis_server import RedisServer
from waiting import eventually
from windlass.brokers.base import FetchRequest
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.depth import read_depths
from windlass.control_plane.heartbeats import read_workers
from windlass.errors import ConfigurationError, OperationalError
from windlass.redis_store.resp import Argument
from windlass.redis_store.scripts import Script, names


def test_two_keyspaces_on_one_server_never_meet(redis_server: RedisServer) -> None:
    mine = RedisBroker(redis_server.url, keyspace="mine")
    theirs = RedisBroker(redis_server.url, keyspace="theirs")
    send(theirs, "a", "late")
    (held,) = fetch(theirs, 1).deliveries
    before = snapshot(theirs)

    call_every_script(mine)

    assert before == snapshot(theirs)
    assert read_workers(theirs) == []
    assert settle(mine, done(held)) == ["a"]
    assert settle(theirs, done(held)) == []
    assert ids_of(fetch(theirs)) == ["late"]
    assert all(key.startswith(b"windlass:{") for key in redis_server.client().keys("*"))
    mine.close()
    theirs.close()


@pytest.mark.parametrize("keyspace", ["", "a{b", "a}b", "k" * 121])
def test_a_keyspace_that_would_break_the_hash_tag_is_refused(keyspace: str) -> None:
    with pytest.raises(ConfigurationError, match="Keyspace"):
        RedisBroker("redis://localhost", keyspace=keyspace)


def slot(key: bytes) -> int:
    """Compute a key's slot as a cluster does: CRC16 (XMODEM) of the hash tag, modulo 16384."""
    tag = re.search(rb"\{([^}]+)\}", key)
    crc = 0
    for byte in tag[1] if tag else key:
        crc ^= byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021) if crc & 0x8000 else crc << 1
            crc &= 0xFFFF
    return crc % 16384


def test_the_slot_of_a_key_is_computed_as_the_specification_does() -> None:
    assert slot(b"123456789") == 0x31C3 % 16384
    assert slot(b"{user1000}.following") == slot(b"{user1000}.followers")


@pytest.mark.parametrize("keyspace", ["default", "team-a", "odd:name.é"])
def test_all_keys_of_every_script_call_are_in_one_slot_of_a_cluster(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, keyspace: str
) -> None:
    called: dict[str, set[int]] = {}
    real = Script.command

    def spy(self: Script, keys: Sequence[bytes], args: Sequence[Argument]) -> bytes:
        called.setdefault(self.name, set()).update(map(slot, keys))
        return real(self, keys, args)

    monkeypatch.setattr(Script, "command", spy)
    broker = RedisBroker(redis_server.url, keyspace=keyspace)
    call_every_script(broker)

    assert {*called, "enqueue"} == set(names()), "a call for every script"
    assert {slot(broker.keys.base.encode())} == {s for slots in called.values() for s in slots}
    stored = [key for key in redis_server.client().keys("*") if keyspace.encode() in key]
    assert {slot(broker.keys.base.encode())} == set(map(slot, stored))
    broker.close()


def test_a_forked_child_has_connections_of_its_own(broker: RedisBroker) -> None:
    broker.wait(FetchRequest(worker_id="w", queues=("q",), want=1, lease_ms=1, wait_ms=1), 0.0)
    send(broker, "parent")
    parent_id = read(broker, "CLIENT", "ID")

    child = os.fork()
    if child == 0:
        try:
            request = FetchRequest(worker_id="c", queues=("q",), want=1, lease_ms=60_000)
            taken = broker.wait(request, 0.0)
            send(broker, "child", queue="other")
            is_own = read(broker, "CLIENT", "ID") != parent_id
            is_right = taken is not None and ids_of(taken) == ["parent"] and is_own
            os._exit(0 if is_right else 1)
        finally:
            os._exit(2)
    for n in range(200):  # the parent goes on meanwhile, on the connection that it had
        assert read(broker, "ECHO", str(n)) == str(n).encode()
    assert os.waitpid(child, 0)[1] == 0

    assert read(broker, "CLIENT", "ID") == parent_id
    assert ids_of(fetch(broker, queues=("other",))) == ["child"]


def test_threads_share_a_broker(broker: RedisBroker) -> None:
    failures: list[BaseException] = []

    def work(n: int) -> None:
        try:
            for m in range(40):
                broker.enqueue(make_messages(5, queue=f"t{n}"))
                deliveries = fetch(broker, 5, (f"t{n}",)).deliveries
                assert len(deliveries) == 5, m
                assert settle(broker, *map(done, deliveries)) == []
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert failures == []
    depths = read_depths(broker, [f"t{n}" for n in range(8)])
    assert [(d.open, d.leased, d.completed) for d in depths] == [(0, 0, 200)] * 8


def test_two_workers_on_one_queue_never_get_the_same_message(redis_server: RedisServer) -> None:
    brokers = [RedisBroker(redis_server.url) for _ in range(4)]
    sent = make_messages(2_000, queue="q")
    brokers[0].enqueue(sent)
    got: list[list[str]] = [[] for _ in brokers]

    def drain(n: int) -> None:
        while deliveries := fetch(brokers[n], 7, worker_id=f"w{n}").deliveries:
            got[n] += [d.id for d in deliveries]
            settle(brokers[n], *map(done, deliveries))

    threads = [threading.Thread(target=drain, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert sorted(id_ for ids in got for id_ in ids) == sorted(message.id for message in sent)
    for broker in brokers:
        broker.close()


def test_a_wait_is_ended_from_another_thread(
    broker: RedisBroker, redis_server: RedisServer
) -> None:
    request = FetchRequest(worker_id="w", queues=("q",), want=1, lease_ms=1_000, wait_ms=5_000)
    errors: list[Exception] = []

    def wait() -> None:
        try:
            broker.wait(request, 20)
        except OperationalError as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    client = redis_server.client()
    eventually(lambda: client.info("clients")["blocked_clients"] == 1)
    broker.interrupt()
    thread.join(timeout=20)

    assert len(errors) == 1
    assert broker.wait(request, 0.0) is not None
