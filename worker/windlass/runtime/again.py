"""The message that takes the place of a running one: its retry, or another task's call.

Both keep the id and go into the commit that ends this run, so neither can be lost or doubled.
Next in the walk: `windlass.runtime.outcome`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from windlass import call_options, messages, plans, sending
from windlass.context import PendingReplacement, PendingRetry
from windlass.messages import Headers, Outgoing
from windlass.released import PICKLED_PARTS
from windlass.runtime.outcome import Retried, Stepped
from windlass.serializers import registry
from windlass.signature_data import listed

if TYPE_CHECKING:
    from windlass.runtime.executor import Run
    from windlass.signatures import Signature

#: State of a run that is replaced, for metrics and logs; nothing of it is stored.
REPLACED = "REPLACED"


def retry(run: Run, pending: PendingRetry) -> Outgoing:
    """Build the message of a retry.

    Arguments that were not replaced are sent as they came, whatever the task did to them.

    Raises:
        EncodeError: New arguments cannot be encoded.
    """
    options = {key: value for key, value in pending.options.items() if value is not None}
    is_changed = pending.args is not None or pending.kwargs is not None
    headers = _retry_headers(
        run.head.headers, options, retries=run.request.retries, has_new_arguments=is_changed
    )
    settings = run.spec.settings
    message = Outgoing(
        id=run.message.id,
        queue=messages.check_queue_name(options.get("queue", run.head.queue)),
        tail=b"",
        priority=call_options.check_priority(options.get("priority", run.request.priority)),
        expires_at_ms=run.request.expires_ms or None,
    )
    address = messages.address(message.queue, run.head.task)
    body = _retry_body(run, pending, headers)
    message.tail = _tail(run, address, headers, body)
    when = {"expires": options.get("expires")}
    if isinstance(pending.retry.when, datetime):
        when["eta"] = pending.retry.when
    else:
        when["countdown"] = pending.retry.when
    if when["expires"] is not None:
        message.expires_at_ms = None
    sending.set_times(message, when, settings)
    return message


def keyed(run: Run, key: str) -> Outgoing:
    """Build the same message with the key by which limits count it."""
    head = run.head
    message = Outgoing(
        id=run.message.id,
        queue=head.queue,
        tail=b"",
        priority=run.request.priority or 0,
        expires_at_ms=run.request.expires_ms or None,
    )
    address = messages.address(message.queue, head.task)
    headers = msgspec.structs.replace(head.headers, key=key)
    message.tail = _tail(run, address, headers, run.body)
    return message


def _tail(run: Run, address: bytes, headers: Headers, body: bytes) -> bytes:
    """Build the tail of a retry, sealed anew as the settings say now."""
    seals = plans.sealing_in(run.spec.settings)
    if seals is None:
        if headers.seal is not None:
            headers = msgspec.structs.replace(headers, seal=None)
        return messages.encode_tail(address, headers, body)
    # Workers without signing do without it.
    from windlass.sealing.places import MESSAGE, seal_tail  # noqa: PLC0415

    head = messages.encode_tail(address, msgspec.structs.replace(headers, seal=MESSAGE), b"")
    return seal_tail(seals, run.message.id, head, body)


def _retry_headers(
    headers: Headers, options: dict[str, Any], *, retries: int, has_new_arguments: bool
) -> Headers:
    changes: dict[str, Any] = {"retries": retries + 1}
    if has_new_arguments:
        changes["key"] = None  # the worker that meets it computes the one of these arguments
    if has_new_arguments and headers.content_type == PICKLED_PARTS:
        changes["content_type"] = registry.content_type_of("pickle")
    for name in ("shadow", "headers", "ignore_result"):
        if name in options:
            changes[name] = options[name]
    if "serializer" in options:
        changes["content_type"] = registry.content_type_of(options["serializer"])
    if (
        has_new_arguments
        or changes.get("content_type", headers.content_type) != headers.content_type
    ):
        changes["content_encoding"] = None  # they are encoded anew, and left as long as they are
    if "time_limit" in options or "soft_time_limit" in options:
        hard_s, soft_s = headers.timelimit or (None, None)
        changes["timelimit"] = (
            options.get("time_limit", hard_s),
            options.get("soft_time_limit", soft_s),
        )
    return msgspec.structs.replace(headers, **changes)


def _retry_body(run: Run, pending: PendingRetry, headers: Headers) -> bytes:
    is_same_format = headers.content_type == run.head.headers.content_type
    if pending.args is None and pending.kwargs is None and is_same_format:
        return run.body
    request = run.request
    embed = {
        name: value
        for name in ("callbacks", "errbacks", "chain", "chord")
        if (value := getattr(request, name)) is not None
    }
    args = request.args if pending.args is None else pending.args
    kwargs = request.kwargs if pending.kwargs is None else pending.kwargs
    name = next(n for n in registry.NAMES if registry.content_type_of(n) == headers.content_type)
    return registry.encode_body(args or (), kwargs or {}, embed, name)


def replacement(run: Run, pending: PendingReplacement) -> Retried | Stepped:
    """Build the outcome of a task that is replaced by a signature of any kind.

    What ends with the task's id, and gives its part, is the last task of the replacement.

    Raises:
        EncodeError: Arguments cannot be encoded.
        TypeError: Arguments do not fit a task.
    """
    signature, request = pending.signature, run.request
    if signature.TYPES.get(signature.subtask_type or signature.task) is None:
        return Retried(_other_call(run, signature))
    # Most tasks are not replaced by a canvas, and need not know of any.
    from windlass.canvas.inside import replacing  # noqa: PLC0415

    built = replacing(run.task.app, signature, request, request.then)
    if not built.source:
        return Retried(built.messages[0])
    return Stepped(
        REPLACED,
        None,
        built.messages,
        declares=built.continuations,
        holds=request.then,
        holder=f"c{built.source}",
    )


def _other_call(run: Run, signature: Signature[Any]) -> Outgoing:
    request = run.request
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    app = run.task.app
    options = {
        **signature.options,
        "task_id": run.message.id,
        "root_id": request.root_id,
        "parent_id": request.parent_id,
        "group_id": request.group,
        "group_index": request.group_index,
        "link": [*listed(signature.options.get("link")), *(request.callbacks or ())],
        "link_error": [*listed(signature.options.get("link_error")), *(request.errbacks or ())],
    }
    task = app.tasks.get(signature.task)
    args, kwargs = signature.args, signature.kwargs
    if task is not None:
        args, kwargs = task.prepare_arguments(args, kwargs)
    plan = sending.plan_calls(app, signature.task, task, options, args, kwargs)
    stamps = {**(request.stamps or {}), **(plan.headers.stamps or {})}
    # This run is no parent of it: it takes its place in the tree.
    plan.place(
        replaced_task_nesting=request.replaced_task_nesting + 1,
        then=request.then,
        stamps=stamps or None,
        stamped_headers=sorted(stamps) or None,
    )
    return plan.message(args, kwargs, run.message.id)
