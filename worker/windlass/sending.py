"""Turns a call into a message: arguments checked and encoded, queue chosen, times worked out.

All that a call's options decide is a `windlass.plans.Plan`. A task keeps the plan of its calls
without options, so the common call only encodes its arguments. The broker is not spoken to before
everything that can be wrong was checked.
Next in the walk: `windlass.publishing`.
"""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from windlass import call_options, messages, signals
from windlass.arguments import check_containers
from windlass.message_ids import new_id as new_id
from windlass.message_ids import new_ids as new_ids
from windlass.messages import Headers, Outgoing
from windlass.plans import Plan, sealing_in
from windlass.serializers import compression, registry
from windlass.task_annotations import annotate

if TYPE_CHECKING:
    from windlass.app import Windlass
    from windlass.settings.model import Settings
    from windlass.task import Task

#: Expired whatever the clock says; 0 is how a message says that it never expires.
_LONG_AGO_MS = 1
#: Task attributes that are options of every call of the task.
_OWN_OPTIONS = ("queue", "priority", "expires", "serializer", "compression")


def whole_ms(delay_s: float) -> int:
    """Return a delay in milliseconds, rounded up: it may end late, never early."""
    return math.ceil(delay_s * 1000 - 1e-6)  # 0.07 * 1000 is a little more than 70


@cache
def _host() -> str:
    return socket.gethostname()


def origin() -> str:
    """Name this process as a sender: "pid@host"."""
    return f"{os.getpid()}@{_host()}"


def build(  # noqa: PLR0913 - the fields of a Call, and one thing more
    app: Windlass,
    name: str,
    task: Task[..., Any] | None,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    options: Mapping[str, Any],
    checks: bool = True,
    *,
    locks: bool = False,
) -> Outgoing:
    """Build the message of one call.

    Args:
        app: Whose routes, settings and time zone apply.
        name: The task's name.
        task: The task if it is known here: its own options apply.
        args: Positional arguments.
        kwargs: Keyword arguments.
        options: See `windlass.call_options.CallOptions`.
        checks: Check the arguments against the task's signature.
        locks: A call of a unique task gets its lock; what a commit sends has none.

    Raises:
        TypeError: The arguments do not fit the task, or an option is unknown or ill-typed.
        ValueError: The task is unique, and these arguments have no key.
        EncodeError: An argument has no representation in the serializer.
        MessageTooLarge: The message is over task_max_size_bytes.
    """
    args, kwargs = prepare(task, args, kwargs, checks)
    if signals.before_task_publish.connections:
        options = announce(name, args, kwargs, options)
    plan = plan_calls(app, name, task, options, args, kwargs)
    task_id = options.get("task_id")
    message = plan.message(args, kwargs, task_id)
    if task_id:
        message.once = True
    if locks and plan.locks is not None:
        message.unique = plan.locks.lock(args, kwargs)
    return message


def prepare(
    task: Task[..., Any] | None, args: Sequence[Any], kwargs: Mapping[str, Any], checks: bool
) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """Check a call's arguments, and return them as they are to be sent.

    Raises:
        TypeError: They are no sequence and mapping, or do not fit the task.
    """
    if type(args) is not tuple or type(kwargs) is not dict:
        check_containers(args, kwargs)
    return (args, kwargs) if task is None else task.prepare_arguments(args, kwargs, checks)


def announce(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Send before_task_publish, and return the options with the headers it left."""
    headers = dict(options.get("headers") or {})
    signals.before_task_publish.send(name, **publication(args, kwargs, options, headers))
    return {**options, "headers": headers}


def publication(
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    options: Mapping[str, Any],
    headers: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the arguments of the publish signals."""
    return {
        "body": (args, kwargs, {}),
        "exchange": "",
        "routing_key": options.get("queue"),
        "headers": headers,
    }


def plan_calls(
    app: Windlass,
    name: str,
    task: Task[..., Any] | None,
    options: Mapping[str, Any],
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> Plan:
    """Return the plan of calls with these options.

    Args:
        app: Whose routes and settings apply.
        name: The task's name.
        task: The task if it is known here.
        options: See `windlass.call_options.CallOptions`.
        args: Arguments of the call, for routers that look at them.
        kwargs: Keyword arguments, as `args`.
    """
    settings = app.conf.current
    if options or task is None:
        return _make_plan(app, name, task, options, args, kwargs or {})
    kept: Plan | None = task.__dict__.get("_plan")
    if kept is not None and kept.settings is settings and kept.pid == os.getpid():
        return kept
    plan = _make_plan(app, name, task, options, args, kwargs or {})
    if not (app.router.depends_on_call(name) or task.names_calls):
        task.__dict__["_plan"] = plan
    return plan


def _make_plan(
    app: Windlass,
    name: str,
    task: Task[..., Any] | None,
    call: Mapping[str, Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> Plan:
    call_options.check_known(call)
    settings = app.conf.current
    if settings.task_annotations and task is not None:
        annotate(task, settings)
    options = _merge(app, name, task, call, args, kwargs)
    call_options.check_address(options)
    times = Outgoing(
        id="",
        queue=messages.check_queue_name(options["queue"]),
        tail=b"",
        priority=call_options.check_priority(options["priority"]),
    )
    set_times(times, options, settings)
    serializer = registry.serializer_named(options.get("serializer") or settings.task_serializer)
    headers = _headers(task, options, settings, serializer.content_type)
    plan = Plan(settings, times, headers, name)
    plan.encode = serializer.encode
    if named := options.get("compression") or settings.task_compression:
        plan.compression = compression.encoding_named(named)
    plan.embed = _embed(options)
    is_unique = task is not None and task.is_unique
    if is_unique or not call_options.UNIQUE.isdisjoint(options):
        # Few tasks are unique.
        from windlass import uniqueness  # noqa: PLC0415

        # What the task says goes before what its route says.
        plan.locks = uniqueness.locks_of(name, task, call if is_unique else options, options)
    if task is not None and task.limit_key is not None:
        # Few tasks have limits.
        from windlass import limit_options  # noqa: PLC0415

        plan.keys = limit_options.key_maker(task)
    return plan


def _merge(
    app: Windlass,
    name: str,
    task: Task[..., Any] | None,
    call: Mapping[str, Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> dict[str, Any]:
    """Merge the options: call > task > route > settings. Afterwards queue and priority are set."""
    options: dict[str, Any] = {}
    if task is not None:
        own = ((key, getattr(task, key)) for key in _OWN_OPTIONS)
        options = {key: value for key, value in own if value is not None}
    options.update((key, value) for key, value in call.items() if value is not None)
    if task is not None and task.names_calls and "shadow" not in options:
        options["shadow"] = task.shadow_name(args, kwargs, call)
    route = app.router.route(name, options, args, kwargs, task)
    merged = {**route.options, **options, "queue": route.queue}
    if merged.get("priority") is None:
        default = app.conf.current.task_default_priority
        merged["priority"] = default if route.priority is None else route.priority
    return merged


def _headers(
    task: Task[..., Any] | None,
    options: Mapping[str, Any],
    settings: Settings,
    content_type: str,
) -> Headers:
    limits = (options.get("time_limit"), options.get("soft_time_limit"))
    own, stamps = options.get("headers"), call_options.stamps_of(options)
    headers = Headers(
        root_id=options.get("root_id"),
        parent_id=options.get("parent_id"),
        group=options.get("group_id"),
        group_index=options.get("group_index"),
        timelimit=None if limits == (None, None) else limits,
        shadow=options.get("shadow"),
        origin=origin(),
        ignore_result=options.get("ignore_result"),
        acks_late=None if task is None or task.acks_after_run(settings) else False,
        reply_to=options.get("reply_to"),
        correlation_id=options.get("correlation_id"),
        stamps=stamps or None,
        stamped_headers=options.get("stamped_headers"),
        headers=dict(own) if own else None,
    )
    if sealing_in(settings) is not None:
        headers.seal = "m"
    if content_type != headers.content_type:
        headers.content_type = content_type  # the default is left out of the bytes
    return headers


def _embed(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the third part of the body: what is to be sent after the task."""
    embed: dict[str, Any] = {}
    for option, key in (("link", "callbacks"), ("link_error", "errbacks")):
        linked = options.get(option)
        if linked:
            signatures = [linked] if isinstance(linked, Mapping) else linked
            embed[key] = [_as_data(option, signature) for signature in signatures]
    return embed


def _as_data(option: str, signature: Any) -> dict[str, Any]:
    own = signature.get("options") if isinstance(signature, Mapping) else None
    if own and not call_options.UNIQUE.isdisjoint(own):
        # Few calls are unique.
        from windlass import uniqueness  # noqa: PLC0415

        uniqueness.refuse(own, f"a {option}", "Have the task itself send it.")
    if not isinstance(signature, Mapping) or "task" not in signature:
        text = f"{option} must be a signature, such as add.s(2), or a list of them: {signature!r}."
        raise TypeError(text)
    return dict(signature)


def set_times(times: Outgoing, options: Mapping[str, Any], settings: Settings) -> None:
    """Set the times that countdown, eta and expires ask for.

    Durations stay durations: they become absolute by the broker's clock, not by ours.
    """
    countdown, eta, expires = (options.get(key) for key in ("countdown", "eta", "expires"))
    if eta is not None:
        times.eta_ms = call_options.absolute_ms("eta", eta, settings.tzinfo())
    elif countdown is not None:
        delay_ms = whole_ms(call_options.seconds("countdown", countdown))
        times.delay_ms = delay_ms if delay_ms > 0 else None
    if isinstance(expires, str | datetime):
        times.expires_at_ms = call_options.absolute_ms("expires", expires, settings.tzinfo())
    elif expires is not None:
        ttl_ms = round(call_options.seconds("expires", expires) * 1000)
        if ttl_ms > 0:
            times.ttl_ms = ttl_ms
        else:
            times.expires_at_ms = _LONG_AGO_MS
