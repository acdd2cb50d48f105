"""Canvases that the end of a task sends: what replaces it, and what is linked to it.

They are built in the worker and go into the commit that ends the task, so they are sent exactly
when its outcome stands. Next in the walk: `windlass.runtime.outcome`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from windlass.canvas.chords import chord
from windlass.canvas.compile import Compiler, Entry
from windlass.canvas.names import GATHER
from windlass.canvas.unfold import Given, unfold
from windlass.continuations import Continuation
from windlass.messages import Outgoing, Then
from windlass.signatures import Signature

if TYPE_CHECKING:
    from windlass.app import Windlass
    from windlass.context import Context

#: Indexes of parts that are added later: above all that a workflow begins with.
_ADDED_FROM = 1 << 40
#: How many tasks one task can add.
_ADDED_EACH = 1 << 20


class Built(NamedTuple):
    """What is sent.

    Attributes:
        messages: The first ones.
        continuations: What comes after them.
        source: The continuation that sends the message with the value, "" if it is a first one.
    """

    messages: tuple[Outgoing, ...]
    continuations: tuple[Continuation, ...]
    source: str = ""


def following(app: Windlass, sig: Signature[Any], args: Sequence[Any], request: Context) -> Built:
    """Build a canvas that is linked to a task.

    Args:
        app: Whose tasks.
        sig: The canvas.
        args: The task's value, or the id of one that failed.
        request: The task's call: the parent.
    """
    return _built(app, sig, Given(args), request, parent_id=request.id)


def replacing(app: Windlass, sig: Signature[Any], request: Context, then: Then | None) -> Built:
    """Build a canvas that takes the place of a running task: its last task has the id.

    A group is joined: its value is the list of its members' values.

    Args:
        app: Whose tasks.
        sig: The canvas; the links of the task that runs are added to it.
        request: The call that is replaced.
        then: What waits for its outcome.

    Raises:
        ValueError: There is no task in it.
    """
    sig = in_place_of(app, sig, request)
    options = {
        "task_id": request.id,
        "group_id": request.group,
        "group_index": request.group_index,
    }
    given = Given(options={key: value for key, value in options.items() if value is not None})
    return _built(app, sig, given, request, parent_id=request.parent_id, then=then)


def in_place_of(app: Windlass, sig: Signature[Any], request: Context) -> Signature[Any]:
    """Return a copy that has one value and the links of the task that it replaces."""
    if sig.subtask_type == "group" or sig.task == "celery.chunks":
        header: Any = sig if sig.subtask_type == "group" else sig.group()  # type: ignore[attr-defined]
        gather: Signature[Any] = Signature(GATHER, options={"queue": request.queue})
        sig = chord(header, gather, app=app)
    else:
        sig = sig.clone()
    for callback in request.callbacks or ():
        sig.link(callback)
    for errback in request.errbacks or ():
        sig.link_error(errback)
    return sig


def added(
    app: Windlass, sigs: Sequence[Signature[Any]], request: Context, then: Then
) -> tuple[tuple[Outgoing, ...], tuple[tuple[int, str], ...]]:
    """Build the tasks that a task in the header of a chord adds to that header.

    Args:
        app: Whose tasks.
        sigs: Plain signatures, with ids.
        request: The task's call.
        then: What waits for it.

    Returns:
        Their messages, and (index, id) of the part that each of them is: after all that are known.
    """
    messages: list[Outgoing] = []
    grows = []
    compiler = Compiler(app, stamps=request.stamps)
    compiler.root_id = request.root_id or request.id
    for number, sig in enumerate(sigs):
        index = _ADDED_FROM + then.index * _ADDED_EACH + number
        part = Then(then.id, index, then.formats, then.queues)
        items = unfold(sig, Given(options={"group_id": request.group}))
        outs, ends = compiler.sequence(items, Entry(parent_id=request.id), part)
        messages += [out for out in outs if isinstance(out, Outgoing)]
        grows.append((index, ends[0].id))
    return tuple(messages), tuple(grows)


def _built(
    app: Windlass,
    sig: Signature[Any],
    given: Given,
    request: Context,
    *,
    parent_id: str | None,
    then: Then | None = None,
) -> Built:
    items = unfold(sig, given)
    if not items:
        text = f"{sig!r} has no tasks, so there is nothing to send. Expected one task at least."
        raise ValueError(text)
    compiler = Compiler(app, stamps=request.stamps)
    compiler.root_id = request.root_id or request.id
    outs, ends = compiler.sequence(items, Entry(parent_id=parent_id), then)
    messages = tuple(out for out in outs if isinstance(out, Outgoing))
    return Built(messages, tuple(compiler.continuations), ends[0].source)
