"""Workflows as the broker gets them, and a worker's ends of their messages in one line each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from broker_state import fetch
from builders import make_body, make_message
from windlass import Windlass
from windlass.brokers.base import Delivery, StepDone
from windlass.continuations import (
    FAIL_TASK,
    Continuation,
    End,
    Failure,
    Hole,
    Part,
    Release,
    plain_failure,
)
from windlass.messages import Headers, Outgoing, Then, decode_message, open_envelope, then_of
from windlass.released import make_release, open_failing_body, value_piece
from windlass.serializers import registry

STEP = Hole()
IMMUTABLE = Hole("nothing")
WENT_WRONG = End("FAILURE", "TaskError", "went wrong")


def body_hole(need: int, takes: Any = "list") -> Hole:
    """The hole of a chord's body."""
    return Hole(takes, need, "chord")


def release(
    id_: str,
    *args: Any,
    then: Then | None = None,
    hole: Hole = STEP,
    queue: str = "q",
    serializer: str = "json",
    errbacks: bytes = b"",
    task: str = "tests.step",
    **times: Any,
) -> Release:
    """A message to be released, with these arguments behind the values."""
    body = registry.encode_body(args, {}, {}, serializer)
    headers = Headers(then=then, content_type=registry.content_type_of(serializer))
    message = Outgoing(id=id_, queue=queue, tail=b"", **times)
    return make_release(message, task, headers, body, hole=hole, errbacks=errbacks)


def wait_for(
    members: Sequence[str],
    *releases: Release,
    id_: str = "",
    sources: Sequence[str] = (),
    **more: Any,
) -> Continuation:
    """A continuation of these members; named after the first message that it releases."""
    return Continuation(
        id=id_ or f"k-{releases[0].id}", releases=releases, members=tuple(members),
        sources=tuple(sources), **more,
    )  # fmt: skip


def member(
    id_: str,
    then: Then | None,
    *args: Any,
    queue: str = "q",
    task: str = "tests.step",
    **times: Any,
) -> Outgoing:
    """A message that is sent at once."""
    headers, body = Headers(then=then), make_body(args)
    return make_message(task, id=id_, queue=queue, headers=headers, body=body, **times)


def chain(
    *ids: str, then: Then | None = None, source: str = ""
) -> tuple[Outgoing, list[Continuation]]:
    """A chain: its first message, and the continuations of the others."""
    continuations: list[Continuation] = []
    for before, id_ in zip(reversed(ids[:-1]), reversed(ids[1:]), strict=True):
        is_first = before == ids[0]
        made = wait_for(
            [before], release(id_, then=then), sources=[source if is_first else f"k-{before}"]
        )
        continuations.append(made)
        then = made.then(0)
    return member(ids[0], then), continuations


def chord(header: Sequence[str], body: str, **options: Any) -> tuple[list[Outgoing], Continuation]:
    """A chord: the messages of its header, and the continuation of its body."""
    options = {"hole": body_hole(len(header)), **options}
    waits = wait_for(header, release(body, **options))
    return [member(id_, waits.then(i), i) for i, id_ in enumerate(header)], waits


def part_of(delivery: Delivery, value: Any = None) -> Part:
    """The part that a worker gives for a value."""
    then = then_of(delivery.raw)
    assert then is not None
    values = tuple(value_piece(registry.encode_marked(value, f), f) for f in then.formats)
    return Part(then=then, values=values)


def succeeded(delivery: Delivery, value: Any = None, **more: Any) -> StepDone:
    """The end of a step that returned a value; of one that nothing waits for, too."""
    part = None if then_of(delivery.raw) is None else part_of(delivery, value)
    return StepDone(
        id=delivery.id, queue=delivery.queue, token=delivery.token, part=part, **more
    )  # fmt: skip


def failure_part(delivery: Delivery, end: End = WENT_WRONG) -> Part:
    """The part that a worker gives for a failure."""
    then = then_of(delivery.raw)
    assert then is not None
    return Part(then=then, failure=plain_failure(delivery.id, end))


def failed(delivery: Delivery, end: End = WENT_WRONG, **more: Any) -> StepDone:
    """The end of a step that failed."""
    return StepDone(
        id=delivery.id, queue=delivery.queue, token=delivery.token,
        part=failure_part(delivery, end), **more,
    )  # fmt: skip


def args_of(delivery: Delivery) -> list[Any]:
    """The positional arguments of a message."""
    message = decode_message(delivery.id, delivery.raw)
    accept = {"json", "msgpack", "pickle"}
    return list(registry.decode(message.body, message.headers.content_type, accept)[0])


def is_failing(delivery: Delivery) -> bool:
    """Whether it tells of a failure instead of being a call."""
    return open_envelope(delivery.raw).task == FAIL_TASK


def failure_in(delivery: Delivery) -> Failure:
    """What a failing message tells of."""
    assert is_failing(delivery)
    message = decode_message(delivery.id, delivery.raw)
    assert message.headers.failing is not None
    return Failure.decode(open_failing_body(message.body)[1])


def error_in(delivery: Delivery) -> tuple[str, Any]:
    """Type and arguments of the error that a failing message tells of."""
    described = msgspec.json.decode(failure_in(delivery).error[1:])
    return described["exc_type"], described["exc_message"]


def run_all(broker: Any, queues: Sequence[str] = ("q",), **values: Any) -> list[str]:
    """Run what there is until nothing is left; returns the ids in the order they were run.

    Each returns its own id and its arguments; a failing message is handed on as a failure.
    """
    ran: list[str] = []
    while deliveries := fetch(broker, 10, queues).deliveries:
        for delivery in deliveries:
            ran.append(delivery.id)
            if is_failing(delivery) and then_of(delivery.raw) is not None:
                ended = failed(delivery)
            elif is_failing(delivery):
                ended = succeeded(delivery)
            else:
                value = values.get(delivery.id, [delivery.id, *args_of(delivery)])
                ended = succeeded(delivery, value)
            assert broker.exchange([ended], None)[0] == []
    return ran


class SentChord:
    """A chord of calls of `worker_tasks`: its handles are `parts` and `body`.

    Args:
        calls: (name of a task there, its arguments).
        body: Name of the body's task.
    """

    def __init__(
        self,
        app: Windlass,
        *calls: tuple[str, tuple[Any, ...]],
        body: str = "worker_tasks.gather",
    ) -> None:
        ids = [f"m{n}" for n in range(len(calls))]
        hole = body_hole(len(calls))
        waits = wait_for(ids, release("body", hole=hole, task=body, queue="default"))
        messages = [
            member(id_, waits.then(n), *args, task=f"worker_tasks.{name}", queue="default")
            for n, (id_, (name, args)) in enumerate(zip(ids, calls, strict=True))
        ]
        app.broker.enqueue(messages, continuations=[waits])
        self.parts = [app.AsyncResult(id_) for id_ in ids]
        self.body = app.AsyncResult("body")
