"""Any canvas, run by the engine, comes to what a plain Python evaluation of it comes to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings

from random_canvases import (
    Expr,
    Leaf,
    Many,
    assert_comes_to,
    canvas_of,
    expected,
    expressions,
    make_task,
)
from windlass import Task, Windlass, signature
from windlass.contrib.testing.worker import start_worker

RELAXED = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
#: What is told of a failure in front of a group, and of a list that is part of another.
TOLD = Many("chain", (Leaf("a", fails=True), Many("group", (Leaf("b"), Leaf("c"))), Leaf("d")))
LISTS = Many(
    "chain", (Many("group", (TOLD, Many("chain", (Leaf("a"), Many("group", (Leaf("b"),)))))),)
)
#: A group that has no task in it, though it has a member.
HOLLOW = Many("chain", (Many("group", (Many("group", ()),)), Leaf("a")))
#: An empty group behind what has become a chord, and a task behind that.
GAP = Many("chain", (Many("group", (Leaf("a"),)), Leaf("a"), Many("group", ()), Leaf("a")))


@pytest.fixture(scope="module")
def task() -> Iterator[Task[..., Any]]:
    app = Windlass(
        "random", broker="memory://random", backend="memory://random", set_as_current=False
    )
    made = make_task(app)
    with start_worker(app):
        yield made
    app.close()


@RELAXED
@given(expr=expressions())
@example(expr=TOLD)
@example(expr=LISTS)
@example(expr=HOLLOW)
@example(expr=GAP)
def test_engine_agrees_with_plain_python(task: Task[..., Any], expr: Expr) -> None:
    assert_comes_to(expected(expr), canvas_of(expr, task).apply_async())


@RELAXED
@given(expr=expressions())
@example(expr=TOLD)
@example(expr=LISTS)
@example(expr=HOLLOW)
@example(expr=GAP)
def test_eager_run_agrees_with_plain_python(task: Task[..., Any], expr: Expr) -> None:
    assert_comes_to(expected(expr), canvas_of(expr, task).apply())


@RELAXED
@given(expr=expressions())
def test_canvas_that_went_through_json_comes_to_the_same(task: Task[..., Any], expr: Expr) -> None:
    sent = json.loads(json.dumps(canvas_of(expr, task)))

    assert_comes_to(expected(expr), signature(sent, app=task.app).apply())


@RELAXED
@given(expr=expressions(may_fail=False))
def test_copy_comes_to_the_same_and_the_original_is_left_alone(
    task: Task[..., Any], expr: Expr
) -> None:
    canvas = canvas_of(expr, task)
    before = json.dumps(canvas)

    assert_comes_to(expected(expr), canvas.clone().apply())
    assert before == json.dumps(canvas)
