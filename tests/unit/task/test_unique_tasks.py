"""Unique tasks as callers see them, on the in-memory broker."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from waiting import eventually
from windlass import Windlass, chain, chord, group
from windlass.beat.declared import entries_of
from windlass.context import Context
from windlass.contrib.testing.worker import start_worker
from windlass.errors import ConfigurationError, DuplicateTaskError, ScheduleError, TaskRevokedError
from windlass.states import Stage


@pytest.fixture
def app() -> Any:
    url = f"memory://{uuid4()}"
    with Windlass("unique", broker=url, backend=url) as app:
        yield app


def sent_by(app: Windlass) -> int:
    """Messages that were ever stored."""
    return sum(queue.enqueued for queue in app.broker.store.queues.values())  # type: ignore[union-attr]  # memory


def test_a_call_with_the_same_arguments_gives_the_handle_of_the_one_that_is_there(
    app: Windlass,
) -> None:
    @app.task(unique="done")
    def add(x: int, y: int = 2) -> int:
        return x + y

    first = add.delay(1)
    same = [add.delay(1, 2), add.delay(y=2, x=1), add.s(1).delay(), add.apply_async((1,))]

    assert {first.id} == {handle.id for handle in same}
    assert add.delay(2).id != first.id
    assert app.send_task(add.name, (1, 2)).id == first.id
    with start_worker(app):
        assert same[0].get(timeout=10) == 3
        assert add.delay(1).get(timeout=10) == 3
    assert sent_by(app) == 3


async def test_the_async_twins_do_the_same(app: Windlass) -> None:
    @app.task(unique=True, on_duplicate="reject")
    def add(x: int, y: int) -> int:
        return x + y

    first = await add.adelay(1, 2)
    with pytest.raises(DuplicateTaskError) as caught:
        await add.adelay(1, 2)

    assert caught.value.task_id == first.id
    handles = await add.asend_many([(1, 2), (3, 4), (3, 4)], on_duplicate="return")
    assert [handle.id == first.id for handle in handles] == [True, False, False]
    assert handles[1].id == handles[2].id


def test_a_rejected_call_says_what_is_there_and_what_to_do(app: Windlass) -> None:
    @app.task(name="mail", unique="queued", unique_key="{user}", on_duplicate="reject")
    def mail(user: str, text: str) -> None: ...

    first = mail.delay("bob", "one")
    mail.delay("eve", "one")

    with pytest.raises(
        DuplicateTaskError, match=r"'mail'.*mail:bob.*on_duplicate='return'"
    ) as error:
        mail.delay("bob", "two")
    assert (error.value.task, error.value.task_id, error.value.key) == (
        "mail",
        first.id,
        "mail:bob",
    )
    assert not error.value.is_running


def test_a_replaced_call_ends_as_revoked_and_the_new_one_runs(app: Windlass) -> None:
    @app.task(unique="queued", unique_key=["doc"], on_duplicate="replace")
    def index(doc: int, version: int) -> int:
        return version

    old, new = index.delay(1, 1), index.delay(1, 2)

    assert (old.state, old.stage) == ("REVOKED", Stage.DONE)
    with pytest.raises(TaskRevokedError, match="replaced by a newer call"):
        old.get(timeout=10)
    with start_worker(app):
        assert new.get(timeout=10) == 2


def test_one_that_runs_cannot_be_replaced_and_the_caller_is_told(app: Windlass) -> None:
    seen: list[DuplicateTaskError] = []

    @app.task(bind=True, unique="done", unique_key=["x"], on_duplicate="replace")
    def again(self: Any, x: int) -> None:
        try:
            again.delay(x)
        except DuplicateTaskError as error:
            seen.append(error)

    handle = again.delay(1)
    with start_worker(app):
        handle.get(timeout=10)

    assert [(error.task_id, error.is_running) for error in seen] == [(handle.id, True)]
    assert "Only one that waits can be replaced" in str(seen[0])


def test_debounced_and_throttled_calls_come_to_one_message(app: Windlass) -> None:
    @app.task(debounce=timedelta(hours=1), debounce_max_wait=7200, unique_key=["doc"])
    def index(doc: int, version: int) -> None: ...

    @app.task(throttle=3600)
    def refresh(version: int) -> None: ...

    assert index.delay(1, 1).id == index.delay(1, 2).id != index.delay(2, 1).id
    assert refresh.apply_async((1,), unique_key="x{0}").id != refresh.delay(1).id
    assert index.delay(1, 3).stage is Stage.SCHEDULED


def test_a_message_that_takes_newer_arguments_is_signed_for_its_own_id(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("k1:" + "s" * 44 + "\n")
    url = f"memory://{uuid4()}"
    with Windlass(
        "signed",
        broker=url,
        backend=url,
        message_signing="require",
        message_signing_keys=str(keys),
    ) as app:

        @app.task(throttle=0.001, unique_key=["doc"])
        def index(doc: int, version: int) -> int:
            return version

        first = index.delay(1, 1)
        assert index.delay(1, 2).id == first.id
        with start_worker(app):
            assert first.get(timeout=10) == 2


def test_options_of_a_call_take_the_place_of_the_tasks(app: Windlass) -> None:
    @app.task(unique="done")
    def add(x: int) -> None: ...

    @app.task
    def plain(x: int) -> None: ...

    assert add.delay(1).id != add.apply_async((1,), unique=False).id
    first = plain.apply_async((1,), unique_for=60, unique_key="{x}")
    assert plain.apply_async((1,), unique_for=60, unique_key="{x}").id == first.id
    assert plain.delay(1).id != first.id
    assert plain.s(1).set(unique_for=60, unique_key="{x}").apply_async().id == first.id


def test_a_route_may_say_it_where_task_and_call_do_not(app: Windlass) -> None:
    @app.task(name="shop.plain")
    def plain(x: int) -> None: ...

    @app.task(name="shop.own", unique="queued", unique_key="{x[0]}")
    def own(x: str) -> None: ...

    app.conf.task_routes = {"shop.*": {"unique": "done", "queue": "shop"}}
    assert plain.delay(1).id == plain.delay(1).id
    assert plain.apply_async((1,), unique=False).id != plain.delay(1).id
    assert own.delay("ab").id == own.delay("ac").id


def test_a_key_function_may_say_that_a_call_has_none(app: Windlass) -> None:
    @app.task(unique="done", unique_key=lambda x: x or None)
    def add(x: int) -> None: ...

    assert add.delay(1).id == add.delay(1).id
    assert add.delay(0).id != add.delay(0).id


def test_an_ignored_result_stays_ignored_on_the_handle_of_a_duplicate(app: Windlass) -> None:
    @app.task(unique="done", ignore_result=True)
    def add(x: int) -> None: ...

    add.delay(1)
    assert add.delay(1).ignored


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"unique": "finished"}, "Expected one of: 'queued', 'started', 'done'"),
        ({"unique": "don"}, "Did you mean 'done'"),
        ({"unique": "done", "unique_for": 5}, "unique and unique_for do not go together"),
        ({"debounce": 1, "throttle": 2}, "debounce and throttle do not go together"),
        ({"unique_for": 0}, "more than 0 seconds"),
        ({"throttle": "1/s"}, "must be seconds"),
        ({"debounce": 5, "debounce_max_wait": 1}, "must not be less than debounce=5"),
        ({"throttle": 5, "debounce_max_wait": 1}, "needs debounce="),
        ({"debounce_max_wait": 1}, "needs debounce="),
        ({"debounce": 5, "on_duplicate": "reject"}, "does not go with debounce"),
        ({"unique": "done", "on_duplicate": "drop"}, "Expected one of: 'return', 'reject'"),
        ({"on_duplicate": "reject"}, "has no meaning without unique="),
        ({"unique_key": "{x}"}, "has no meaning without unique="),
        ({"unique": "done", "unique_key": "{user}"}, "'user', which is no parameter"),
    ],
)
def test_options_that_do_not_go_together_are_refused_when_the_task_is_declared(
    app: Windlass, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(ConfigurationError, match=text):
        app.task(name="t", **options)(lambda x: x)


@pytest.mark.parametrize("times", [{"countdown": 5}, {"eta": None, "countdown": 1}])
def test_a_debounced_call_takes_no_time_of_its_own(app: Windlass, times: dict[str, Any]) -> None:
    @app.task(debounce=5)
    def add(x: int) -> None: ...

    with pytest.raises(ConfigurationError, match="countdown does not go with debounce"):
        add.apply_async((1,), **times)


def test_arguments_without_a_key_are_refused_and_nothing_is_sent(app: Windlass) -> None:
    @app.task(unique="done", unique_key="{order[id]}")
    def ship(order: dict[str, int]) -> None: ...

    with pytest.raises(ValueError, match="unique_key"):
        ship.delay({})
    assert sent_by(app) == 0


def test_steps_of_a_workflow_are_always_sent_so_that_no_join_waits_for_a_duplicate(
    app: Windlass,
) -> None:
    @app.task(unique="done", on_duplicate="reject")
    def add(x: int, y: int) -> int:
        return x + y

    @app.task
    def total(values: list[int]) -> int:
        return sum(values)

    add.delay(1, 1)
    joined = chord([add.s(1, 1), add.s(1, 1)])(total.s())
    linked = chain(add.s(1, 1), add.s(0))()
    many = group(add.s(1, 1), add.s(1, 1))()
    with start_worker(app):
        assert joined.get(timeout=10) == 4
        assert linked.get(timeout=10) == 2
        assert many.get(timeout=10) == [2, 2]


def test_what_is_linked_to_a_task_is_always_sent(app: Windlass) -> None:
    done: list[int] = []

    @app.task(unique="done", on_duplicate="reject", unique_key="{x[id]}")
    def note(x: dict[str, int]) -> None:
        done.append(x["id"])

    @app.task
    def make(n: int) -> dict[str, int]:
        return {"id": n}

    calls = [make.apply_async((7,), link=note.s()) for _ in range(2)]
    with start_worker(app):
        for call in calls:
            call.get(timeout=10)
        eventually(lambda: done == [7, 7])


@pytest.mark.parametrize("unique", [{"unique": "done"}, {"debounce": 5}])
def test_what_is_always_sent_refuses_to_be_told_otherwise(
    app: Windlass, unique: dict[str, Any]
) -> None:
    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    with pytest.raises(ConfigurationError, match="a task in a workflow, which is always sent"):
        chain(add.s(1, 2).set(**unique), add.s(3))()
    with pytest.raises(ConfigurationError, match="a link, which is always sent"):
        add.apply_async((1, 2), link=add.s(1).set(**unique))
    app.conf.beat_schedule = {
        "s": {"task": add.name, "schedule": 60, "args": (1, 2), "options": unique}
    }
    with pytest.raises(ScheduleError, match="overlap='Forbid'"):
        entries_of(app)


def test_eager_calls_run_each_and_their_keys_are_not_asked_for(app: Windlass) -> None:
    runs: list[int] = []

    @app.task(unique="done", on_duplicate="reject", debounce=None)
    def note(x: int) -> None:
        runs.append(x)

    app.conf.task_always_eager = True
    note.delay(1)
    note.delay(1)

    assert runs == [1, 1]


def test_a_call_with_an_id_of_the_callers_is_run_once(app: Windlass) -> None:
    runs: list[int] = []

    @app.task
    def note(x: int) -> int:
        runs.append(x)
        return x

    with start_worker(app):
        for x in (1, 2):
            assert note.apply_async((x,), task_id="order-7").get(timeout=10) == 1
        app.AsyncResult("order-7").forget()
        assert note.apply_async((3,), task_id="order-7").get(timeout=10) == 3
    assert runs == [1, 3]


def test_the_idempotency_key_is_that_of_the_call_and_its_generation() -> None:
    assert Context(id="a", retries=2, deliveries=1).idempotency_key == "a:0"
    assert Context(id="a", generation=1).idempotency_key == "a:1"
