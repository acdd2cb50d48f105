"""Calls in a database's transaction: sent if it commits, whatever dies in between."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

import outbox_process
import postgres_server
from redis_server import RedisServer
from waiting import eventually
from windlass import Windlass, chain
from windlass.brokers.base import FetchRequest
from windlass.cli.main import main
from windlass.contrib.sqlalchemy import Outbox, OutboxRow, SqlStore, metadata
from windlass.errors import OperationalError
from windlass.messages import decode_message
from windlass.transactional.relay import Relay, Summary


@pytest.fixture(scope="module")
def postgres() -> Iterator[str | None]:
    if not postgres_server.found():
        yield None
        return
    server = postgres_server.PostgresServer()
    yield server.url
    server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path, postgres: str | None) -> str:
    """Of each kind that is here."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shop.sqlite'}"
    if postgres is None:
        pytest.skip("no PostgreSQL here")
    return postgres


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    made = create_engine(database)
    metadata.drop_all(made)
    metadata.create_all(made)
    yield made
    made.dispose()


@pytest.fixture
def app(redis_server: RedisServer) -> Iterator[Windlass]:
    made = Windlass("shop", broker=redis_server.url, set_as_current=False)

    @made.task(name="shop.receipt")
    def receipt(number: int) -> int:
        return number

    with made:
        yield made


def rows(engine: Engine) -> int:
    with Session(engine) as session:
        return session.scalar(select(func.count()).select_from(OutboxRow)) or 0


def enqueue(app: Windlass, engine: Engine, *numbers: int) -> list[str]:
    with Session(engine) as session, session.begin():
        outbox = Outbox(app)
        return [outbox.enqueue(session, app.tasks["shop.receipt"], each).id for each in numbers]


def sent(app: Windlass) -> list[tuple[str, bytes]]:
    """Take all that is ready, in order: (id, body)."""
    request = FetchRequest(worker_id="w", queues=("default",), want=1000, lease_ms=60_000)
    fetched = app.broker.exchange([], request)[1]
    assert fetched is not None
    return [(each.id, decode_message(each.id, each.raw).body) for each in fetched.deliveries]


def relay(app: Windlass, engine: Engine, **options: Any) -> Relay:
    return Relay(app, SqlStore(engine), **options)


def test_what_is_committed_is_sent_in_order_and_gone_from_the_table(
    app: Windlass, engine: Engine
) -> None:
    ids = enqueue(app, engine, 1, 2, 3)
    assert rows(engine) == 3
    assert sent(app) == []

    assert relay(app, engine).run_once() == Summary(3)
    assert sent(app) == [(id_, b"[[%d],{},{}]" % n) for n, id_ in enumerate(ids, 1)]
    assert rows(engine) == 0


def test_what_is_rolled_back_is_never_sent(app: Windlass, engine: Engine) -> None:
    with Session(engine) as session:
        Outbox(app).enqueue(session, app.tasks["shop.receipt"], 1)
        session.flush()
        session.rollback()

    assert relay(app, engine).run_once() == Summary()


@pytest.mark.parametrize(
    ("point", "committed"),
    [("written", 0), ("committed", 3), ("claimed", 3), ("published", 3), ("deleted", 3)],
)
def test_a_process_killed_at_any_point_loses_and_doubles_nothing(
    app: Windlass, engine: Engine, database: str, point: str, committed: int
) -> None:
    program = [sys.executable, outbox_process.__file__, database, str(app.conf.broker_url)]
    died = subprocess.run([*program, point, "3"], check=False)
    assert died.returncode == -signal.SIGKILL

    successor = relay(app, engine)
    found: list[Any] = []

    def is_all_there() -> bool:
        successor.run_once()
        found.extend(sent(app))
        return rows(engine) == 0

    eventually(is_all_there)
    assert [body for _, body in found] == [b"[[%d],{},{}]" % n for n in range(committed)]


def test_relays_side_by_side_publish_each_row_once(app: Windlass, engine: Engine) -> None:
    ids = enqueue(app, engine, *range(400))
    published: list[str] = []
    enqueue_ = app.broker.enqueue

    def counted(messages: Any, *more: Any) -> Any:
        published.extend(message.id for message in messages)
        return enqueue_(messages, *more)

    vars(app.broker)["enqueue"] = counted
    relays = [relay(app, engine, batch=7, interval_s=0.01) for _ in range(4)]
    threads = [threading.Thread(target=each.run) for each in relays]
    for thread in threads:
        thread.start()
    eventually(lambda: rows(engine) == 0, timeout=60)
    for each in relays:
        each.stop()
    for thread in threads:
        thread.join()

    assert sorted(published) == sorted(ids)


def test_a_row_that_is_no_message_is_set_aside_and_holds_up_nothing(
    app: Windlass, engine: Engine, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = enqueue(app, engine, 1, 2)
    with Session(engine) as session, session.begin():
        session.execute(update(OutboxRow).where(OutboxRow.id == bad).values(message=b"junk"))

    assert relay(app, engine).run_once() == Summary(1, 1)
    assert [id_ for id_, _ in sent(app)] == [good]
    assert relay(app, engine).run_once() == Summary()
    assert main(["outbox", "set-aside", "--database", database]) == 0
    shown = capsys.readouterr().out
    assert bad in shown
    assert "holds no message" in shown


def test_a_broker_that_is_away_leaves_the_rows_to_be_published_later(
    app: Windlass, engine: Engine
) -> None:
    ids = enqueue(app, engine, 1)
    away = Windlass("away", broker="redis://127.0.0.1:1/0", set_as_current=False)
    away.conf.task_publish_retry = False
    with pytest.raises(OperationalError):
        relay(away, engine).run_once()

    assert relay(app, engine).run_once() == Summary(1)
    assert [id_ for id_, _ in sent(app)] == ids


def test_a_commit_wakes_the_relay_of_its_process(app: Windlass, engine: Engine) -> None:
    outbox = Outbox(app, engine)
    outbox.start(interval_s=3600)
    try:
        with Session(engine) as session:
            first = outbox.enqueue(session, app.tasks["shop.receipt"].s(1))
            session.commit()
            eventually(lambda: rows(engine) == 0)
            second = outbox.enqueue(session, "shop.unknown", 2)
            session.commit()
            eventually(lambda: rows(engine) == 0)
    finally:
        outbox.stop()

    assert [id_ for id_, _ in sent(app)] == [first.id, second.id]


def test_countdown_counts_from_the_call_and_options_are_kept(app: Windlass, engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        call = app.tasks["shop.receipt"].s(1).set(countdown=60, queue="slow", priority=5)
        id_ = Outbox(app).enqueue(session, call).id
        expired = app.tasks["shop.receipt"].s(2).set(expires=30)
        gone = Outbox(app).enqueue(session, expired).id
    with Session(engine) as session, session.begin():
        session.execute(update(OutboxRow).values(created_ms=OutboxRow.created_ms - 59_990))
    relay(app, engine).run_once()

    request = FetchRequest(worker_id="w", queues=("slow",), want=1, lease_ms=60_000)
    delivery = eventually(lambda: _first(app, request))
    assert (delivery.id, delivery.raw[1:2]) == (id_, b"5")
    (late,) = sent(app)
    assert late[0] == gone


def _first(app: Windlass, request: FetchRequest) -> Any:
    fetched = app.broker.exchange([], request)[1]
    return next(iter(fetched.deliveries), None) if fetched else None


def test_a_unique_task_is_one_also_by_way_of_the_outbox(app: Windlass, engine: Engine) -> None:
    app.task(name="shop.sync", unique="queued")(lambda shop: None)
    with Session(engine) as session, session.begin():
        outbox = Outbox(app)
        first, *_ = [outbox.enqueue(session, app.tasks["shop.sync"], "a").id for _ in range(3)]
    relay(app, engine).run_once()

    assert [id_ for id_, _ in sent(app)] == [first]
    assert rows(engine) == 0


def test_what_is_wrong_with_a_call_is_said_before_the_commit(app: Windlass, engine: Engine) -> None:
    outbox, task = Outbox(app), app.tasks["shop.receipt"]
    with Session(engine) as session:
        with pytest.raises(TypeError, match="missing"):
            outbox.enqueue(session, task)
        with pytest.raises(TypeError, match="more than one message"):
            outbox.enqueue(session, chain(task.s(1), task.s()))
        with pytest.raises(TypeError, match="has no engine"):
            outbox.start()
        session.commit()

    assert rows(engine) == 0


async def test_asynchronous_sessions_do_as_well(app: Windlass, tmp_path: Path) -> None:
    file = tmp_path / "async.sqlite"
    metadata.create_all(create_engine(f"sqlite:///{file}"))
    made = create_async_engine(f"sqlite+aiosqlite:///{file}")
    async with AsyncSession(made) as session, session.begin():
        result = Outbox(app).enqueue(session, app.tasks["shop.receipt"], 1)
    await made.dispose()

    relay(app, create_engine(f"sqlite:///{file}")).run_once()
    assert [id_ for id_, _ in sent(app)] == [result.id]


def test_the_command_publishes_what_is_there(
    app: Windlass, engine: Engine, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = enqueue(app, engine, 1, 2)
    flags = ["-b", str(app.conf.broker_url), "--database", database, "--once", "--batch", "1"]

    assert main(["outbox", "relay", *flags]) == 0
    assert capsys.readouterr().out == "2 published\n"
    assert [id_ for id_, _ in sent(app)] == ids
