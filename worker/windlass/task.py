"""`Task`: a function (or a class with `run`) that can be sent, and its options.

How it is called is in `windlass.calling`, how it is run in `windlass.runtime.executor`; here are
the options, what a running task may ask for (retry, replace, update_state), and `build_task`.
Next in the walk: `windlass.calling`.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MethodType
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

from windlass import context, errors, hooks, progress, shared
from windlass.annotated_values import AnnotatedCoder, coder_of
from windlass.arguments import ArgumentCheck
from windlass.calling import Calling
from windlass.checkpoints import CheckpointCalls
from windlass.context import Context, PendingReplacement, PendingRetry
from windlass.errors import Ignore, Retry
from windlass.on_commit import OnCommit
from windlass.pydantic_arguments import ModelCoder
from windlass.results.handle import AsyncResult
from windlass.retries import RetryPolicy
from windlass.signatures import Signature
from windlass.task_options import TaskOptions, check_retry_options

if TYPE_CHECKING:
    from windlass.app import Windlass
    from windlass.settings.model import Settings

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
_ErrorTypes = tuple[type[BaseException], ...]

#: What is worked out once, and the attributes it depends on.
_WORKED_OUT = (
    "_plan",
    "_key_maker",
    "_limit_keys",
    "_spec",
    "check_arguments",
    "models",
    "is_async",
)
_WORKED_OUT_FROM = frozenset((*TaskOptions.__annotations__, *hooks.NAMES, "run"))


class Task(TaskOptions, Calling[P, R], OnCommit, CheckpointCalls, hooks.Hooks):
    """A unit of work that workers run. Made by `@app.task`, or by subclassing.

    There is one instance per app and process: attributes are shared by all calls, and only
    `request` belongs to a call. The options are class attributes, described in `TaskOptions`.
    """

    MaxRetriesExceededError = errors.MaxRetriesExceededError

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """The work itself: the decorated function, or what a subclass defines."""
        text = f"Task {self.name!r} defines no run()."
        raise TypeError(text)

    @property
    def request(self) -> Context:
        """The call that runs now; a fresh context with the defaults when none does."""
        return context.request_of(self) or Context()

    def push_request(self, **fields: Any) -> None:
        """Enter a call with these request fields; for tests of tasks that read their request."""
        context.enter(self, Context(**fields))

    def pop_request(self) -> None:
        """Leave the call that push_request entered."""
        frame = context.current_frame()
        if frame is not None:
            context.leave(frame.below)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the task inline, as the function it is; nothing is sent."""
        frame = context.current_frame()
        if frame is not None and frame.task is self and frame.request.is_run_due:
            frame.request.is_run_due = False  # super().__call__() of a class with its own
            inline: R = self.run(*args, **kwargs)
            return inline
        request = Context(task=self.name, args=args, kwargs=kwargs)
        if self.is_async:
            return _call_async(self, request)  # type: ignore[return-value]  # R is a coroutine
        with context.pushed(self, request):
            result: R = self.run(*args, **kwargs)
            return result

    def retry(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        exc: BaseException | None = None,
        throw: bool = True,
        eta: datetime | None = None,
        countdown: float | None = None,
        max_retries: int | None = None,
        **options: Any,
    ) -> Retry:
        """Run this task again later, under the same id.

        The retry is stored with the task's outcome in one commit when the run ends, so it can be
        neither lost nor doubled; it happens also when the code around it swallows the exception.

        Args:
            args: Other positional arguments; the same if left out.
            kwargs: Other keyword arguments; the same if left out.
            exc: What led to the retry: stored with the state RETRY, raised when retries run out.
            throw: Raise Retry, so that nothing after this line runs; False returns it.
            eta: Not before this time.
            countdown: Delay in seconds; `default_retry_delay` if left out.
            max_retries: Cap for this decision only.
            **options: queue, priority, expires, time_limit, soft_time_limit and the like.

        Raises:
            Retry: Always, unless throw is False.
            BaseException: `exc`, or the exception being handled, when the retries are used up or
                the task was called directly.
            MaxRetriesExceededError: The retries are used up, and there is no other exception.
        """
        check_retry_options(options)
        request = self.request
        cause = exc or sys.exception()
        if request.called_directly:
            _raise_again(cause or Retry("Task can be retried", None))
        decision = self.retry_policy.decide(
            request.retries, max_retries=max_retries, countdown=countdown, eta=eta
        )
        if not decision.retry:
            _raise_again(cause or self._used_up(request))
        retry = Retry(exc=exc, when=decision.when)
        retry.sig = self.signature(
            request.args if args is None else args, request.kwargs if kwargs is None else kwargs
        )
        request.pending = PendingRetry(
            retry,
            None if args is None else tuple(args),
            None if kwargs is None else dict(kwargs),
            options,
        )
        if throw:
            raise retry from cause
        return retry

    def _used_up(self, request: Context) -> errors.MaxRetriesExceededError:
        text = (
            f"Can't retry {self.name}[{request.id}] args:{request.argsrepr} "
            f"kwargs:{request.kwargsrepr}: it was retried {request.retries} times."
        )
        return self.MaxRetriesExceededError(
            text, task_args=request.args, task_kwargs=request.kwargs
        )

    def replace(self, sig: Signature[Any]) -> NoReturn:
        """Let a signature of any kind take this task's place: its id, callbacks, and result.

        The last task of a chain, or the body of a chord, has the id; of a group the value is the
        list of its members'. It goes into the commit that ends this run.

        Raises:
            Ignore: Always: nothing after this line runs.
            RuntimeError: The task was called directly.
        """
        request = self.request
        if request.called_directly:
            text = "replace() needs a task that was sent: called directly there is no id to take."
            raise RuntimeError(text)
        request.pending = PendingReplacement(sig)
        reason = "Replaced by another task"
        raise Ignore(reason)

    def add_to_chord(self, sig: Signature[T], lazy: bool = False) -> AsyncResult[T]:
        """Add a task to the header of the chord that this one is a member of.

        It is sent when this task ends well, and the body waits for it too; its value comes after
        those of the members that the chord was made with.

        Args:
            sig: A plain signature.
            lazy: Not supported: the task is sent in the commit that ends this one.

        Returns:
            The handle of its result.

        Raises:
            ValueError: This task is no member of a chord's header.
            TypeError: It is a canvas, or lazy is True.
        """
        request = self.request
        if request.then is None or request.group is None:
            text = f"Task {self.name!r} is not in the header of a chord: no body waits for it."
            raise ValueError(text)
        if lazy or sig.subtask_type is not None:
            text = "add_to_chord takes a plain signature, such as task.s(1), and sends it itself."
            raise TypeError(text)
        added = sig.clone()
        result: AsyncResult[T] = added.freeze()
        request.__dict__.setdefault("added", []).append(added)
        if self.trail:
            request.children.append(result)
        return result

    def add_trail(self, result: AsyncResult[T]) -> AsyncResult[T]:
        """Record a result as a child of the running call; returns it."""
        if self.trail:
            self.request.children.append(result)
        return result

    def update_state(
        self,
        task_id: str | None = None,
        state: str | None = None,
        meta: Any = None,
        request: Context | None = None,
    ) -> None:
        """Store a state of the running task, e.g. its progress; `AsyncResult.info` is `meta`.

        Refused by the broker, silently, when this run has lost its lease. Nothing happens when
        the task was called directly or results are off.

        Args:
            task_id: Whose state; the running task's if left out.
            state: Any text; not SUCCESS, FAILURE or REVOKED, which end a task.
            meta: Any value that the result serializer knows.
            request: The call; the running one if left out.

        Raises:
            ValueError: The state would end the task.
        """
        progress.update_state(self, request or self.request, task_id, state, meta)

    def AsyncResult(self, task_id: str) -> AsyncResult[R]:  # noqa: N802 - Celery's name
        """Return the handle of a call of this task by its id."""
        return AsyncResult(task_id, app=self.app)

    def shadow_name(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> str | None:
        """Override to give each call another name in logs."""
        return None

    @functools.cached_property
    def names_calls(self) -> bool:
        """Whether shadow_name is overridden."""
        return type(self).shadow_name is not Task.shadow_name

    @property
    def backend(self) -> Any:  # a ResultBackend, or None when results are off
        """The app's result backend."""
        return self.app.backend

    @functools.cached_property
    def is_async(self) -> bool:
        """Whether it is an `async def` task."""
        return inspect.iscoroutinefunction(self.run)

    @functools.cached_property
    def models(self) -> ModelCoder | AnnotatedCoder | None:
        """The conversion of arguments and results that pydantic=True or their types ask for."""
        if not self.pydantic:
            return coder_of(self.run)
        return ModelCoder(
            self.run,
            strict=self.pydantic_strict,
            context=self.pydantic_context,
            dump=self.pydantic_dump_kwargs,
        )

    @functools.cached_property
    def check_arguments(self) -> ArgumentCheck:
        """The check that typing=True does in the caller."""
        return ArgumentCheck(self.name, self.run)

    @property
    def retry_policy(self) -> RetryPolicy:
        """The retry options as a value."""
        backoff = self.retry_backoff
        return RetryPolicy(
            autoretry_for=_types(self.autoretry_for),
            dont_autoretry_for=_types(self.dont_autoretry_for),
            max_retries=self.max_retries,
            default_delay_s=self.default_retry_delay,
            backoff_s=max(1.0, float(backoff)) if backoff else 0.0,
            backoff_max_s=self.retry_backoff_max,
            jitter=self.retry_jitter,
            kwargs=dict(self.retry_kwargs),
        )

    def prepare_arguments(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], check: bool = True
    ) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """Check a call's arguments in the caller, and return them as they are to be sent.

        Args:
            args: Positional arguments.
            kwargs: Keyword arguments.
            check: False leaves out the check, as for send_task.

        Raises:
            TypeError: They do not fit the task's signature (unless typing=False).
        """
        if check and self.typing:
            self.check_arguments(args, kwargs)
        models = self.models
        return (args, kwargs) if models is None else models.dumped(args, kwargs)

    def acks_after_run(self, settings: Settings) -> bool:
        """Whether a message is acknowledged with its outcome (the default), not at start."""
        acks_late = settings.task_acks_late if self.acks_late is None else self.acks_late
        return acks_late is not False

    def __setattr__(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)
        if name in _WORKED_OUT_FROM:
            for kept in _WORKED_OUT:
                self.__dict__.pop(kept, None)

    def __repr__(self) -> str:
        return f"<@task: {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return (_task_named, (self.name,))


def _task_named(name: str) -> Task[..., Any]:
    return shared.current_app().tasks[name]


async def _call_async(task: Task[..., Any], request: Context) -> Any:
    with context.pushed(task, request):
        return await task.run(*(request.args or ()), **(request.kwargs or {}))


def _raise_again(error: BaseException) -> NoReturn:
    """Raise, keeping the chain to the exception that is being handled."""
    handled = sys.exception()
    if handled is None or handled is error:
        raise error
    raise error from handled


def _types(errors: type[BaseException] | Sequence[type[BaseException]]) -> _ErrorTypes:
    return (errors,) if isinstance(errors, type) else tuple(errors)


def build_task(
    app: Windlass | None,
    fun: Callable[..., Any],
    base: type[Task[..., Any]] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Task[..., Any]:
    """Make the task of a decorated function.

    Args:
        app: Its app; None for a shared task, which uses the current one.
        fun: The function; with bind=True its first parameter is the task.
        base: Class of the task; `Task` if left out.
        options: Options; the name is "module.function" if they have none. See `TaskOptions`.

    Raises:
        TypeError: An option is unknown.
        ConfigurationError: An option's value is ill-typed.
    """
    task = (base or Task)()
    given = dict(options or {})
    bound = given.get("bind", task.bind)
    vars(task)["run"] = MethodType(fun, task) if bound else fun
    functools.update_wrapper(task, fun, updated=())
    vars(task)["__wrapped__"] = task.run
    given.setdefault("name", task.name or f"{fun.__module__}.{fun.__qualname__}")
    bind_task(app, task, given)
    return task


def bind_task(app: Windlass | None, task: Task[..., Any], options: Mapping[str, Any]) -> None:
    """Give a task its app (None: the current one at each call), its name and its options.

    Raises:
        TypeError: An option is unknown.
        ConfigurationError: An option's value is ill-typed.
    """
    vars(task)["_app"] = app
    task.set_options(options)
