"""The app against a real Redis: sending by name, revoke, purge, threads, forks, closing."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from redis_server import RedisServer
from windlass import Windlass, states
from windlass.brokers.base import Delivery, FetchRequest
from windlass.control_plane.depth import read_depths
from windlass.errors import ConfigurationError, OperationalError
from windlass.messages import decode_message
from windlass.serializers import registry
from windlass.states import Stage

MakeApp = Callable[..., Windlass]


@pytest.fixture
def make_app(redis_unix_url: str) -> Iterator[MakeApp]:
    """Make apps on the test's server; they are closed after the test."""
    made: list[Windlass] = []

    def make(**settings: Any) -> Windlass:
        app = Windlass("test", **{"broker": redis_unix_url, "backend": "redis://", **settings})
        made.append(app)
        return app

    yield make
    for app in made:
        app.close()


def fetch(app: Windlass, *queues: str) -> list[Delivery]:
    request = FetchRequest(
        worker_id="test", queues=queues or ("default",), want=10, lease_ms=60_000
    )
    _, fetched = app.broker.exchange([], request)
    return fetched.deliveries if fetched else []


def arguments(delivery: Delivery) -> Any:
    message = decode_message(delivery.id, delivery.raw)
    return registry.decode(message.body, message.headers.content_type, {"json"})[:2]


def depth(app: Windlass, queue: str = "default") -> Any:
    return read_depths(app.broker, [queue])[0]


def test_send_task_needs_no_task_here_and_checks_no_signature(make_app: MakeApp) -> None:
    """Statement 8."""
    app = make_app()

    @app.task(name="known", queue="bulk", priority=4)
    def known(x: int) -> None: ...

    unknown = app.send_task("elsewhere.add", (1, 2), {"z": 3})
    checked_not = app.send_task("known", (1, 2, 3))

    first = fetch(app)[0]
    second = fetch(app, "bulk")[0]
    assert (first.id, arguments(first)) == (unknown.id, [[1, 2], {"z": 3}])
    assert (second.id, arguments(second)) == (checked_not.id, [[1, 2, 3], {}])
    assert decode_message(second.id, second.raw).priority == 4
    with pytest.raises(TypeError):
        known.delay(1, 2, 3)


def test_send_many_takes_signatures_of_any_tasks(make_app: MakeApp) -> None:
    app = make_app()

    @app.task(name="add")
    def add(x: int, y: int) -> int:
        return x + y

    results = app.send_many(
        [add.s(1, 2), add.s(3, 4).set(queue="bulk"), app.signature("elsewhere", (5,))]
    )

    sent = fetch(app, "default", "bulk")
    assert sorted(result.id for result in results) == sorted(delivery.id for delivery in sent)
    assert {d.id: arguments(d)[0] for d in sent} == dict(
        zip((result.id for result in results), ([1, 2], [3, 4], [5]), strict=True)
    )


async def test_async_twins_send_the_same(make_app: MakeApp) -> None:
    async with make_app() as app:

        @app.task(name="add")
        def add(x: int, y: int) -> int:
            return x + y

        one = await app.asend_task("add", (1, 2))
        more = await app.asend_many([add.s(3, 4), add.s(5, 6)])

    sent = await asyncio.to_thread(fetch, app)
    assert [one.id, *(result.id for result in more)] == [delivery.id for delivery in sent]


def test_routes_and_default_queue_decide_where_calls_go(make_app: MakeApp) -> None:
    """Statement 41, end to end."""
    app = make_app(
        task_default_queue="main", task_routes={"feed.*": {"queue": "feeds", "priority": 6}}
    )

    app.send_task("feed.import")
    app.send_task("feed.export", queue="mine", priority=2)
    app.send_task("shop.add")

    found = {
        queue: [(d.id, decode_message(d.id, d.raw).priority) for d in fetch(app, queue)]
        for queue in ("main", "feeds", "mine")
    }
    assert {queue: [priority for _, priority in got] for queue, got in found.items()} == {
        "main": [0],
        "feeds": [6],
        "mine": [2],
    }


def test_keyspaces_never_meet(make_app: MakeApp) -> None:
    one, other = make_app(keyspace="one"), make_app(keyspace="other")

    one.send_task("add")

    assert (depth(one).open, depth(other).open) == (1, 0)


@pytest.mark.parametrize(
    ("options", "stage"),
    [({}, Stage.QUEUED), ({"countdown": 3600}, Stage.SCHEDULED)],
)
def test_revoking_what_waits_takes_it_back_at_once(
    make_app: MakeApp, options: dict[str, Any], stage: Stage
) -> None:
    """Statement 45, with no worker up."""
    app = make_app()
    result = app.send_task("add", **options)

    assert app.control.revoke(result.id) == {result.id: stage}

    assert result.state == states.REVOKED
    assert fetch(app) == []
    assert depth(app).scheduled == 0


def test_revoking_several_says_where_each_was_and_refuses_what_comes_later(
    make_app: MakeApp,
) -> None:
    app = make_app()
    queued = app.send_task("add")

    stages = app.control.revoke([queued.id, "to-come"])
    app.send_task("add", task_id="to-come")

    assert stages == {queued.id: Stage.QUEUED, "to-come": Stage.UNKNOWN}
    assert [delivery.revoked for delivery in fetch(app)] in ([], [True])


def test_a_signal_that_does_not_exist_is_refused(make_app: MakeApp) -> None:
    app = make_app()

    with pytest.raises(ConfigurationError, match=r"'SIGTREM' is not a signal.*'SIGTERM'"):
        app.control.terminate("some-id", signal="SIGTREM")
    assert app.control.terminate("some-id", signal="kill") == {"some-id": Stage.UNKNOWN}


def test_purge_deletes_what_waits_and_says_how_much(make_app: MakeApp) -> None:
    app = make_app(task_queues=["default", "bulk"])
    for options in ({}, {"countdown": 3600}, {"queue": "bulk"}, {"queue": "other"}):
        app.send_task("add", **options)

    assert app.control.purge() == 3
    assert app.control.purge() == 0
    assert app.control.purge(["other"]) == 1


def test_one_broker_serves_all_threads(make_app: MakeApp) -> None:
    app = make_app()
    barrier = threading.Barrier(8)

    def send() -> None:
        barrier.wait()
        for _ in range(20):
            app.send_task("add")

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert depth(app).open == 160


def test_an_app_that_was_used_may_be_forked(make_app: MakeApp) -> None:
    """A pre-forking web server: parent and children must not share a socket."""
    app = make_app()
    app.send_task("from-parent")

    child = os.fork()
    if child == 0:
        try:
            for _ in range(50):
                app.send_task("from-child")
        except BaseException:
            os._exit(1)
        os._exit(0)
    for _ in range(50):
        app.send_task("from-parent")

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert depth(app).open == 101


def test_a_closed_app_can_be_configured_and_used_again(
    make_app: MakeApp, start_redis: Callable[..., RedisServer]
) -> None:
    with make_app() as app:
        app.send_task("add")
        with pytest.raises(ConfigurationError, match=r"app\.close"):
            app.conf.keyspace = "late"

    app.conf.broker_url = start_redis().unix_url
    assert depth(app).open == 0
    app.send_task("add")
    assert depth(app).open == 1


def test_a_broker_that_is_not_there_is_an_error_in_the_caller(
    make_app: MakeApp, start_redis: Callable[..., RedisServer]
) -> None:
    """Statement 7: after the publish retries."""
    server = start_redis()
    app = make_app(
        broker=server.unix_url,
        task_publish_retry_policy={"max_retries": 1, "interval_step": 0, "interval_max": 0},
    )
    app.send_task("add")
    server.kill()

    with pytest.raises(OperationalError, match="cannot be reached"):
        app.send_task("add")


def test_backend_shares_the_brokers_connections(make_app: MakeApp) -> None:
    app = make_app()
    result = app.send_task("add")

    assert app.backend is app.backend is not None
    assert result.state == states.PENDING
    assert make_app(backend=None).backend is None


def test_worker_main_runs_the_command_line_on_this_app(
    make_app: MakeApp, capsys: pytest.CaptureFixture[str]
) -> None:
    app = make_app()
    app.send_task("add", queue="mail")

    assert app.worker_main(["queues"]) == 0
    assert "mail" in capsys.readouterr().out
    assert app.start(["no-such-command"]) == 2
