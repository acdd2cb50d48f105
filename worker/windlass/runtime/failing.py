"""Runs a failing message: tells its task that what came before it has failed.

The task is not called. It ends as it would have if it had failed itself: the outcome is stored, a
chord's body has its errbacks called, and what comes after it is told in turn. The task need not be
known here. Next in the walk: `windlass.runtime.steps`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from windlass import events, states
from windlass.context import Context
from windlass.continuations import Failure, Part
from windlass.errors import ChordError, ContentDisallowed, DecodeError, SecurityError
from windlass.log import get_logger
from windlass.released import PICKLED_PARTS, open_failing_body
from windlass.results import codec, exceptions
from windlass.run_spec import spec_of
from windlass.runtime import callbacks, steps
from windlass.runtime.outcome import Buried, Finished, Outcome, Stepped
from windlass.serializers import registry

if TYPE_CHECKING:
    from windlass.app import Windlass
    from windlass.runtime.executor import RunRequest
    from windlass.runtime.opening import Head

_log = get_logger("windlass.tasks")


def outcome_of(app: Windlass, message: RunRequest, head: Head, body: bytes, now_ms: int) -> Outcome:
    """Return how the task of a failing message ends.

    Args:
        app: Whose settings apply, and whose tasks may be called as errbacks.
        message: As fetched.
        head: Its head, with `failing`.
        body: Its body, see `windlass.released.failing_body`.
        now_ms: The broker's clock.
    """
    kind, task = head.headers.failing or ("same", "")
    errbacks, told = open_failing_body(body)
    try:
        failure = Failure.decode(told)
    except msgspec.DecodeError as problem:
        return Buried("undecodable", f"The failure that it tells of cannot be read: {problem}.")
    seals = app.conf.current.seals
    if seals is not None or failure.error[:1] == b"S":
        from windlass.sealing.opening import open_failure  # noqa: PLC0415 - where it is used only

        try:
            failure = open_failure(seals, failure)
        except SecurityError as problem:
            return Buried(problem.reason, str(problem))
    error, state = _error_of(failure), failure.state
    if kind == "chord":
        cause, state = error, states.FAILURE
        error = ChordError(f"Dependency {failure.id} raised {cause!r}")
        error.__cause__ = cause
        told = steps.failure_of(message.id, error, state, failure.traceback, seals)
    result = None
    if _stores_errors(app, task, head):
        result = codec.encode_failure(
            message.id, error, failure.traceback, _about(app, head, now_ms), state
        )
    sent = _followups(app, message, head, errbacks, error, failure, task)
    _log.info(events.TASK_NOT_RUN, task=task, message_id=message.id, failed_id=failure.id)
    then = head.headers.then
    part = None if then is None else Part(then=then, failure=told)
    if part is None and not sent.continuations:
        return Finished(state, result, sent.messages)
    return Stepped(state, result, sent.messages, part, sent.continuations)


def _error_of(failure: Failure) -> Exception:
    described = registry.decode_marked(failure.error[1:], failure.error[:1], {"json"})
    return exceptions.rebuild(described)


def _stores_errors(app: Windlass, task: str, head: Head) -> bool:
    settings, own = app.conf.current, head.headers.ignore_result
    if not settings.results_enabled:
        return False
    known = app.tasks.get(task)
    if known is None:
        keeps = settings.task_store_errors_even_if_ignored
        return keeps or not (settings.task_ignore_result if own is None else own)
    spec = spec_of(known)
    return spec.stores_errors if own is None else (not own or spec.keeps_errors)


def _about(app: Windlass, head: Head, now_ms: int) -> codec.About:
    settings, headers = app.conf.current, head.headers
    return codec.About(
        now_ms=now_ms,
        serializer=settings.result_serializer,
        max_bytes=settings.result_max_size_bytes,
        parent_id=headers.parent_id,
        group_id=headers.group,
        seals=settings.seals,
    )


def _followups(
    app: Windlass,
    message: RunRequest,
    head: Head,
    errbacks: bytes,
    error: Exception,
    failure: Failure,
    task: str,
) -> callbacks.Followups:
    if not errbacks:
        return callbacks.NOTHING
    content_type = head.headers.content_type
    if content_type == PICKLED_PARTS:
        content_type = registry.content_type_of("pickle")
    try:
        embed = registry.decode(errbacks, content_type, app.conf.current.accept_content)
    except (DecodeError, ContentDisallowed) as problem:
        _log.error(events.TASK_HOOK_FAILED, task=task, hook="link_error", error=str(problem))
        return callbacks.NOTHING
    request = Context(**head.fields, id=message.id, errbacks=embed.get("errbacks"))
    request.task = task
    return callbacks.on_failure(app, request, error, failure.traceback or "")
