"""Calling a task: what is checked and what is sent (Celery semantics 1, 2, 6 to 8, 12)."""

from __future__ import annotations

import os
from typing import Any

import pytest

from recording_broker import body_of, broker_of, opened, recording_app
from windlass import Task, Windlass, context
from windlass.brokers.publish_retry import PublishRetry
from windlass.context import Context
from windlass.errors import (
    ConfigurationError,
    InvalidQueueName,
    OperationalError,
)
from windlass.messages import Outgoing


def add(x: int, y: int = 2) -> int:
    return x + y


@pytest.fixture
def app() -> Windlass:
    return recording_app()


@pytest.fixture
def task(app: Windlass) -> Task[..., Any]:
    return app.task(add)


def last(app: Windlass) -> Outgoing:
    return broker_of(app).sent[-1]


def send(app: Windlass, task: Task[..., Any], **options: Any) -> Outgoing:
    task.apply_async((1,), **options)
    return last(app)


# -- statement 1


def test_delay_sends_what_apply_async_sends(app: Windlass, task: Task[..., Any]) -> None:
    task.delay(1, y=3)
    task.apply_async((1,), {"y": 3})
    first, second = broker_of(app).sent

    assert [[1], {"y": 3}, {}] == body_of(first) == body_of(second)
    assert first.tail == second.tail
    assert first.id != second.id


def test_options_end_up_in_the_message(app: Windlass, task: Task[..., Any]) -> None:
    sent = send(
        app,
        task,
        task_id="my-id",
        queue="q1",
        priority=7,
        shadow="other",
        headers={"tenant": "a"},
        time_limit=10,
        soft_time_limit=5,
        ignore_result=True,
        reply_to="me",
        group_id="g",
        group_index=3,
        stamps={"s": [1]},
        stamped_headers=["s"],
    )
    message = opened(sent)

    assert (sent.id, sent.queue, sent.priority) == ("my-id", "q1", 7)
    assert ("q1", task.name) == (message.queue, message.task)
    headers = message.headers
    assert headers.shadow == "other"
    assert headers.headers == {"tenant": "a"}
    assert headers.timelimit == (10, 5)
    assert headers.ignore_result is True
    assert (headers.reply_to, headers.group, headers.group_index) == ("me", "g", 3)
    assert (headers.stamps, headers.stamped_headers) == ({"s": [1]}, ["s"])


def test_options_that_celery_takes_by_position(app: Windlass, task: Task[..., Any]) -> None:
    task.apply_async((1,), None, "the-id", None, task.s(), None, "shadowed")  # type: ignore[call-overload]

    assert last(app).id == "the-id"
    assert opened(last(app)).headers.shadow == "shadowed"
    assert [task.name] == [linked["task"] for linked in body_of(last(app))[2]["callbacks"]]


def test_unknown_option_names_the_nearest(app: Windlass, task: Task[..., Any]) -> None:
    with pytest.raises(TypeError, match=r"'countdwn'.*Did you mean 'countdown'\?"):
        task.apply_async((1,), countdwn=3)  # type: ignore[call-overload]

    assert broker_of(app).sent == []


@pytest.mark.parametrize("name", ["connection", "producer", "delivery_mode", "mandatory", "chain"])
def test_option_without_meaning_here_is_refused_unless_none(
    app: Windlass, task: Task[..., Any], name: str
) -> None:
    task.apply_async((1,), **{name: None})
    with pytest.raises(TypeError, match=name):
        task.apply_async((1,), **{name: "x"})

    assert len(broker_of(app).sent) == 1


def test_exchange_and_routing_key_must_agree_with_the_queue(
    app: Windlass, task: Task[..., Any]
) -> None:
    assert send(app, task, queue="q", routing_key="q", exchange="q").queue == "q"
    with pytest.raises(ConfigurationError, match=r"routing_key='k'.*queue='k'"):
        task.apply_async((1,), routing_key="k")
    with pytest.raises(ConfigurationError, match="exchange='e'"):
        task.apply_async((1,), queue="q", exchange="e")


@pytest.mark.parametrize("priority", [-1, 10, True, "5", 1.5])
def test_priority_outside_0_to_9_is_refused(task: Task[..., Any], priority: Any) -> None:
    with pytest.raises(ValueError, match="0 to 9"):
        task.apply_async((1,), priority=priority)


def test_strange_queue_name_is_refused_in_the_caller(task: Task[..., Any]) -> None:
    with pytest.raises(InvalidQueueName):
        task.apply_async((1,), queue="a b\n")


def test_link_must_be_a_signature(task: Task[..., Any]) -> None:
    with pytest.raises(TypeError, match="link must be a signature"):
        task.apply_async((1,), link=[task])


# -- statement 2


@pytest.mark.parametrize("args", [5, "ab", "", b"x", {"x": 1}, {1}])
def test_args_that_are_no_list_raise_type_error_in_the_caller(
    app: Windlass, task: Task[..., Any], args: Any
) -> None:
    with pytest.raises(TypeError, match="args must be a list or a tuple"):
        task.apply_async(args)

    assert broker_of(app).sent == []


def test_kwargs_that_are_no_mapping_raise_type_error(task: Task[..., Any]) -> None:
    with pytest.raises(TypeError, match="kwargs must be a mapping"):
        task.apply_async((1,), [("y", 2)])  # type: ignore[call-overload]


def test_wrong_arguments_raise_type_error_in_the_caller_and_send_nothing(
    app: Windlass, task: Task[..., Any]
) -> None:
    for args, kwargs in (((), {}), ((1, 2, 3), {}), ((1,), {"z": 1}), ((1,), {"x": 2})):
        with pytest.raises(TypeError, match=r"add\(x: .*cannot be called so"):
            task.apply_async(args, kwargs)

    assert broker_of(app).sent == []


def test_typing_false_leaves_the_check_to_the_worker(app: Windlass) -> None:
    app.task(typing=False)(add).delay()

    assert body_of(last(app)) == [[], {}, {}]


# -- statement 6


def test_direct_call_runs_inline(app: Windlass) -> None:
    @app.task(bind=True)
    def look(self: Any, x: int) -> tuple[bool, object, int]:
        return self.request.called_directly, self.request.id, x

    assert look(1) == (True, None, 1)
    assert broker_of(app).sent == []


def test_retry_in_a_direct_call_raises_the_exception_itself(app: Windlass) -> None:
    @app.task(bind=True)
    def flaky(self: Any) -> None:
        try:
            raise KeyError("a")
        except KeyError as error:
            raise self.retry(exc=error) from error

    with pytest.raises(KeyError, match="a"):
        flaky()


def test_inline_call_inside_a_task_is_direct_and_leaves_the_outer_request(app: Windlass) -> None:
    seen = []

    @app.task(bind=True)
    def inner(self: Any) -> None:
        seen.append((self.request.called_directly, self.request.id))

    @app.task(bind=True)
    def outer(self: Any) -> None:
        inner()
        seen.append((self.request.called_directly, self.request.id))

    outer.apply(task_id="outer-id")

    assert seen == [(True, None), (False, "outer-id")]


# -- statement 7


def test_broker_that_is_down_is_an_operational_error(app: Windlass, task: Task[..., Any]) -> None:
    broker_of(app).is_down = True
    with pytest.raises(OperationalError):
        task.delay(1)


def test_publish_retry_of_a_call_and_its_alias(app: Windlass, task: Task[..., Any]) -> None:
    policy = {"max_retries": 9, "interval_max": 2}
    task.delay(1)
    task.apply_async((1,), retry=False)
    task.apply_async((1,), retry_policy=policy)
    task.apply_async((1,), publish_retry=True, publish_retry_policy=policy)

    expected = PublishRetry(max_retries=9, interval_start=0, interval_step=0.2, interval_max=2)
    assert broker_of(app).retries == [None, PublishRetry(max_retries=0), expected, expected]


def test_unknown_part_of_retry_policy_names_the_nearest(task: Task[..., Any]) -> None:
    with pytest.raises(TypeError, match="max_retries"):
        task.apply_async((1,), retry_policy={"max_retry": 1})


# -- statement 8


def test_send_task_needs_no_local_task_and_checks_no_signature(app: Windlass) -> None:
    app.send_task("elsewhere.unknown", (1, 2, 3), {"a": 1}, queue="far")
    app.task(name="here")(add)
    app.send_task("here", (), {"nonsense": 1})

    assert [(opened(sent).task, sent.queue) for sent in broker_of(app).sent] == [
        ("elsewhere.unknown", "far"),
        ("here", "default"),
    ]


# -- statement 12


def test_tree_of_calls_names_root_and_parent(app: Windlass, task: Task[..., Any]) -> None:
    task.delay(1)
    running = Context(id="parent", root_id="root", called_directly=False)
    with context.pushed(task, running):
        result = task.delay(2)
        task.apply_async((3,), add_to_parent=False)
    top, child, _ = (opened(sent).headers for sent in broker_of(app).sent)

    assert (top.root_id, top.parent_id) == (None, None)
    assert (child.root_id, child.parent_id) == ("root", "parent")
    assert running.children == [result]


def test_what_an_inline_call_sends_belongs_to_the_task_around_it(
    app: Windlass, task: Task[..., Any]
) -> None:
    helper = app.task(name="helper")(lambda: task.delay(1))
    running = Context(id="outer", root_id="root", called_directly=False)
    with context.pushed(task, running):
        helper()

    headers = opened(last(app)).headers
    assert (headers.root_id, headers.parent_id) == ("root", "outer")


def test_first_task_is_the_root_of_what_it_sends(app: Windlass, task: Task[..., Any]) -> None:
    with context.pushed(task, Context(id="first", called_directly=False)):
        task.delay(1)

    assert opened(last(app)).headers.root_id == "first"


def test_sender_is_named_as_pid_at_host(app: Windlass, task: Task[..., Any]) -> None:
    task.delay(1)

    origin = opened(last(app)).headers.origin or ""
    pid, at, host = origin.partition("@")
    assert pid.isdigit()
    assert (at, bool(host)) == ("@", True)


def test_sender_after_a_fork_is_the_new_process(
    app: Windlass, task: Task[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    task.delay(1)
    monkeypatch.setattr(os, "getpid", lambda: 123456789)
    task.delay(1)

    assert (opened(last(app)).headers.origin or "").startswith("123456789@")


def test_acks_late_false_is_said_in_the_message(app: Windlass, task: Task[..., Any]) -> None:
    task.delay(1)
    app.task(name="early", acks_late=False)(add).delay(1)
    app.task(name="late", acks_late=True)(add).delay(1)

    assert [opened(sent).headers.acks_late for sent in broker_of(app).sent] == [None, False, None]


def test_ignored_result_is_known_to_the_handle(app: Windlass) -> None:
    task = app.task(ignore_result=True)(add)

    assert task.delay(1).get() is None
    assert task.apply_async((1,), ignore_result=False).ignored is False
