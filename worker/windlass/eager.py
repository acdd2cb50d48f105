"""Runs a task in the caller: `Task.apply` and task_always_eager.

Arguments and results go through their serializers, so what could not be sent fails here too.
Delays are not kept, retries follow at once, link and link_error run here as well; the broker and
the backend are left alone unless task_store_eager_result.
Next in the walk: `windlass.results.eager_result`.
"""

from __future__ import annotations

import contextvars
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from windlass import call_options, context, hooks, progress, sending, signals, states
from windlass.context import Context, PendingReplacement, PendingRetry
from windlass.errors import Ignore, Reject, Retry
from windlass.results import codec
from windlass.results.eager_result import EagerResult
from windlass.run_spec import spec_of
from windlass.serializers import registry
from windlass.signatures import Signature

if TYPE_CHECKING:
    from windlass.task import Task


def apply(
    task: Task[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    options: Mapping[str, Any],
) -> EagerResult[Any]:
    """Run a task to its end, retries and callbacks included; see `Task.apply`.

    Raises:
        TypeError: The arguments do not fit, or an option is unknown.
        EncodeError: An argument cannot be serialised.
        BaseException: What the task raised, with throw=True or task_eager_propagates.
    """
    options = dict(options)
    throw = options.pop("throw", None)
    retries = options.pop("retries", 0)
    for name in ("logfile", "loglevel"):
        options.pop(name, None)
    call_options.check_known(options)
    if throw is None:
        throw = task.app.conf.current.task_eager_propagates
    request = _first_request(task, args, kwargs, options)
    request.retries = retries
    return _Attempt(task, request, throw=throw).finish()


def fail(
    task: Task[..., Any], options: Mapping[str, Any], error: BaseException
) -> EagerResult[Any]:
    """End a task, which is not run, as failed: what came before it in a workflow has failed.

    Args:
        task: The task.
        options: Of the call; the errbacks among them are called.
        error: What it ends with.
    """
    request = _request_of(task, options)
    return _Attempt(task, request, throw=False).told(error)


async def aapply(
    task: Task[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    options: Mapping[str, Any],
) -> EagerResult[Any]:
    """As `apply`, in a thread, so that the event loop goes on."""
    import asyncio  # noqa: PLC0415 - 5 MB that a worker of plain tasks has no use for

    return await asyncio.to_thread(apply, task, args, kwargs, options)


def _first_request(
    task: Task[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Context:
    args, kwargs = sending.prepare(task, args, kwargs, True)
    request = _request_of(task, options)
    _round_trip_arguments(task, request, args, kwargs, options.get("serializer"))
    return request


def _request_of(task: Task[..., Any], options: Mapping[str, Any]) -> Context:
    task_id = options.get("task_id") or sending.new_id()
    parent = context.sending_request()
    request = Context(
        id=task_id,
        task=task.name,
        is_eager=True,
        called_directly=False,
        root_id=task_id if parent is None else parent.root_id or parent.id,
        parent_id=None if parent is None else parent.id,
        callbacks=_listed(options.get("link")),
        errbacks=_listed(options.get("link_error")),
        queue=options.get("queue") or task.queue,
        hostname=sending.origin().partition("@")[2],
        origin=sending.origin(),
    )
    for option, field in (
        ("headers", "headers"),
        ("priority", "priority"),
        ("shadow", "shadow"),
        ("ignore_result", "ignore_result"),
        ("reply_to", "reply_to"),
        ("group_id", "group"),
        ("group_index", "group_index"),
    ):
        if options.get(option) is not None:
            setattr(request, field, options[option])
    stamps = call_options.stamps_of(options)
    if stamps:
        request.stamps, request.stamped_headers = stamps, list(stamps)
    return request


def _round_trip_arguments(
    task: Task[..., Any],
    request: Context,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    serializer: str | None,
) -> None:
    name = serializer or task.serializer or task.app.conf.current.task_serializer
    data = registry.encode_body(args, kwargs, {}, name)
    request.args, request.kwargs, _ = registry.decode(data, registry.content_type_of(name), {name})


class _Attempt:
    """One run after another of an eager task, until it ends."""

    def __init__(self, task: Task[..., Any], request: Context, *, throw: bool) -> None:
        self._task = task
        self._request = request
        self._throw = throw
        self._spec = spec_of(task)

    def finish(self) -> EagerResult[Any]:
        """Run until there is nothing left to retry, and return the outcome."""
        while True:
            try:
                value = self._run_once()
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                outcome = self._raised(error)
            else:
                outcome = self._returned(value)
            if outcome is not None:
                return outcome

    def _run_once(self) -> Any:
        task, request, spec = self._task, self._request, self._spec
        args, kwargs = request.args or (), request.kwargs or {}
        with context.pushed(task, request):
            if signals.task_prerun.connections:
                signals.task_prerun.send(task, **signals.of_run(task, request))
            if spec.models is not None:
                args, kwargs = spec.models.validated(args, kwargs)
            if spec.before_start is not None:
                spec.before_start(request.id, request.args, request.kwargs)
            request.is_run_due = spec.own_call
            if spec.is_async:
                return _run_coroutine(spec.run(*args, **kwargs))
            return spec.run(*args, **kwargs)

    def _returned(self, value: Any) -> EagerResult[Any] | None:
        request, spec = self._request, self._spec
        if request.pending is not None:
            return self._carry_out(request.pending)
        try:
            if spec.models is not None:
                value = spec.models.dumped_result(value)
            value = _round_trip_result(value, spec.serializer)
            for linked in request.callbacks or ():
                self._follow(linked, (value,))
        except Exception as error:
            return self._failed(error)
        name = self._task.name
        hooks.run_hook(spec.on_success, name, value, request.id, request.args, request.kwargs)
        if signals.task_success.connections:
            signals.task_success.send(self._task, result=value)
        self._after(states.SUCCESS, value, None)
        return self._end(value, states.SUCCESS, None)

    def _raised(self, error: BaseException) -> EagerResult[Any] | None:
        request = self._request
        if request.pending is not None:
            return self._carry_out(request.pending)
        if isinstance(error, Ignore):
            return self._end(error, states.IGNORED, None)
        if isinstance(error, Reject):
            return self._end(error, states.REJECTED, None)
        if isinstance(error, Retry):
            self._again(PendingRetry(error, None, None, {}))
            return None
        policy = self._spec.policy
        if policy.covers(error):
            allowed = policy.decide(request.retries, max_retries=policy.kwargs.get("max_retries"))
            if allowed.retry:
                self._again(PendingRetry(Retry(exc=error), None, None, {}))
                return None
        return self._failed(error)

    def _carry_out(self, pending: PendingRetry | PendingReplacement) -> EagerResult[Any] | None:
        if isinstance(pending, PendingRetry):
            self._again(pending)
            return None
        request = self._request
        # Hardly a task is replaced.
        from windlass.canvas.inside import in_place_of  # noqa: PLC0415

        signature = in_place_of(self._task.app, pending.signature, request)
        return signature.apply(task_id=request.id, throw=self._throw)

    def _again(self, pending: PendingRetry) -> None:
        """Prepare the next run: under the same id, at once."""
        request, spec = self._request, self._spec
        cause = pending.retry.exc or pending.retry
        args = request.args, request.kwargs
        if spec.on_retry is not None:
            einfo = hooks.ExceptionInfo(cause)
            name = self._task.name
            hooks.run_hook(spec.on_retry, name, pending.retry, request.id, *args, einfo)
        if signals.task_retry.connections:
            facts = {"reason": pending.retry, "einfo": hooks.ExceptionInfo(cause)}
            signals.task_retry.send(self._task, request=request, **facts)
        self._tell_end(pending.retry, states.RETRY)
        if pending.args is not None or pending.kwargs is not None:
            _round_trip_arguments(
                self._task,
                request,
                request.args or () if pending.args is None else pending.args,
                request.kwargs or {} if pending.kwargs is None else pending.kwargs,
                None,
            )
        request.pending = None
        request.retries += 1

    def _failed(self, error: BaseException) -> EagerResult[Any]:
        request, spec = self._request, self._spec
        einfo = hooks.ExceptionInfo(error)
        self._call_errbacks(error, einfo.traceback)
        name, args = self._task.name, (request.id, request.args, request.kwargs)
        hooks.run_hook(spec.on_failure, name, error, *args, einfo)
        signals.failed(self._task, request, error, einfo)
        self._after(states.FAILURE, error, einfo)
        if self._throw:
            self._tell_end(error, states.FAILURE)
            raise error
        return self._end(error, states.FAILURE, einfo.traceback)

    def _call_errbacks(self, error: BaseException, traceback: str) -> None:
        request = self._request
        for linked in request.errbacks or ():
            signature = Signature.from_dict(linked, app=self._task.app)
            if _is_inline(signature):
                signature(request, error, traceback)
            else:
                self._follow(linked, (request.id,))

    def told(self, error: BaseException) -> EagerResult[Any]:
        """End as failed without a run."""
        traceback = hooks.format_traceback(error)
        self._call_errbacks(error, traceback)
        return self._end(error, states.FAILURE, traceback)

    def _follow(self, linked: Mapping[str, Any], args: tuple[Any, ...]) -> None:
        """Run a callback here too, as a child of this task."""
        with context.pushed(self._task, self._request):
            Signature.from_dict(linked, app=self._task.app).apply(args)

    def _after(self, state: str, value: Any, einfo: hooks.ExceptionInfo | None) -> None:
        request, hook = self._request, self._spec.after_return
        args = (request.id, request.args, request.kwargs)
        hooks.run_hook(hook, self._task.name, state, value, *args, einfo)

    def _tell_end(self, value: Any, state: str) -> None:
        if signals.task_postrun.connections:
            facts = signals.of_run(self._task, self._request)
            signals.task_postrun.send(self._task, retval=value, state=state, **facts)

    def _end(self, value: Any, state: str, traceback: str | None) -> EagerResult[Any]:
        task, request = self._task, self._request
        task_id = request.id or ""
        self._tell_end(value, state)
        settings = task.app.conf.current
        if settings.task_store_eager_result and task.backend is not None:
            about = codec.About(
                now_ms=round(time.time() * 1000),
                serializer=settings.result_serializer,
                seals=settings.seals,
            )
            payload = codec.encode_state(task_id, state, value, about, traceback)
            task.backend.store_raw(task_id, payload, progress.ttl_ms(settings))
        return EagerResult(task_id, value, state, traceback, task.name)


def _round_trip_result(value: Any, serializer: str) -> Any:
    data = registry.encode(value, serializer)
    return registry.decode(data, registry.content_type_of(serializer), {serializer})


def _run_coroutine(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end, in another thread where this one has a running event loop."""
    import asyncio  # noqa: PLC0415 - 5 MB that a worker of plain tasks has no use for
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - likewise

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    variables = contextvars.copy_context()
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(variables.run, asyncio.run, coroutine).result()


def _is_inline(signature: Signature[Any]) -> bool:
    """Whether an errback is called as (request, exc, traceback), and not sent the failed id."""
    if signature.subtask_type is not None:
        return False
    return signature.type.check_arguments.positional_count() > 1


def _listed(linked: Any) -> list[Any] | None:
    if not linked:
        return None
    return [linked] if isinstance(linked, Mapping) else list(linked)
