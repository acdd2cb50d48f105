"""The ways to call a task: delay, apply_async, apply, bulk, signatures, and their async twins.

`Calling` is the part of `Task` that callers use; what a task is and does is in `windlass.task`.
Every method that takes arguments keeps the task's own parameters in its type.
Next in the walk: `windlass.publishing`.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast, overload

from windlass import eager, publishing, shared
from windlass.arguments import check_containers
from windlass.canvas import maps
from windlass.publishing import Call
from windlass.signatures import Signature

if TYPE_CHECKING:
    from typing import Unpack

    from windlass.app import Windlass
    from windlass.call_options import CallOptions
    from windlass.result import AsyncResult, EagerResult
    from windlass.task import Task

P = ParamSpec("P")
#: Covariant: pyright types an async function with a subclass of Coroutine.
R = TypeVar("R", covariant=True)
T = TypeVar("T")

#: One call in send_many: positional arguments, (args, kwargs), keyword arguments, or a signature.
ManyItem = Sequence[Any] | tuple[Sequence[Any], Mapping[str, Any]] | Mapping[str, Any]


_NO_KWARGS: dict[str, Any] = {}


class Calling(Generic[P, R]):
    """How a task is called. Mixed into `Task`, and only there.

    Attributes:
        name: The task's name.
    """

    name: str
    _app: Windlass | None = None

    @property
    def app(self) -> Windlass:
        """The app the task belongs to; a shared task belongs to the current one."""
        return self._app or shared.current_app()

    # An async task's type says Coroutine[..., T], and its result handle is of T: the overloads.

    @overload
    def delay(
        self: Calling[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> AsyncResult[T]: ...
    @overload
    def delay(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]: ...
    def delay(self, *args: Any, **kwargs: Any) -> AsyncResult[Any]:
        """Send the task with these arguments, as they are; `apply_async` takes options.

        Returns:
            The handle of the result.

        Raises:
            TypeError: The arguments do not fit the task.
            EncodeError: An argument cannot be serialised.
            OperationalError: The broker cannot be reached.
        """
        return self.apply_async(args, kwargs)

    @overload
    async def adelay(
        self: Calling[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> AsyncResult[T]: ...
    @overload
    async def adelay(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]: ...
    async def adelay(self, *args: Any, **kwargs: Any) -> AsyncResult[Any]:
        """As `delay`, without blocking the event loop."""
        return await self.aapply_async(args, kwargs)

    @overload
    def apply_async(
        self: Calling[P, Coroutine[Any, Any, T]],
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncResult[T]: ...
    @overload
    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncResult[R]: ...
    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *more: Any,
        **options: Any,
    ) -> AsyncResult[Any]:
        """Send the task with options.

        Args:
            args: Positional arguments, a list or a tuple.
            kwargs: Keyword arguments.
            *more: task_id, producer, link, link_error and shadow by position, as in Celery.
            **options: See `windlass.call_options.CallOptions`.

        Returns:
            The handle of the result.

        Raises:
            TypeError: The arguments do not fit the task, or an option is unknown or ill-typed.
            EncodeError: An argument cannot be serialised.
            MessageTooLarge: The message is over task_max_size_bytes.
            OperationalError: The broker cannot be reached, after the publish retries.
        """
        if more:
            options.update(_by_position(more, options))
        return self._dispatch(args, kwargs, options)

    @overload
    async def aapply_async(
        self: Calling[P, Coroutine[Any, Any, T]],
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncResult[T]: ...
    @overload
    async def aapply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncResult[R]: ...
    async def aapply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> AsyncResult[Any]:
        """As `apply_async`, without blocking the event loop."""
        return await self._adispatch(args, kwargs, options)

    @overload
    def apply(
        self: Calling[P, Coroutine[Any, Any, T]],
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> EagerResult[T]: ...
    @overload
    def apply(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> EagerResult[R]: ...
    def apply(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> EagerResult[Any]:
        """Run the task here and now, and return the outcome as a finished handle.

        Arguments and result go through the serializer as if they were sent. Delays are not kept.
        An exception is stored in the handle, unless `throw=True` or task_eager_propagates.

        Args:
            args: Positional arguments.
            kwargs: Keyword arguments.
            **options: As for `apply_async`, and `throw` and `retries`.
        """
        return eager.apply(cast("Task[P, R]", self), _given(args), kwargs or {}, options)

    @overload
    def send_many(
        self: Calling[P, Coroutine[Any, Any, T]],
        calls: Iterable[ManyItem],
        **options: Unpack[CallOptions],
    ) -> list[AsyncResult[T]]: ...
    @overload
    def send_many(
        self, calls: Iterable[ManyItem], **options: Unpack[CallOptions]
    ) -> list[AsyncResult[R]]: ...
    def send_many(self, calls: Iterable[ManyItem], **options: Any) -> list[AsyncResult[Any]]:
        """Send many calls of this task in one round trip; the fast way to enqueue in bulk.

        All calls are checked and encoded before any is sent.

        Args:
            calls: For each call its positional arguments as a list or tuple, or
                `(args, kwargs)` (a pair of a list or tuple and a dict), or a dict of keyword
                arguments, or a signature of this task.
            **options: The same for all calls; those of a signature go before them.

        Returns:
            The handles, in order.

        >>> add.send_many([(1, 2), (3, 4)], queue="bulk")  # doctest: +SKIP
        """
        bulk = self._bulk(calls, options)
        if self.app.conf.current.task_always_eager:
            return [self._dispatch(call.args, call.kwargs, call.options) for call in bulk]
        return publishing.send_all(self.app, bulk)

    @overload
    async def asend_many(
        self: Calling[P, Coroutine[Any, Any, T]],
        calls: Iterable[ManyItem],
        **options: Unpack[CallOptions],
    ) -> list[AsyncResult[T]]: ...
    @overload
    async def asend_many(
        self, calls: Iterable[ManyItem], **options: Unpack[CallOptions]
    ) -> list[AsyncResult[R]]: ...
    async def asend_many(self, calls: Iterable[ManyItem], **options: Any) -> list[AsyncResult[Any]]:
        """As `send_many`, without blocking the event loop."""
        bulk = self._bulk(calls, options)
        if self.app.conf.current.task_always_eager:
            return [await self._adispatch(call.args, call.kwargs, call.options) for call in bulk]
        return await publishing.asend_all(self.app, bulk)

    @overload
    def s(self: Calling[P, Coroutine[Any, Any, T]], *args: Any, **kwargs: Any) -> Signature[T]: ...
    @overload
    def s(self, *args: Any, **kwargs: Any) -> Signature[R]: ...
    def s(self, *args: Any, **kwargs: Any) -> Signature[Any]:
        """Return a signature: this task with (some of) its arguments, not sent."""
        return self.signature(args, kwargs)

    @overload
    def si(
        self: Calling[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> Signature[T]: ...
    @overload
    def si(self, *args: P.args, **kwargs: P.kwargs) -> Signature[R]: ...
    def si(self, *args: Any, **kwargs: Any) -> Signature[Any]:
        """Return an immutable signature, which takes no more arguments, e.g. a parent's result."""
        return self.signature(args, kwargs, immutable=True)

    def signature(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        *,
        immutable: bool = False,
        **more_options: Unpack[CallOptions],
    ) -> Signature[R]:
        """Return a signature with options."""
        return Signature(
            self.name,
            args,
            kwargs,
            {**(options or {}), **more_options},
            immutable=immutable,
            app=self.app,
        )

    subtask = signature

    @overload
    def map(self: Calling[P, Coroutine[Any, Any, T]], it: Iterable[Any]) -> maps.xmap[T]: ...
    @overload
    def map(self, it: Iterable[Any]) -> maps.xmap[R]: ...
    def map(self, it: Iterable[Any]) -> maps.xmap[Any]:
        """Return a signature of one message that calls this task with each item, in order."""
        return maps.xmap(self.s(), it, app=self.app)

    @overload
    def starmap(
        self: Calling[P, Coroutine[Any, Any, T]], it: Iterable[Iterable[Any]]
    ) -> maps.xstarmap[T]: ...
    @overload
    def starmap(self, it: Iterable[Iterable[Any]]) -> maps.xstarmap[R]: ...
    def starmap(self, it: Iterable[Iterable[Any]]) -> maps.xstarmap[Any]:
        """Return a signature of one message that calls this task with each item's members."""
        return maps.xstarmap(self.s(), it, app=self.app)

    @overload
    def chunks(
        self: Calling[P, Coroutine[Any, Any, T]], it: Iterable[Iterable[Any]], n: int
    ) -> maps.chunks[T]: ...
    @overload
    def chunks(self, it: Iterable[Iterable[Any]], n: int) -> maps.chunks[R]: ...
    def chunks(self, it: Iterable[Iterable[Any]], n: int) -> maps.chunks[Any]:
        """Return a signature that sends the items in starmaps of `n`.

        >>> add.chunks(zip(range(10), range(10)), 4)().get()  # doctest: +SKIP
        [[0, 2, 4, 6], [8, 10, 12, 14], [16, 18]]
        """
        return maps.chunks(self.s(), it, n, app=self.app)

    # `self: Any`, because it is always a Task: this class is mixed into it, and only there.

    def _dispatch(
        self: Any,
        args: Sequence[Any] | None,
        kwargs: Mapping[str, Any] | None,
        options: Mapping[str, Any],
    ) -> AsyncResult[Any]:
        app = self.app
        if app.conf.current.task_always_eager:
            return eager.apply(self, _given(args), kwargs or {}, options)
        return publishing.send(app, Call(self.name, self, _given(args), kwargs or {}, options))

    async def _adispatch(
        self: Any,
        args: Sequence[Any] | None,
        kwargs: Mapping[str, Any] | None,
        options: Mapping[str, Any],
    ) -> AsyncResult[Any]:
        app = self.app
        if app.conf.current.task_always_eager:
            return await eager.aapply(self, _given(args), kwargs or {}, options)
        call = Call(self.name, self, _given(args), kwargs or {}, options)
        return await publishing.asend(app, call)

    def _bulk(self: Any, items: Iterable[ManyItem], options: dict[str, Any]) -> list[Call]:
        return [_call_of(self, item, options) for item in items]


def _given(args: Sequence[Any] | None) -> Sequence[Any]:
    # Not `args or ()`: an empty string is no list of arguments, and has to be refused.
    return () if args is None else args


def _by_position(more: tuple[Any, ...], options: Mapping[str, Any]) -> dict[str, Any]:
    """Name the options that Celery allows by position."""
    names = ("task_id", "producer", "link", "link_error", "shadow")
    if len(more) > len(names):
        text = f"apply_async takes at most {len(names) + 2} positional arguments."
        raise TypeError(text)
    named = dict(zip(names, more, strict=False))
    twice = named.keys() & options.keys()
    if twice:
        text = f"apply_async got {sorted(twice)[0]!r} by position and by name."
        raise TypeError(text)
    return named


def _call_of(task: Task[..., Any], item: ManyItem, options: dict[str, Any]) -> Call:
    if type(item) is tuple and (len(item) != 2 or type(item[1]) is not dict):
        return Call(task.name, task, item, _NO_KWARGS, options)
    if isinstance(item, Signature):
        if item.task != task.name:
            text = f"send_many of {task.name!r} got a signature of {item.task!r}."
            raise TypeError(text)
        merged = {**options, **item.options} if item.options else options
        return Call(task.name, task, item.args, item.kwargs, merged)
    if isinstance(item, Mapping):
        return Call(task.name, task, (), item, options)
    check_containers(item, None)
    if len(item) == 2 and isinstance(item[0], list | tuple) and isinstance(item[1], dict):
        return Call(task.name, task, item[0], item[1], options)
    return Call(task.name, task, item, {}, options)
