"""Connections that break, servers that restart, replies that are refusals."""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec
import pytest

from broker_state import done, fetch, ids_of, lease, places, read, ready_ids, send, settle
from builders import make_message, make_messages
from redis_server import RedisServer
from waiting import eventually
from windlass.brokers.base import FetchRequest
from windlass.brokers.publish_retry import PublishRetry
from windlass.brokers.redis import RedisBroker
from windlass.errors import BrokerAccessError, BrokerError, ConfigurationError, OperationalError
from windlass.redis_store import connection
from windlass.redis_store.resp import packed

StartRedis = Callable[..., RedisServer]
NEVER = PublishRetry(max_retries=0)
QUICK = PublishRetry(max_retries=100, interval_start=0.01, interval_step=0.0)


def kill_others(server: RedisServer) -> None:
    server.client().client_kill_filter(_type="normal", skipme=True)


def test_enqueue_gets_over_a_restart_and_stores_each_message_once(start_redis: StartRedis) -> None:
    server = start_redis({"appendonly": "yes", "appendfsync": "always"})
    broker = RedisBroker(server.url, retry=QUICK)
    messages = make_messages(50, queue="q")
    broker.enqueue(messages[:30])

    server.restart()
    fresh = broker.enqueue(messages)

    assert fresh == [False] * 30 + [True] * 20
    assert ready_ids(broker) == [message.id for message in messages]
    broker.close()


def test_enqueue_waits_for_a_server_that_comes_back(start_redis: StartRedis) -> None:
    server = start_redis({"appendonly": "yes", "appendfsync": "always"})
    broker = RedisBroker(server.url, retry=QUICK)
    send(broker, "before")
    server.kill()
    answers: list[list[bool]] = []
    sender = threading.Thread(
        target=lambda: answers.append(broker.enqueue([make_message(id="during", queue="q")]))
    )
    sender.start()
    server.start()
    sender.join(timeout=20)

    assert answers == [[True]]
    assert ready_ids(broker) == ["before", "during"]
    broker.close()


async def test_the_async_twin_gets_over_a_restart_too(start_redis: StartRedis) -> None:
    server = start_redis({"appendonly": "yes", "appendfsync": "always"})
    broker = RedisBroker(server.url, retry=QUICK)
    messages = make_messages(3, queue="q")
    await broker.aenqueue(messages[:2])

    server.restart()

    assert await broker.aenqueue(messages) == [False, False, True]
    await broker.async_links.close()
    broker.close()


def test_without_retries_an_unreachable_broker_is_told_at_once() -> None:
    broker = RedisBroker("redis://:secret@127.0.0.1:1/0", retry=NEVER)

    with pytest.raises(OperationalError, match=r"127.0.0.1:1/0 cannot be reached") as error:
        broker.enqueue([make_message()])

    assert "broker_url" in str(error.value)
    assert "secret" not in str(error.value)


def test_a_host_that_does_not_exist_is_named() -> None:
    broker = RedisBroker("redis://no-such-host.invalid:6379", retry=NEVER)

    with pytest.raises(OperationalError, match=r"no-such-host\.invalid"):
        broker.enqueue([make_message()])


@pytest.mark.parametrize("url", ["http://host", "host:6379", "", "redis://host:port"])
def test_an_address_that_is_none_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match="redis://"):
        RedisBroker(url)


def test_a_wrong_password_is_told_once_and_never_shown(start_redis: StartRedis) -> None:
    server = start_redis({"requirepass": "right"})
    address = f"127.0.0.1:{server.port}"
    for url in (f"redis://:wrong@{address}", f"redis://{address}"):
        broker = RedisBroker(url, retry=PublishRetry(max_retries=10**9, interval_step=60.0))

        with pytest.raises(BrokerAccessError, match="password") as error:
            broker.enqueue([make_message()])
        assert "wrong" not in str(error.value).replace("WRONGPASS", "")

    RedisBroker(f"redis://:right@{address}").ping()


def test_a_connection_closed_while_idle_costs_no_call(
    broker: RedisBroker, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_FRESH_S", 0.0)
    broker.retry = NEVER
    send(broker, "a")
    kill_others(redis_server)

    assert broker.enqueue([make_message(id="b", queue="q")]) == [True]
    kill_others(redis_server)
    assert ids_of(fetch(broker)) == ["a", "b"]


def test_every_stale_connection_of_an_event_loop_is_dropped_at_once(
    broker: RedisBroker, redis_server: RedisServer
) -> None:
    import asyncio

    broker.retry = PublishRetry(max_retries=1, interval_step=0.0)

    async def run() -> list[bool]:
        await asyncio.gather(*(broker.aenqueue([make_message()]) for _ in range(8)))
        kill_others(redis_server)
        fresh = await broker.aenqueue([make_message(id="last", queue="q")])
        await broker.async_links.close()
        return fresh

    assert asyncio.run(run()) == [True]


def test_a_connection_killed_while_a_worker_waits_is_an_error_and_the_next_wait_works(
    broker: RedisBroker, redis_server: RedisServer
) -> None:
    request = FetchRequest(worker_id="w", queues=("q",), want=1, lease_ms=15_000, wait_ms=5_000)
    errors: list[Exception] = []

    def wait() -> None:
        try:
            broker.wait(request, 20)
        except Exception as error:
            errors.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    client = redis_server.client()
    eventually(lambda: client.info("clients")["blocked_clients"] == 1)
    kill_others(redis_server)
    waiter.join(timeout=20)

    assert [type(error) for error in errors] == [OperationalError]
    send(broker, "a")
    fetched = broker.wait(request, 0.01)
    assert fetched is not None
    assert ids_of(fetched) == ["a"]


def test_a_server_that_forgot_its_scripts_gets_them_again_inside_a_pipeline(
    broker: RedisBroker, redis_server: RedisServer
) -> None:
    deliveries = lease(broker, "a", "b", "c")
    send(broker, "next")
    redis_server.client().script_flush()

    request = FetchRequest(worker_id="w", queues=("q",), want=5, lease_ms=15_000)
    stale, fetched = broker.exchange([done(d) for d in deliveries], request)

    assert stale == []
    assert fetched is not None
    assert ids_of(fetched) == ["next"]


async def test_the_async_twin_loads_scripts_again_too(
    broker: RedisBroker, redis_server: RedisServer
) -> None:
    await broker.aenqueue([make_message()])
    redis_server.client().script_flush()

    assert await broker.aenqueue(make_messages(3)) == [True] * 3
    await broker.async_links.close()


def test_a_refusal_in_the_middle_of_a_pipeline_leaves_replies_and_requests_in_step(
    broker: RedisBroker,
) -> None:
    commands = [packed("PING"), packed("NO-SUCH-COMMAND"), packed("ECHO", "end")]

    replies = broker.links.try_call(commands)
    assert [replies[0], replies[2]] == [b"PONG", b"end"]
    with pytest.raises(BrokerError, match="NO-SUCH-COMMAND"):
        broker.links.call(commands)
    assert read(broker, "ECHO", "next") == b"next"


def test_what_was_fetched_beside_a_refused_settlement_goes_back_uncounted(
    broker: RedisBroker,
) -> None:
    (bad,) = lease(broker, "bad", queue="broken")
    good = lease(broker, "good")[0]
    send(broker, "waiting")
    broken = broker.keys.queue("broken").left
    read(broker, "DEL", broken)
    read(broker, "SET", broken, "not a hash")
    request = FetchRequest(worker_id="w", queues=("q",), want=5, lease_ms=15_000)

    with pytest.raises(BrokerError, match="WRONGTYPE"):
        broker.exchange([done(bad), done(good)], request)

    assert places(broker, "waiting") == ["ready"]
    assert places(broker, "good") == [], "the settlements beside it were done"
    assert fetch(broker).deliveries[0].deliveries == 0


def test_a_settlement_repeated_after_a_lost_reply_is_stale_and_harmless(
    broker: RedisBroker, redis_server: RedisServer
) -> None:
    """The connection dies after the server has done it and before the reply is read."""
    (d,) = lease(broker, "a")
    call = broker.commands.settle([done(d)])[0]
    link = broker.links.link()
    link.open().send(call.command)
    eventually(lambda: places(broker, "a") == [])
    link.close()

    assert settle(broker, done(d)) == ["a"]
    assert read(broker, "HGET", broker.keys.queue("q").stats, "completed") == b"1"


def test_a_paused_server_ends_in_an_error_after_the_socket_time_out(
    redis_server: RedisServer,
) -> None:
    broker = RedisBroker(redis_server.url, retry=NEVER, options={"socket_timeout": 0.2})
    message = make_message(id="a", queue="q")
    broker.ping()
    redis_server.pause()
    try:
        with pytest.raises(OperationalError):
            broker.enqueue([message])
    finally:
        redis_server.resume()

    # The server may have done it when it woke up; to send it again is safe.
    broker.enqueue([message])
    assert ready_ids(broker) == ["a"]
    broker.close()


def test_options_of_a_connection_are_spelled_as_in_redis_py(redis_server: RedisServer) -> None:
    broker = RedisBroker(redis_server.url, options={"client_name": "shop"})

    assert read(broker, "CLIENT", "GETNAME") == b"shop"
    broker.close()


def test_a_message_is_what_was_sent(broker: RedisBroker) -> None:
    (sent,) = send(broker, "a")

    (delivery,) = fetch(broker).deliveries
    assert delivery.raw[20:] == sent.tail
    assert msgspec.structs.asdict(delivery)["queue"] == "q"
