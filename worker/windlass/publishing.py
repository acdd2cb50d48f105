"""Hands messages to the broker and returns result handles; each way also as a coroutine.

Next in the walk: `windlass.brokers.redis`, then the worker: `windlass.runtime.worker`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from windlass import context, sending, signals
from windlass.brokers.publish_retry import PublishRetry
from windlass.errors import nearest
from windlass.messages import Outgoing
from windlass.results.handle import AsyncResult

if TYPE_CHECKING:
    from windlass.app import Windlass
    from windlass.task import Task


class Call(NamedTuple):
    """One call of many, as `send_all` takes them; the fields are those of `sending.build`.

    Attributes:
        checks: Check the arguments against the signature of a task that is known here.
    """

    name: str
    task: Task[..., Any] | None
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    options: Mapping[str, Any]
    checks: bool = True


def send(app: Windlass, call: Call) -> AsyncResult[Any]:
    """Send one call.

    Raises:
        OperationalError: The broker could not be reached, after the retries that were asked for.
    """
    outgoing = sending.build(app, *call, locks=True)
    if outgoing.unique is not None:
        return _send_locked(app, [call], [outgoing])[0]
    app.broker.enqueue([outgoing], retry_of(app, call.options))
    if signals.after_task_publish.connections:
        announce_sent((call,))
    return _handle(app, outgoing.id, call.task, call.options)


async def asend(app: Windlass, call: Call) -> AsyncResult[Any]:
    """Send one call without blocking the event loop."""
    outgoing = sending.build(app, *call, locks=True)
    if outgoing.unique is not None:
        return (await _asend_locked(app, [call], [outgoing]))[0]
    await app.broker.aenqueue([outgoing], retry_of(app, call.options))
    if signals.after_task_publish.connections:
        announce_sent((call,))
    return _handle(app, outgoing.id, call.task, call.options)


def send_by_name(app: Windlass, call: Call) -> AsyncResult[Any]:
    """Send one call without checking it against the task's signature, even if it is known here."""
    return send(app, call._replace(checks=False))


async def asend_by_name(app: Windlass, call: Call) -> AsyncResult[Any]:
    """As `send_by_name`, without blocking the event loop."""
    return await asend(app, call._replace(checks=False))


def send_all(app: Windlass, calls: Iterable[Call]) -> list[AsyncResult[Any]]:
    """Send many calls in one round trip: all are checked and encoded before any is sent.

    The publish retry options of the first call count for all.
    """
    calls = list(calls)
    outgoing = build_all(app, calls)
    if any(message.unique is not None for message in outgoing):
        return _send_locked(app, calls, outgoing)
    if calls:
        app.broker.enqueue(outgoing, retry_of(app, calls[0].options))
    if signals.after_task_publish.connections:
        announce_sent(calls)
    return _handles(app, (message.id for message in outgoing), calls)


async def asend_all(app: Windlass, calls: Iterable[Call]) -> list[AsyncResult[Any]]:
    """Send many calls in one round trip without blocking the event loop."""
    calls = list(calls)
    outgoing = build_all(app, calls)
    if any(message.unique is not None for message in outgoing):
        return await _asend_locked(app, calls, outgoing)
    if calls:
        await app.broker.aenqueue(outgoing, retry_of(app, calls[0].options))
    if signals.after_task_publish.connections:
        announce_sent(calls)
    return _handles(app, (message.id for message in outgoing), calls)


def build_all(app: Windlass, calls: Sequence[Call]) -> list[Outgoing]:
    """Build the messages of many calls; those that share task and options share the work."""
    messages = []
    plan, planned = None, None
    for call, new_id in zip(calls, sending.new_ids(len(calls)), strict=True):
        name, task, args, kwargs, options, checks = call
        args, kwargs = sending.prepare(task, args, kwargs, checks)
        if signals.before_task_publish.connections:
            options = sending.announce(name, args, kwargs, options)
        if (
            plan is None
            or planned is None
            or planned.options is not options
            or (planned.name != name)
        ):
            plan = sending.plan_calls(app, name, task, options, args, kwargs)
            planned = None if app.router.depends_on_call(name) else call
        task_id = options.get("task_id")
        message = plan.message(args, kwargs, task_id or new_id)
        message.once = bool(task_id)
        if plan.locks is not None:
            message.unique = plan.locks.lock(args, kwargs)
        messages.append(message)
    return messages


def _send_locked(
    app: Windlass, calls: Sequence[Call], outgoing: Sequence[Outgoing]
) -> list[AsyncResult[Any]]:
    """Send messages some of which must not be beside others like them."""
    # Few tasks are unique.
    from windlass import claiming  # noqa: PLC0415

    ids, sent = claiming.send(app, calls, outgoing, retry_of(app, calls[0].options))
    if signals.after_task_publish.connections:
        announce_sent(sent)
    return _handles(app, ids, calls)


async def _asend_locked(
    app: Windlass, calls: Sequence[Call], outgoing: Sequence[Outgoing]
) -> list[AsyncResult[Any]]:
    """As `_send_locked`, without blocking the event loop."""
    # As there.
    from windlass import claiming  # noqa: PLC0415

    ids, sent = await claiming.asend(app, calls, outgoing, retry_of(app, calls[0].options))
    if signals.after_task_publish.connections:
        announce_sent(sent)
    return _handles(app, ids, calls)


def announce_sent(calls: Iterable[Call]) -> None:
    """Send after_task_publish for each of these calls."""
    for name, _, args, kwargs, options, _ in calls:
        facts = sending.publication(args, kwargs, options, options.get("headers") or {})
        signals.after_task_publish.send(name, **facts)


def retry_of(app: Windlass, options: Mapping[str, Any]) -> PublishRetry | None:
    """Return how often to try again if the call says so itself, None for the app's policy."""
    if not options:
        return None
    retry = _first(options.get("publish_retry"), options.get("retry"))
    policy = _first(options.get("publish_retry_policy"), options.get("retry_policy"))
    if retry is None and policy is None:
        return None
    settings = app.conf.current
    if not _first(retry, settings.task_publish_retry):
        return PublishRetry(max_retries=0)
    known = settings.task_publish_retry_policy
    for name in policy or ():
        if name not in known:
            text = f"{name!r} is not part of retry_policy.{nearest(name, known)}"
            raise TypeError(text)
    merged = {**known, **(policy or {})}
    if merged["max_retries"] is None:
        merged["max_retries"] = sys.maxsize  # for ever
    return PublishRetry(**merged)


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _handles(app: Windlass, ids: Iterable[str], calls: Sequence[Call]) -> list[AsyncResult[Any]]:
    return [
        _handle(app, task_id, task, options)
        for task_id, (_, task, _, _, options, _) in zip(ids, calls, strict=True)
    ]


def _handle(
    app: Windlass, task_id: str, task: Task[..., Any] | None, options: Mapping[str, Any]
) -> AsyncResult[Any]:
    result: AsyncResult[Any] = AsyncResult(task_id, app=app)
    ignored = options.get("ignore_result") if options else None
    if ignored is None and task is not None:
        ignored = task.ignore_result
    result.ignored = app.conf.current.task_ignore_result if ignored is None else ignored
    parent = context.sending_request()
    if parent is not None and options.get("add_to_parent") is not False:
        parent.children.append(result)
    return result
