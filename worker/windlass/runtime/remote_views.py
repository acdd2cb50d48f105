"""Remote commands that look at a worker: `app.control.inspect()`, `windlass inspect`.

Shapes are Celery's, so that tools that read them go on. Times are seconds since the epoch.
"""

from __future__ import annotations

import os
import resource
import time
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec

from windlass import reporting
from windlass.control_plane import scheduled as scheduled_messages
from windlass.errors import WindlassError
from windlass.messages import decode_message
from windlass.runtime.remote import Command, CommandError, Context, uptime_s
from windlass.serializers import registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from windlass.messages import Headers
    from windlass.runtime.hand import Entry
    from windlass.task import Task

#: A list names at most so many messages.
MOST = 1000
#: Arguments of more bytes are not shown.
MAX_BODY_BYTES = 8192
#: What may be decoded in the supervisor: formats that run no code.
_SAFE = frozenset({"application/json", "application/x-msgpack"})


class Held(msgspec.Struct, kw_only=True):
    """A message in hand, as the loop knew it."""

    id: str
    queue: str
    raw: bytes
    deliveries: int
    is_acked: bool
    pid: int
    started_at: float | None = None


def ping(_context: Context) -> dict[str, str]:
    """Say that it is alive."""
    return {"ok": "pong"}


def active(context: Context, safe: bool | None = None) -> list[dict[str, Any]]:
    """List what runs now."""
    del safe
    return [_info(context, held) for held in context.in_loop(lambda _: _running(context))]


def reserved(context: Context) -> list[dict[str, Any]]:
    """List what is fetched and has not begun."""
    return [_info(context, held) for held in context.in_loop(lambda _: _waiting(context))]


def scheduled(context: Context) -> list[dict[str, Any]]:
    """List what is scheduled in the queues served here, the earliest first.

    The broker holds scheduled messages, no worker does: each worker of a queue names the same.
    """
    queues = context.in_loop(lambda _: context.parts.state.queues)
    found = [
        each
        for queue in queues
        for each in scheduled_messages.list_scheduled(context.broker, queue, MOST)
    ]
    found.sort(key=lambda each: each.due_ms)
    return [
        {
            "eta": reporting.iso_time(each.due_ms),
            "priority": each.priority,
            "request": _info(
                context,
                Held(
                    id=each.id, queue=each.queue, raw=each.raw, deliveries=0, is_acked=False, pid=0
                ),
            ),
        }
        for each in found[:MOST]
    ]


def revoked(context: Context) -> list[str]:
    """List ids that are marked as revoked on the broker: the same on each worker."""
    return scheduled_messages.list_revoked(context.broker, MOST)


def registered(
    context: Context, taskinfoitems: Sequence[str] | None = None, builtins: bool = False
) -> list[str]:
    """Name the tasks that it can run, each with the attributes asked for."""
    del builtins
    tasks = context.app.tasks
    return [_task_text(tasks[name], taskinfoitems or ()) for name in sorted(tasks)]


registered_tasks = registered


def stats(context: Context) -> dict[str, Any]:
    """Give numbers: what was done, the pool, the broker, what the process used."""
    counted: dict[str, Any] = context.in_loop(lambda _: _counted(context))
    return counted | {
        "pid": os.getpid(),
        "uptime": uptime_s(context),
        "broker": reporting.broker_facts(context.app),
        "rusage": _usage(),
        "worker_id": context.worker_id,
    }


def conf(context: Context, with_defaults: bool = False) -> dict[str, Any]:
    """Give the settings, secrets hidden; only what was set unless asked for all."""
    return {
        name: reporting.plain(value)
        for name, value, _ in context.app.conf.table(with_defaults=with_defaults)
    }


def active_queues(context: Context) -> list[dict[str, Any]]:
    """Describe the queues that it serves, in order."""
    queues = context.in_loop(lambda _: context.parts.state.queues)
    return [
        {"name": name, "exchange": {"name": name, "type": "direct"}, "routing_key": name}
        for name in queues
    ]


def query_task(context: Context, ids: Sequence[str] | str) -> dict[str, list[Any]]:
    """Say of tasks by id whether they run or wait here."""
    wanted = {ids} if isinstance(ids, str) else set(ids)
    running, waiting = context.in_loop(lambda _: (_running(context), _waiting(context)))
    return {
        held.id: [state, _info(context, held)]
        for state, group in (("active", running), ("reserved", waiting))
        for held in group
        if held.id in wanted
    }


def report(context: Context) -> dict[str, str]:
    """Describe the software and the settings as text."""
    return {"ok": reporting.report(context.app)}


def _running(context: Context) -> list[Held]:
    found = []
    for slot in context.parts.crew.slots:
        begun = slot.begun()
        for entry, _ in zip(slot.held.values(), range(begun), strict=False):
            since = slot.head_since if slot.lanes == 1 else entry.started_at
            found.append(_held(entry, slot.pid, since))
    return found[:MOST]


def _waiting(context: Context) -> list[Held]:
    found = [_held(entry, 0, None) for entry in context.parts.dispatcher.in_no_slot()]
    for slot in context.parts.crew.slots:
        begun = slot.begun()
        found += [_held(e, slot.pid, None) for e in list(slot.held.values())[begun:]]
    return found[:MOST]


def _held(entry: Entry, pid: int, since: float | None) -> Held:
    return Held(
        id=entry.id,
        queue=entry.queue,
        raw=entry.raw,
        deliveries=entry.deliveries,
        is_acked=entry.is_acked,
        pid=pid,
        started_at=None if since is None else time.time() - (monotonic() - since),
    )


def _info(context: Context, held: Held) -> dict[str, Any]:
    """Describe one message as Celery's `Request.info`."""
    info: dict[str, Any] = {
        "id": held.id,
        "name": None,
        "args": None,
        "kwargs": None,
        "type": None,
        "hostname": context.options.hostname,
        "time_start": held.started_at,
        "acknowledged": held.is_acked,
        "delivery_info": {
            "exchange": "",
            "routing_key": held.queue,
            "priority": None,
            "redelivered": held.deliveries > 0,
        },
        "worker_pid": held.pid or None,
    }
    try:
        message = decode_message(held.id, held.raw)
    except WindlassError as error:
        return info | {"error": str(error)}
    info["name"] = info["type"] = message.task
    info["delivery_info"]["priority"] = message.priority
    info["args"], info["kwargs"] = _arguments(message.headers, message.body)
    return info


def _arguments(headers: Headers, body: bytes) -> tuple[Any, Any]:
    content_type = headers.content_type
    if headers.seal is not None:
        return "<sealed>", "<sealed>"
    if content_type not in _SAFE or headers.content_encoding or len(body) > MAX_BODY_BYTES:
        text = f"<{len(body):,} bytes of {content_type}>"
        return text, text
    try:
        args, kwargs, *_ = registry.decode(body, content_type, _SAFE)
    except (WindlassError, TypeError, ValueError) as error:
        return f"<{error}>", f"<{error}>"
    return args, kwargs


def _task_text(task: Task[..., Any], items: Sequence[str]) -> str:
    fields = []
    for item in items:
        if item.startswith("_") or not isinstance(item, str):
            raise CommandError(f"{item!r} is no attribute of a task. Expected e.g. 'rate_limit'.")
        value = getattr(task, item, None)
        if value is not None:
            fields.append(f"{item}={value}")
    return f"{task.name} [{' '.join(fields)}]" if fields else task.name


def _counted(context: Context) -> dict[str, Any]:
    parts, options = context.parts, context.options
    total: dict[str, int] = {}
    for (_, task), counts in parts.state.tasks.items():
        if counts.ended:
            total[task] = total.get(task, 0) + sum(counts.ended.values())
    settings = context.app.conf.current
    return {
        "total": total,
        "pool": {
            "implementation": f"windlass.pools:{context.pool.name}",
            "max-concurrency": parts.state.slots,
            "processes": [slot.pid for slot in parts.crew.slots if slot.pid],
            "max-tasks-per-child": options.max_tasks_per_child or "N/A",
            "put-guarded-by-semaphore": False,
            "timeouts": [settings.task_soft_time_limit or 0, settings.task_time_limit or 0],
        },
        "prefetch_count": parts.state.leased,
        "reconnects": parts.state.reconnects_total,
        "draining": parts.state.draining,
        "cordoned": parts.state.cordoned,
    }


def _usage() -> dict[str, float]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        name.removeprefix("ru_"): getattr(usage, name)
        for name in dir(usage)
        if name.startswith("ru_")
    }


COMMANDS: dict[str, Command] = {
    command.__name__: command
    for command in (
        ping, active, reserved, scheduled, revoked, registered, stats, conf, active_queues,
        query_task, report,
    )
} | {"registered_tasks": registered}  # fmt: skip
