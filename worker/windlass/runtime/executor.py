"""Runs one message: open, resolve, check, decode, run, classify. Everything ends as an Outcome.

Whatever user code or bytes do, `execute` returns how it ended, with two exceptions: it lets
KeyboardInterrupt pass, since it asks the process to end, and an asyncio cancellation that came from
outside the task. SystemExit is the task's own failure: a task that calls sys.exit() does not take
its worker with it.
Next in the walk: user code, then `windlass.runtime.classify`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec

from windlass import context, signals, states
from windlass.context import Context
from windlass.errors import ContentDisallowed, DecodeError, SecurityError, SerializationError
from windlass.run_spec import RunSpec, spec_of, spec_under
from windlass.runtime import classify
from windlass.runtime.opening import Head, Opener, decode_problem, timelimit_of
from windlass.runtime.outcome import Buried, Finished, Outcome, Retried, Unknown
from windlass.serializers import registry
from windlass.serializers.compression import TooLargeUnpackedError, decompress
from windlass.serializers.json_codec import JsonSerializer, decode_plain_body

if TYPE_CHECKING:
    from windlass.app import Windlass
    from windlass.runtime.coroutines import LoopRunner, SoftLimit
    from windlass.task import Task

_Limits = tuple[float | None, float | None]


class RunRequest(msgspec.Struct, array_like=True, gc=False):
    """A message to be run.

    Attributes:
        token: Fencing token of its lease.
        raw: The stored bytes.
        deliveries: Earlier deliveries that ended in a crash or an expired lease.
        handbacks: Times it was handed back.
        clock_offset_ms: Broker's clock less CLOCK_MONOTONIC, milliseconds.
        body_at: Where the body begins in `raw`, 0 if nobody has looked yet.
        generation: Times it was replayed from the dead letters.
        forgets_retries: Since its last retry, if there was one.
    """

    id: str
    queue: str
    token: int
    raw: bytes
    deliveries: int = 0
    handbacks: int = 0
    clock_offset_ms: float = 0.0
    body_at: int = 0
    generation: int = 0
    forgets_retries: bool = False


class Run(msgspec.Struct, eq=False):
    """One run: the message, opened, and what its task says of it.

    Attributes:
        soft_s: Soft time limit in seconds, None for none.
    """

    message: RunRequest
    head: Head
    body: bytes
    task: Task[..., Any]
    request: Context
    args: list[Any] | tuple[Any, ...]
    kwargs: dict[str, Any]
    spec: RunSpec
    soft_s: float | None

    @property
    def now_ms(self) -> float:
        """The broker's clock, milliseconds since the epoch."""
        return monotonic() * 1000.0 + self.message.clock_offset_ms


class Executor:
    """Runs messages of an app in this process. Thread-safe.

    Args:
        app: Whose tasks.
        hostname: Name of the worker, for `self.request.hostname`.
        soft_limit: The pool's way to raise SoftTimeLimitExceeded in a block after some seconds.
        pool: Name of the pool.
    """

    def __init__(
        self, app: Windlass, *, hostname: str, soft_limit: SoftLimit | None, pool: str
    ) -> None:
        self._app = app
        self._hostname = hostname
        self._soft_limit = soft_limit
        self.pool = pool
        self._tasks = app.tasks
        self._conf = app.conf
        self._settings = app.conf.current
        self._opener = Opener()
        is_json_fine = not {"json", JsonSerializer.content_type}.isdisjoint(
            self._settings.accept_content
        )
        #: Bodies of JSON in messages of at most so many bytes are decoded the short way.
        self._plain_below = self._settings.task_max_size_bytes + _MARGIN if is_json_fine else -1
        #: What opens sealed bodies; None where none may come, nor has to.
        self._seals = self._settings.seals
        self._loops: LoopRunner | None = None
        self._lock = threading.Lock()

    def execute(self, request: RunRequest) -> Outcome:
        """Run a message to its end.

        `async def` tasks run on an event loop that this thread keeps between tasks.
        """
        run = self._prepare(request)
        return self._run(run) if type(run) is Run else self._not_run(request, run)  # type: ignore[arg-type]  # else: Outcome

    async def execute_async(self, request: RunRequest) -> Outcome:
        """Run a message on the running event loop; a plain function runs in a thread of it.

        Raises:
            asyncio.CancelledError: The call itself was cancelled.
        """
        import asyncio  # noqa: PLC0415 - 5 MB that a worker of plain tasks has no use for

        run = self._prepare(request)
        if not isinstance(run, Run):
            return self._not_run(request, run)
        if not run.spec.is_async:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(None, copy_context().run, self._run, run)
        before = context.enter(run.task, run.request)
        try:
            self._before(run)
            value = await self._limited(run)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            current = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and current and current.cancelling():
                raise
            return _ended(run, error, classify.failed)
        else:
            return _ended(run, value, classify.returned)
        finally:
            context.leave(before)

    def effective_limits(self, raw: bytes) -> _Limits:
        """Return the (hard, soft) time limits of a message in seconds, None for none."""
        try:
            head, _ = self._opener.open(raw)
        except DecodeError:
            return (None, None)
        task = self._app.tasks.get(head.task)
        hard_s, soft_s = timelimit_of(head)
        if task is None:
            return (hard_s, soft_s)
        spec = spec_of(task)
        return (
            spec.hard_s if hard_s is None else hard_s,
            spec.soft_s if soft_s is None else soft_s,
        )

    def set_limits(self, name: str, soft_s: float | None, hard_s: float | None) -> None:
        """Give a task other time limits, seconds, from its next run on; None: the default."""
        task = self._app.tasks.get(name)
        if task is not None:
            task.soft_time_limit, task.time_limit = soft_s, hard_s

    def close(self) -> None:
        """Close the event loops of tasks; nothing may be running."""
        if self._loops is not None:
            self._loops.close()

    def _run(self, run: Run) -> Outcome:
        """Run what is prepared, in this thread."""
        before = context.enter(run.task, run.request)
        try:
            spec = run.spec
            if spec.is_prepared or signals.task_prerun.connections:
                self._before(run)
            if spec.is_async:
                value = self._loop_runner().run(self._limited(run))
            elif run.soft_s is None or self._soft_limit is None:
                value = spec.run(*run.args, **run.kwargs)
            else:
                with self._soft_limit(run.soft_s):
                    value = spec.run(*run.args, **run.kwargs)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever user code raises is its outcome
            return _ended(run, error, classify.failed)
        else:
            return _ended(run, value, classify.returned)
        finally:
            context.leave(before)

    def _before(self, run: Run) -> None:
        """Do what comes before the function; what is raised here is the task's failure."""
        spec, request = run.spec, run.request
        if signals.task_prerun.connections:
            signals.task_prerun.send(run.task, **signals.of_run(run.task, request))
        if spec.models is not None:
            run.args, run.kwargs = spec.models.validated(run.args, run.kwargs)
        if spec.before_start is not None:
            spec.before_start(request.id, run.args, run.kwargs)
        request.is_run_due = spec.own_call

    def _loop_runner(self) -> LoopRunner:
        from windlass.runtime.coroutines import LoopRunner  # noqa: PLC0415 - it brings asyncio

        with self._lock:
            if self._loops is None:
                self._loops = LoopRunner()
            return self._loops

    def _limited(self, run: Run) -> Any:
        coroutine = run.spec.run(*run.args, **run.kwargs)
        if run.soft_s is None:
            return coroutine
        from windlass.runtime.coroutines import LimitedCoroutine  # noqa: PLC0415 - likewise

        return LimitedCoroutine(coroutine, run.soft_s, self._soft_limit)

    def _prepare(self, message: RunRequest) -> Run | Outcome:
        """Open a message and find its task, or return why it cannot run."""
        raw = message.raw
        try:
            head, body = self._opener.open(raw, message.body_at)
        except DecodeError as error:
            return Buried(decode_problem(raw, error), str(error))
        task = self._tasks.get(head.task)
        if task is None:
            task = self._app.tasks.find(head.task)  # declared since: a shared task, say
            if task is None:
                return self._without_task(message, head, body)
        if raw[14:20] != _NO_TIME and _is_expired(message):
            return classify.expired(self._open_run(message, head, body, task, ((), {}, {})))
        if head.is_sealed or self._seals is not None:
            try:
                body = self._unsealed(message, head, body)
            except SecurityError as error:
                return Buried(error.reason, str(error))
        is_plain = head.is_json and len(raw) <= self._plain_below
        plain = decode_plain_body(body) if is_plain else None
        parts = plain or self._decode(raw, head, body)
        if not isinstance(parts, tuple):
            return parts
        run = self._open_run(message, head, body, task, parts)
        is_plain = run.spec.keys is None and not signals.task_received.connections
        return run if is_plain else self._met(run)

    def _met(self, run: Run) -> Run | Outcome:
        """Look whether the message has the key that it needs, and send task_received."""
        if run.spec.keys is not None and run.head.headers.key is None:
            from windlass.runtime import keying  # noqa: PLC0415 - for tasks with limits only

            if (outcome := keying.outcome_of(run)) is not None:
                return outcome
        if signals.task_received.connections:
            signals.task_received.send(self._hostname, request=run.request)
        return run

    def _not_run(self, message: RunRequest, outcome: Outcome) -> Outcome:
        """Send task_rejected for a message that is bad, if anybody listens."""
        if signals.task_rejected.connections and isinstance(outcome, Buried):
            problem = SerializationError(outcome.detail)
            signals.task_rejected.send(self._hostname, message=message, exc=problem)
        return outcome

    def _without_task(self, message: RunRequest, head: Head, body: bytes) -> Outcome:
        if head.headers.failing is None:
            return Unknown(head.task)
        from windlass.runtime import failing  # noqa: PLC0415 - for workflows that fail only

        try:
            body = self._unsealed(message, head, body)
        except SecurityError as error:
            return Buried(error.reason, str(error))
        now_ms = int(monotonic() * 1000.0 + message.clock_offset_ms)
        return failing.outcome_of(self._app, message, head, body, now_ms)

    def _unsealed(self, message: RunRequest, head: Head, body: bytes) -> bytes:
        if not head.is_sealed and self._seals is None:
            return body
        from windlass.sealing.opening import open_message  # noqa: PLC0415 - where it is used only

        return open_message(self._seals, message.id, message.raw, body, head.headers)

    def _decode(self, raw: bytes, head: Head, body: bytes) -> tuple[Any, Any, Any] | Buried:
        settings = self._settings
        if len(raw) > settings.task_max_size_bytes + _MARGIN:
            detail = (
                f"The message is {len(raw):,} bytes; expected at most "
                f"{settings.task_max_size_bytes:,} (task_max_size_bytes)."
            )
            return Buried("too_large", detail)
        value = self._decode_body(head, body)
        if isinstance(value, Buried):
            return value
        if isinstance(value, list | tuple) and len(value) == 3:
            args, kwargs, embed = value
            is_call = isinstance(args, list | tuple) and isinstance(kwargs, dict)
            if is_call and (embed is None or isinstance(embed, dict)):
                return args, kwargs, embed
        detail = "The body is not [args, kwargs, embed], a list, a mapping and a mapping."
        return Buried("undecodable", detail)

    def _decode_body(self, head: Head, body: bytes) -> Any:
        headers, settings = head.headers, self._settings
        try:
            if headers.content_encoding is not None:
                body = decompress(body, headers.content_encoding, settings.task_max_size_bytes)
            return registry.decode(body, headers.content_type, settings.accept_content)
        except ContentDisallowed as error:
            return Buried("content_disallowed", str(error))
        except TooLargeUnpackedError as error:
            return Buried("too_large", str(error))
        except DecodeError as error:
            return Buried("undecodable", str(error))

    def _open_run(
        self,
        message: RunRequest,
        head: Head,
        body: bytes,
        task: Task[..., Any],
        parts: tuple[Any, Any, Any],
    ) -> Run:
        args, kwargs, embed = parts
        request = Context.__new__(Context)
        request.__dict__ = fields = head.fields.copy()
        fields["id"] = message.id
        fields["args"] = args
        fields["kwargs"] = kwargs
        fields["token"] = message.token
        fields["clock_offset_ms"] = message.clock_offset_ms
        fields["hostname"] = self._hostname
        raw = message.raw
        if raw[1] != _NO_PRIORITY:
            fields["priority"] = raw[1] - _NO_PRIORITY
        if raw[8:20] != _NO_TIMES:
            fields["due_ms"] = int.from_bytes(raw[8:14], "big")
            fields["expires_ms"] = int.from_bytes(raw[14:20], "big")
        spec = spec_under(task, self._conf.current)
        soft_s, own = spec.soft_s, head.headers.timelimit
        if own is not None:
            fields["timelimit"] = list(own)
            soft_s = soft_s if own[1] is None else own[1]
        if message.deliveries:
            fields["deliveries"] = message.deliveries
        if message.handbacks:
            fields["handbacks"] = message.handbacks
        if message.generation:
            fields["generation"] = message.generation
            if message.forgets_retries:
                fields["retries"] = 0
        if embed:
            for name in ("callbacks", "errbacks", "chain", "chord"):
                fields[name] = embed.get(name)
        return Run(message, head, body, task, request, args, kwargs, spec, soft_s)


def _ended(run: Run, value: Any, decide: Callable[[Run, Any], Outcome]) -> Outcome:
    """Decide how a run ended, and send task_postrun if anybody listens."""
    try:
        outcome = decide(run, value)
    except Exception as error:  # the engine's own: the process ends, and the message comes again
        classify.tell_internal_error(run, error)
        raise
    if signals.task_postrun.connections:
        state = outcome.state if isinstance(outcome, Finished) else states.REJECTED
        if isinstance(outcome, Retried):
            state = states.RETRY
        facts = signals.of_run(run.task, run.request)
        signals.task_postrun.send(run.task, retval=value, state=state, **facts)
    return outcome


#: Prefix and names come on top of what the sender's cap counts.
_MARGIN = 4096
#: A message that is not scheduled, or never expires, has zeros there.
_NO_TIME, _NO_TIMES = bytes(6), bytes(12)
#: Priority 0, as the prefix says it.
_NO_PRIORITY = ord("0")


def _is_expired(message: RunRequest) -> bool:
    now_ms = monotonic() * 1000.0 + message.clock_offset_ms
    return now_ms >= int.from_bytes(message.raw[14:20], "big")
