"""The request of a call: its fields and whose it is (Celery semantics 10 and 11)."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from recording_broker import make_executor, recording_app, request_for
from windlass import Windlass, context, sending
from windlass.context import Context
from windlass.results import codec
from windlass.runtime.outcome import Finished

FIELDS = [
    "id",
    "root_id",
    "parent_id",
    "group",
    "group_index",
    "chord",
    "chain",
    "callbacks",
    "errbacks",
    "args",
    "kwargs",
    "argsrepr",
    "kwargsrepr",
    "retries",
    "eta",
    "expires",
    "is_eager",
    "called_directly",
    "timelimit",
    "time_limit",
    "soft_time_limit",
    "delivery_info",
    "reply_to",
    "correlation_id",
    "hostname",
    "origin",
    "headers",
    "properties",
    "stamps",
    "stamped_headers",
    "replaced_task_nesting",
    "ignore_result",
    "shadow",
    "task",
    "lang",
    "utc",
]


@pytest.fixture
def app() -> Windlass:
    return recording_app()


def request_seen(app: Windlass, **options: Any) -> dict[str, Any]:
    """Send a task with options, run it, and return what it saw of its request."""
    seen: dict[str, Any] = {}

    @app.task(bind=True, name="look")
    def look(self: Any, *args: Any, **kwargs: Any) -> None:
        seen.update({name: getattr(self.request, name) for name in FIELDS})
        seen.update(
            deliveries=self.request.deliveries,
            handbacks=self.request.handbacks,
            key=self.request.idempotency_key,
        )

    changes = options.pop("changes", {})
    outgoing = sending.build(app, "look", look, (1, "a"), {"k": 2}, options)
    outcome = make_executor(app).execute(request_for(outgoing, **changes))
    assert isinstance(outcome, Finished)
    assert outcome.state == "SUCCESS", codec.decode_meta("", outcome.result or b"", {"json"})
    return seen


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_of_celerys_request_is_there(field: str) -> None:
    assert hasattr(Context(), field)


def test_plain_call_fills_the_request(app: Windlass) -> None:
    seen = request_seen(app, task_id="t1")

    assert (
        seen["id"], seen["task"], seen["args"], seen["kwargs"],
    ) == ("t1", "look", [1, "a"], {"k": 2})  # fmt: skip
    assert (
        seen["retries"], seen["is_eager"], seen["called_directly"], seen["eta"], seen["expires"],
    ) == (0, False, False, None, None)  # fmt: skip
    assert (seen["argsrepr"], seen["kwargsrepr"]) == ("(1, 'a')", "{'k': 2}")
    assert seen["hostname"] == "w1@host"
    assert seen["correlation_id"] == "t1"
    assert seen["key"] == "t1:0"
    assert seen["delivery_info"] == {
        "exchange": "",
        "routing_key": "default",
        "priority": 0,
        "redelivered": False,
    }


def test_options_of_the_call_are_seen(app: Windlass) -> None:
    seen = request_seen(
        app,
        root_id="r",
        parent_id="p",
        group_id="g",
        group_index=0,
        headers={"h": [1]},
        time_limit=9,
        soft_time_limit=4,
        reply_to="me",
        correlation_id="c",
        shadow="s",
        priority=5,
        countdown=2,
        expires=60,
        stamps={"a": 1},
        stamped_headers=["a"],
        ignore_result=False,
    )

    assert tuple(seen[name] for name in ("root_id", "parent_id", "group", "group_index")) == (
        "r",
        "p",
        "g",
        0,
    )
    assert tuple(
        seen[name] for name in ("headers", "timelimit", "time_limit", "soft_time_limit")
    ) == ({"h": [1]}, [9, 4], 9, 4)
    assert (
        seen["reply_to"], seen["correlation_id"], seen["shadow"],
        seen["delivery_info"]["priority"], seen["ignore_result"],
    ) == ("me", "c", "s", 5, False)  # fmt: skip
    assert (seen["stamps"], seen["stamped_headers"]) == ({"a": 1}, ["a"])
    assert (
        seen["eta"], seen["expires"],
    ) == ("2096-10-02T07:06:42+00:00", "2096-10-02T07:07:40+00:00")  # fmt: skip


def test_redelivery_is_seen(app: Windlass) -> None:
    seen = request_seen(app, changes={"deliveries": 1, "handbacks": 2})

    assert (
        seen["deliveries"], seen["handbacks"], seen["delivery_info"]["redelivered"],
    ) == (1, 2, True)  # fmt: skip


def test_what_a_task_puts_into_headers_is_not_seen_by_the_next(app: Windlass) -> None:
    seen: list[Any] = []

    @app.task(bind=True, name="poke")
    def poke(self: Any) -> None:
        seen.append((self.request.headers, getattr(self.request, "extra", None)))
        self.request.headers = {"mine": 1}
        self.request.extra = 1
        self.request.retries = 9

    @app.task(bind=True, name="add_to")
    def add_to(self: Any) -> None:
        seen.append([dict(self.request.headers or {}), self.request.timelimit[0]])
        self.request.timelimit[0] = 99
        if self.request.headers:
            self.request.headers["mine"] = 1

    executor = make_executor(app)
    calls: list[tuple[Any, dict[str, Any]]] = [
        (poke, {}),
        (add_to, {"time_limit": 5}),
        (add_to, {"headers": {"h": 1}, "time_limit": 5}),
    ]
    for task, options in calls:
        for _ in range(2):
            executor.execute(request_for(sending.build(app, task.name, task, (), {}, options)))

    assert seen == [(None, None)] * 2 + [[{}, 5]] * 2 + [[{"h": 1}, 5]] * 2


def test_request_of_a_task_that_does_not_run_has_the_defaults(app: Windlass) -> None:
    task = app.task(lambda: None)

    assert (
        task.request.id,
        task.request.called_directly,
        task.request.retries,
    ) == (None, True, 0)


def test_push_request_is_for_tests_of_tasks(app: Windlass) -> None:
    @app.task(bind=True)
    def look(self: Any) -> Any:
        return self.request.id

    look.push_request(id="pushed", called_directly=False)
    try:
        assert look.request.id == "pushed"
        assert look.run() == "pushed"
    finally:
        look.pop_request()
    assert look.request.id is None


def test_requests_of_threads_are_apart(app: Windlass) -> None:
    task = app.task(lambda: None)
    barrier = threading.Barrier(2, timeout=20)
    seen: dict[str, Any] = {}

    def run(name: str) -> None:
        with context.pushed(task, Context(id=name, called_directly=False)):
            barrier.wait()
            seen[name] = task.request.id
            barrier.wait()

    threads = [threading.Thread(target=run, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == {"a": "a", "b": "b"}


async def test_requests_of_coroutines_are_apart(app: Windlass) -> None:
    task = app.task(lambda: None)
    both = asyncio.Barrier(2)

    async def run(name: str) -> Any:
        with context.pushed(task, Context(id=name, called_directly=False)):
            await both.wait()
            return task.request.id

    assert await asyncio.gather(run("a"), run("b")) == ["a", "b"]


def test_context_has_a_dicts_get_and_update() -> None:
    request = Context(id="a")
    request.update(retries=3, extra=1)

    assert (
        request.retries,
        request.get("extra"),
        request.get("id"),
        request.get("nothing"),
        request.get("nothing", 7),
    ) == (3, 1, "a", None, 7)
