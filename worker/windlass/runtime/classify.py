"""How a run ended, decided: a value or an exception becomes an Outcome, and the hooks are told.

Hooks run before the outcome is committed, since a result, its follow-ups and the acknowledgement
are one commit: what a hook reads of the backend is what was there before.
Next in the walk: `windlass.runtime.outcome`, then back in the supervisor `windlass.runtime.settle`.
"""

from __future__ import annotations

from random import SystemRandom
from typing import TYPE_CHECKING, Any

from windlass import attempts, checkpoints, signals, states
from windlass.context import PendingReplacement, PendingRetry
from windlass.errors import Ignore, Reject, Retry, SerializationError, TaskRevokedError
from windlass.hooks import ExceptionInfo, format_traceback, run_hook
from windlass.results import codec
from windlass.results.base import Extended
from windlass.runtime import again, callbacks, reports, steps
from windlass.runtime.outcome import Buried, Finished, Outcome, Retried, Returned, Stepped

if TYPE_CHECKING:
    from windlass.runtime.executor import Run

#: Slots are forked, and copies of one generator would draw the same jitter in all of them.
_random = SystemRandom()


def returned(run: Run, value: Any) -> Outcome:
    """Return the outcome of a run that returned a value."""
    request, spec = run.request, run.spec
    if request.pending is not None:
        return _pending(run, request.pending)
    try:
        if spec.models is not None:
            value = spec.models.dumped_result(value)
        sent = callbacks.on_success(run, value) if request.callbacks else callbacks.NOTHING
        stores = spec.stores if request.ignore_result is None else _stores(run)
        result = codec.encode_success(request.id or "", value, about(run)) if stores else None
        part = (
            None
            if request.then is None
            else steps.succeeded(request.then, value, result, spec.settings.seals)
        )
        grows: callbacks.Grows = ()
        if part is not None and "added" in request.__dict__:
            sent, grows = callbacks.with_added(run, part.then, sent)
    except Exception as error:  # the value cannot be stored, or not be sent to a callback
        if not isinstance(error, SerializationError):
            tell_internal_error(run, error)
        return _failure(run, error)
    if spec.on_success is not None:
        run_hook(spec.on_success, run.task.name, value, request.id, run.args, run.kwargs)
    if signals.task_success.connections:
        signals.task_success.send(run.task, result=value)
    if spec.after_return is not None:
        _after(run, states.SUCCESS, value, None)
    reports.succeeded(run, value)
    if part is not None or sent.continuations:
        return Stepped(states.SUCCESS, result, sent.messages, part, sent.continuations, grows)
    return Finished(states.SUCCESS, result, sent.messages)


def failed(run: Run, error: BaseException) -> Outcome:
    """Return the outcome of a run that raised."""
    pending = run.request.pending
    if pending is not None:
        return _pending(run, pending)
    if isinstance(error, Ignore):
        reports.ignored(run)
        then = run.request.then
        part = None if then is None else steps.ignored(then, run.message.id)
        return steps.ended(states.IGNORED, None, part)
    if isinstance(error, Reject):
        return _rejected(run, error)
    if isinstance(error, Retry):
        return _retried(run, PendingRetry(error, None, None, {}), error)
    if run.spec.policy.covers(error):
        return _automatic_retry(run, error)
    return _failure(run, error)


def expired(run: Run) -> Outcome:
    """Return the outcome of a message whose time passed before it could run."""
    result = None
    if _stores_errors(run):
        result = codec.encode_revoked(run.message.id, "expired", about(run))
    reports.expired(run)
    if signals.task_revoked.connections:
        facts = {"terminated": False, "signum": None, "expired": True}
        signals.task_revoked.send(run.task, request=run.request, **facts)
    part, then = None, run.request.then
    if then is not None:
        part = steps.failed(then, run.message.id, TaskRevokedError("expired"), states.REVOKED)
    return steps.ended(states.REVOKED, result, part, "expired")


def tell_internal_error(run: Run, error: Exception) -> None:
    """Send task_internal_error if anybody listens."""
    if signals.task_internal_error.connections:
        signals.internal_error(run.task, run.request, error, ExceptionInfo(error))


def about(run: Run) -> codec.About:
    """Return what is stored beside the outcome."""
    request, spec = run.request, run.spec
    children = request.__dict__.get("children")
    known = [child.as_tuple() for child in children] if children and run.task.trail else []
    if request.then is not None and request.then.index == 0:
        known.append(_next_step(request.then.id))
    return codec.About(
        now_ms=int(run.now_ms),
        serializer=spec.serializer,
        max_bytes=spec.max_bytes,
        compression=spec.settings.result_compression,
        children=known,
        parent_id=request.parent_id,
        group_id=request.group,
        extended=_extended(run) if spec.settings.result_extended else None,
        seals=spec.settings.seals,
    )


def _next_step(continuation_id: str) -> tuple[tuple[str, None], list[Any] | None]:
    """Return what a workflow goes on with, as a child: a task, or a group by its id alone."""
    if continuation_id.endswith("+"):
        return (continuation_id[:-1], None), []
    return (continuation_id, None), None


def _extended(run: Run) -> Extended:
    request = run.request
    return Extended(
        name=run.task.name,
        args=request.args,
        kwargs=request.kwargs,
        worker=request.hostname,
        retries=request.retries,
        queue=request.queue,
    )


def _stores(run: Run) -> bool:
    own = run.request.ignore_result
    return run.spec.stores if own is None else run.spec.results_on and not own


def _stores_errors(run: Run) -> bool:
    own = run.request.ignore_result
    if own is None:
        return run.spec.stores_errors
    return run.spec.results_on and (not own or run.spec.keeps_errors)


def _pending(run: Run, pending: PendingRetry | PendingReplacement) -> Outcome:
    """Carry out what the task asked for by retry() or replace(), however the run ended."""
    if isinstance(pending, PendingReplacement):
        try:
            outcome = again.replacement(run, pending)
        except Exception as error:  # the signature cannot be sent
            return _failure(run, error)
        reports.replaced(run, pending)
        return outcome
    return _retried(run, pending, pending.retry.exc or pending.retry)


def _automatic_retry(run: Run, error: BaseException) -> Outcome:
    policy, retries = run.spec.policy, run.request.retries
    decision = policy.decide(
        retries,
        max_retries=policy.kwargs.get("max_retries"),
        countdown=policy.automatic_delay_s(retries, _random),
    )
    if not decision.retry:
        return _failure(run, error)
    retry = Retry(exc=error, when=decision.when)
    retry.__traceback__ = error.__traceback__
    return _retried(run, PendingRetry(retry, None, None, {}), error)


def _retried(run: Run, pending: PendingRetry, cause: BaseException) -> Outcome:
    retry, spec = pending.retry, run.spec
    try:
        checkpoints.flush(run.task, run.request)
        message = again.retry(run, pending)
    except Exception as error:  # the new arguments cannot be encoded, say
        return _failure(run, error)
    result, text = None, format_traceback(cause)
    if _stores(run):
        result = codec.encode_retry(run.message.id, retry.exc or retry, text, about(run))
    if spec.on_retry is not None:
        einfo = ExceptionInfo(cause)
        run_hook(spec.on_retry, run.task.name, retry, run.message.id, run.args, run.kwargs, einfo)
    if signals.task_retry.connections:
        einfo = ExceptionInfo(cause)
        signals.task_retry.send(run.task, request=run.request, reason=retry, einfo=einfo)
    reports.retried(run, retry)
    return Retried(message, result, _raised(run, cause, text))


def _rejected(run: Run, error: Reject) -> Outcome:
    """Reject(requeue=True) hands the message back; else it becomes a dead letter and FAILURE."""
    reports.rejected(run, error)
    if error.requeue:
        checkpoints.flush(run.task, run.request)
        return Returned()
    if signals.task_rejected.connections:
        signals.task_rejected.send(run.request.hostname, message=run.message, exc=error)
    result = None
    if _stores_errors(run):
        text = format_traceback(error)
        result = codec.encode_failure(run.message.id, error, text, about(run))
    detail = repr(error.reason) if error.reason is not None else ""
    failure = b""
    if run.request.then is not None:
        failure = steps.failure_of(run.message.id, error, seals=run.spec.settings.seals)
    return Buried("rejected", detail, result, failure)


def _failure(run: Run, error: BaseException) -> Outcome:
    spec, request = run.spec, run.request
    einfo = ExceptionInfo(error)
    result = None
    if _stores_errors(run):
        result = codec.encode_failure(run.message.id, error, einfo.traceback, about(run))
    sent = callbacks.NOTHING
    if request.errbacks:
        sent = callbacks.on_failure(run.task.app, request, error, einfo.traceback)
    if spec.on_failure is not None:
        name = run.task.name
        run_hook(spec.on_failure, name, error, request.id, run.args, run.kwargs, einfo)
    signals.failed(run.task, request, error, einfo)
    if spec.after_return is not None:
        _after(run, states.FAILURE, error, einfo)
    reports.failed(run, error)
    part = None
    if request.then is not None:
        part = steps.failed(
            request.then,
            run.message.id,
            error,
            states.FAILURE,
            einfo.traceback,
            run.spec.settings.seals,
        )
    outcome = Finished(states.FAILURE, result, sent.messages)
    if part is not None or sent.continuations:
        outcome = Stepped(states.FAILURE, result, sent.messages, part, sent.continuations)
    outcome.dead_as, outcome.keeps = "failed", spec.keeps_failed
    outcome.raised = _raised(run, error, einfo.traceback)
    return outcome


def _raised(run: Run, error: BaseException, traceback: str) -> attempts.Raised:
    hides = run.spec.settings.encrypts
    return attempts.raised(error, traceback, run.request.retries, hides=hides)


def _after(run: Run, state: str, value: Any, einfo: ExceptionInfo | None) -> None:
    request = run.request
    run_hook(
        run.spec.after_return,
        run.task.name,
        state,
        value,
        request.id,
        run.args,
        run.kwargs,
        einfo,
    )
