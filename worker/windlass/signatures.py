"""Signatures: a task with (some of) its arguments and options, as data that can be sent.

A `Signature` is a dict with Celery's keys, so it survives JSON; `signature()` makes one of a task
or of such a dict. Arguments that come at call time (a parent's result, say) go before its own,
unless it is immutable. Public under `windlass.canvas` and `windlass`.
Next in the walk: `windlass.calling`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from windlass import shared
from windlass.call_options import check_known

if TYPE_CHECKING:
    from windlass.app import Windlass
    from windlass.result import AsyncResult, EagerResult
    from windlass.task import Task

R = TypeVar("R")


class Signature(dict[str, Any], Generic[R]):
    """A call that has not been made.

    Args:
        task: A task, a task's name, or a signature as a dict.
        args: Positional arguments.
        kwargs: Keyword arguments.
        options: Options of the call, see `windlass.call_options.CallOptions`.
        immutable: Take no more arguments at call time.
        app: Whose tasks and broker; the current app if left out.
        subtask_type: For the wire; None for a plain signature.

    >>> add.s(2).apply_async((1,))  # calls add(1, 2)  # doctest: +SKIP
    """

    def __init__(
        self,
        task: Task[..., R] | Mapping[str, Any] | str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        *,
        immutable: bool = False,
        app: Windlass | None = None,
        subtask_type: str | None = None,
    ) -> None:
        self._app = app
        if isinstance(task, Mapping):
            super().__init__({**_blank(), **task})
            return
        name = task if isinstance(task, str) else task.name
        check_known(options or {})
        super().__init__(
            task=name,
            args=tuple(args or ()),
            kwargs=dict(kwargs or {}),
            options=dict(options or {}),
            subtask_type=subtask_type,
            immutable=immutable,
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], app: Windlass | None = None) -> Signature[Any]:
        """Make a signature of a dict, as it comes out of JSON."""
        return cls(data, app=app)

    @property
    def task(self) -> str:
        """Name of the task."""
        name: str = self["task"]
        return name

    name = task

    @property
    def args(self) -> tuple[Any, ...]:
        """Positional arguments."""
        return tuple(self["args"])

    @property
    def kwargs(self) -> dict[str, Any]:
        """Keyword arguments; changing the dict changes the signature."""
        kwargs: dict[str, Any] = self["kwargs"]
        return kwargs

    @property
    def options(self) -> dict[str, Any]:
        """Options of the call; changing the dict changes the signature."""
        options: dict[str, Any] = self["options"]
        return options

    @property
    def immutable(self) -> bool:
        """Whether it takes no more arguments at call time."""
        return bool(self["immutable"])

    @property
    def id(self) -> str | None:
        """The id that its task will have, if one was set."""
        return self.options.get("task_id")

    @property
    def app(self) -> Windlass:
        """Whose tasks and broker it uses."""
        return self._app or shared.current_app()

    @property
    def type(self) -> Task[..., R]:
        """The task itself.

        Raises:
            NotRegistered: The app does not know it.
        """
        return self.app.tasks[self.task]

    def clone(
        self,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Signature[R]:
        """Return a copy; `args` go before its own, `kwargs` and options win over its own."""
        twin = copy.deepcopy(self)
        if not self.immutable:
            twin["args"] = (*args, *self.args)
            twin.kwargs.update(kwargs or {})
        twin.options.update(options)
        return twin

    partial = clone

    def set(self, *, immutable: bool | None = None, **options: Any) -> Signature[R]:
        """Set options, and return the signature itself.

        Raises:
            TypeError: An option is unknown.
        """
        check_known(options)
        if immutable is not None:
            self["immutable"] = immutable
        self.options.update(options)
        return self

    def set_immutable(self, immutable: bool) -> None:
        """Make it take, or not take, arguments at call time."""
        self["immutable"] = immutable

    def link(self, callback: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send `callback` with the result; returns the callback, as in Celery."""
        return self._append("link", callback)

    def link_error(self, errback: Mapping[str, Any]) -> Mapping[str, Any]:
        """Call `errback` on failure; returns the errback, as in Celery."""
        return self._append("link_error", errback)

    def on_error(self, errback: Mapping[str, Any]) -> Signature[R]:
        """As `link_error`, but returns the signature itself, for chaining."""
        self.link_error(errback)
        return self

    def flatten_links(self) -> Iterator[Signature[Any]]:
        """Yield it and all that is linked to it, the links' links too."""
        yield self
        for linked in _listed(self.options.get("link")):
            yield from signature(linked, app=self._app).flatten_links()

    def __call__(self, *args: Any, **kwargs: Any) -> R:
        """Call the task inline, with the signature's arguments."""
        merged_args, merged_kwargs, _ = self.merged(args, kwargs, {})
        return self.type(*merged_args, **merged_kwargs)

    def delay(self, *args: Any, **kwargs: Any) -> AsyncResult[R]:
        """Send it; `args` go before its own."""
        return self.apply_async(args, kwargs)

    async def adelay(self, *args: Any, **kwargs: Any) -> AsyncResult[R]:
        """As `delay`, without blocking the event loop."""
        return await self.aapply_async(args, kwargs)

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> AsyncResult[R]:
        """Send it; `args` go before its own, `kwargs` and `options` win over its own."""
        merged = self.merged(args or (), kwargs or {}, options)
        task = self.app.tasks.get(self.task)
        if task is None:
            return self.app.send_task(self.task, merged[0], merged[1], **merged[2])
        return task.apply_async(merged[0], merged[1], **merged[2])

    async def aapply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> AsyncResult[R]:
        """As `apply_async`, without blocking the event loop."""
        merged = self.merged(args or (), kwargs or {}, options)
        task = self.app.tasks.get(self.task)
        if task is None:
            return await self.app.asend_task(self.task, merged[0], merged[1], **merged[2])
        return await task.aapply_async(merged[0], merged[1], **merged[2])

    def apply(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> EagerResult[R]:
        """Run it here and now, see `Task.apply`."""
        merged = self.merged(args or (), kwargs or {}, options)
        return self.type.apply(merged[0], merged[1], **merged[2])

    def merged(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
        """Return arguments and options of a call: those given now first, and winning."""
        merged_options = {**self.options, **options}
        if self.immutable:
            return self.args, self.kwargs, merged_options
        return (*args, *self.args), {**self.kwargs, **kwargs}, merged_options

    def _append(self, option: str, linked: Mapping[str, Any]) -> Mapping[str, Any]:
        links = _listed(self.options.get(option))
        if linked not in links:
            links.append(linked)
        self.options[option] = links
        return linked

    def __or__(self, other: Any) -> Any:  # dict's own `|` would merge the keys of two signatures
        return NotImplemented

    __ror__ = __or__

    def __ior__(self, other: Any) -> Any:  # as __or__
        return NotImplemented

    def __deepcopy__(self, memo: dict[int, Any]) -> Signature[R]:
        return Signature(copy.deepcopy(dict(self), memo), app=self._app)

    def __copy__(self) -> Signature[R]:
        return Signature(dict(self), app=self._app)

    def __reduce__(self) -> tuple[Any, ...]:
        return (signature, (dict(self),))

    def __repr__(self) -> str:
        parts = [repr(arg) for arg in self.args]
        parts += [f"{name}={value!r}" for name, value in self.kwargs.items()]
        return f"{self.task}({', '.join(parts)})"


@overload
def signature(
    task: Task[..., R],
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    app: Windlass | None = None,
    immutable: bool = False,
    options: Mapping[str, Any] | None = None,
    **more_options: Any,
) -> Signature[R]: ...
@overload
def signature(
    task: Mapping[str, Any] | str,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    app: Windlass | None = None,
    immutable: bool = False,
    options: Mapping[str, Any] | None = None,
    **more_options: Any,
) -> Signature[Any]: ...
def signature(
    task: Task[..., Any] | Mapping[str, Any] | str,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    app: Windlass | None = None,
    immutable: bool = False,
    options: Mapping[str, Any] | None = None,
    **more_options: Any,
) -> Signature[Any]:
    """Make a signature of a task, a task's name, or a signature's dict.

    A signature is returned as it is, given no more arguments.
    """
    if isinstance(task, Signature) and not (args or kwargs or options or more_options):
        return task
    if isinstance(task, Mapping):
        made: Signature[Any] = Signature(task, app=app)
        extra = {**(options or {}), **more_options}
        return made.clone(args or (), kwargs, **extra) if args or kwargs or extra else made
    return Signature(
        task, args, kwargs, {**(options or {}), **more_options}, immutable=immutable, app=app
    )


subtask = signature


def maybe_signature(
    value: Mapping[str, Any] | None, app: Windlass | None = None
) -> Signature[Any] | None:
    """Return a dict as a signature, a signature as it is, and None as None."""
    return None if value is None else signature(value, app=app)


def _blank() -> dict[str, Any]:
    return {
        "task": "",
        "args": (),
        "kwargs": {},
        "options": {},
        "subtask_type": None,
        "immutable": False,
    }


def _listed(linked: Any) -> list[Any]:  # one signature, several, or None
    if not linked:
        return []
    return [linked] if isinstance(linked, Mapping) else list(linked)
