"""Many calls in one round trip, and the async twin of every way to call."""

from __future__ import annotations

from typing import Any

import pytest

from recording_broker import body_of, broker_of, opened, recording_app
from windlass import Task, Windlass, context
from windlass.context import Context
from windlass.errors import EncodeError


@pytest.fixture
def app() -> Windlass:
    return recording_app()


@pytest.fixture
def add(app: Windlass) -> Task[..., Any]:
    @app.task(name="add")
    def add(x: Any, y: Any = 0) -> Any:
        return x + y

    return add


def test_send_many_sends_all_in_one_call_of_the_broker(app: Windlass, add: Task[..., Any]) -> None:
    calls = [(1, 2), [3], ((4,), {"y": 5}), {"x": 6, "y": 7}, add.s(8, y=9)]
    results = add.send_many(calls)

    (batch,) = broker_of(app).batches
    assert [tuple(body_of(sent)[:2]) for sent in batch] == [
        ([1, 2], {}),
        ([3], {}),
        ([4], {"y": 5}),
        ([], {"x": 6, "y": 7}),
        ([8], {"y": 9}),
    ]
    assert [sent.id for sent in batch] == [result.id for result in results]
    assert len({sent.id for sent in batch}) == 5


def test_send_many_takes_options_for_all_and_a_signatures_own_win(
    app: Windlass, add: Task[..., Any]
) -> None:
    add.send_many([(1,), add.s(2).set(queue="own"), (3,)], queue="bulk", countdown=5)

    assert [(sent.queue, sent.delay_ms) for sent in broker_of(app).sent] == [
        ("bulk", 5000),
        ("own", 5000),
        ("bulk", 5000),
    ]


def test_one_bad_call_sends_none(app: Windlass, add: Task[..., Any]) -> None:
    with pytest.raises(TypeError):
        add.send_many([(1,), (1, 2, 3)])
    with pytest.raises(EncodeError):
        add.send_many([(1,), (object(),)])
    with pytest.raises(TypeError, match="args must be"):
        add.send_many([(1,), "ab"])

    assert broker_of(app).sent == []


def test_send_many_refuses_another_tasks_signature(app: Windlass, add: Task[..., Any]) -> None:
    other = app.task(name="other")(lambda: None)
    with pytest.raises(TypeError, match="'add' got a signature of 'other'"):
        add.send_many([other.s()])


def test_send_many_of_nothing_asks_the_broker_nothing(app: Windlass, add: Task[..., Any]) -> None:
    assert add.send_many([]) == []
    assert broker_of(app).batches == []


def test_app_send_many_mixes_tasks(app: Windlass, add: Task[..., Any]) -> None:
    other = app.task(name="other")(lambda: None)
    app.send_many([add.s(1), other.s().set(queue="q"), add.s(2)])

    (batch,) = broker_of(app).batches
    assert [(opened(sent).task, sent.queue) for sent in batch] == [
        ("add", "default"),
        ("other", "q"),
        ("add", "default"),
    ]


def test_bulk_calls_inside_a_task_are_its_children(app: Windlass, add: Task[..., Any]) -> None:
    running = Context(id="p", root_id="r", called_directly=False)
    with context.pushed(add, running):
        results = add.send_many([(1,), (2,)])

    assert running.children == results
    assert {("r", "p")} == {
        (opened(sent).headers.root_id, opened(sent).headers.parent_id)
        for sent in broker_of(app).sent
    }


def test_router_that_looks_at_arguments_is_asked_for_each_call() -> None:
    def route(name: str, args: Any, kwargs: Any, options: Any, task: Any = None) -> str:
        return f"{task.queue_prefix}-{args[0]}"

    class Routed(Task[..., Any]):
        queue_prefix = "shard"

    app = recording_app(task_routes=route)
    task = app.task(base=Routed)(lambda x: x)
    task.delay(1)
    task.delay(2)
    task.send_many([(3,), (4,)])

    assert [sent.queue for sent in broker_of(app).sent] == [
        "shard-1",
        "shard-2",
        "shard-3",
        "shard-4",
    ]


async def test_async_twins_send_what_the_others_send(app: Windlass, add: Task[..., Any]) -> None:
    result = await add.adelay(1, y=2)
    await add.aapply_async((1,), {"y": 2}, queue="q", priority=3)
    await add.asend_many([(1, 2), (3, 4)])
    await app.asend_task("add", (1,))
    await app.asend_many([add.s(5)])

    sent = broker_of(app).sent
    assert sent[0].id == result.id
    assert [(*body_of(each)[:2], each.queue, each.priority) for each in sent] == [
        ([1], {"y": 2}, "default", 0),
        ([1], {"y": 2}, "q", 3),
        ([1, 2], {}, "default", 0),
        ([3, 4], {}, "default", 0),
        ([1], {}, "default", 0),
        ([5], {}, "default", 0),
    ]
    assert [len(batch) for batch in broker_of(app).batches] == [1, 1, 2, 1, 1]


async def test_async_twins_check_in_the_caller_too(app: Windlass, add: Task[..., Any]) -> None:
    for call in (add.adelay(), add.aapply_async("ab"), add.asend_many([()])):
        with pytest.raises(TypeError):
            await call

    assert broker_of(app).sent == []
