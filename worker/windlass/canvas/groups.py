"""group: tasks beside one another, whose value is the list of theirs, in order.

Next in the walk: `windlass.canvas.chords`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from windlass import sending
from windlass.canvas.composite import Composite
from windlass.canvas.lazy import LazyTasks
from windlass.signature_data import no_signature
from windlass.signatures import Signature, as_signature

if TYPE_CHECKING:
    from windlass.app import Windlass
    from windlass.canvas.chords import chord
    from windlass.results.group_result import GroupResult

T = TypeVar("T")
U = TypeVar("U")

Tasks = list[Signature[Any]] | tuple[Signature[Any], ...] | LazyTasks


class group(Composite[list[T]], kind="group"):  # noqa: N801 - Celery's name
    """Tasks beside one another: `group(a.s(1), b.s(2))` is [a(1), b(2)].

    Groups that are members directly are part of it: the list stays flat.

    Args:
        *tasks: Signatures, or one iterable of them; a generator is read when the group is sent.
        app: Whose tasks and broker.
        **options: Of each member; task_id is the group's id.

    Raises:
        TypeError: One of them is no signature.
    """

    @overload
    def __init__(
        self, tasks: Iterable[Signature[T]], *, app: Windlass | None = None, **options: Any
    ) -> None: ...
    @overload
    def __init__(
        self, *tasks: Signature[T], app: Windlass | None = None, **options: Any
    ) -> None: ...
    def __init__(self, *tasks: Any, app: Windlass | None = None, **options: Any) -> None:
        members = group_tasks(tasks[0] if len(tasks) == 1 else tasks, app)
        Signature.__init__(
            self, "celery.group", (), {"tasks": members}, options, app=app, subtask_type="group"
        )

    @classmethod
    def _restored(cls, fields: dict[str, Any], app: Windlass | None) -> Signature[Any]:
        members = group_tasks(fields["kwargs"].get("tasks", ()), app)
        fields["kwargs"] = {**fields["kwargs"], "tasks": members}
        return super()._restored(fields, app)

    def _cloned_kwargs(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        return {**kwargs, "tasks": cloned_tasks(kwargs["tasks"])}

    @property
    def tasks(self) -> Tasks:
        """The members: a list, a tuple, or what a generator has still to give."""
        tasks: Tasks = self.kwargs["tasks"]
        return tasks

    @tasks.setter
    def tasks(self, tasks: Tasks) -> None:
        self.kwargs["tasks"] = tasks

    @property
    def app(self) -> Windlass:
        """Whose tasks and broker it uses: its own app, else that of its first member."""
        own = self._app
        return own if own is not None else (self.tasks[0].app if self.tasks else super().app)

    def partial_kwargs(self) -> dict[str, Any]:
        """Return the keyword arguments that each member is to get."""
        return {name: value for name, value in self.kwargs.items() if name != "tasks"}

    def __call__(self, *args: Any, **options: Any) -> GroupResult[T]:
        """Send it; keyword arguments are options, as in Celery."""
        return self.apply_async(args, None, **options)

    # A group's result is no AsyncResult, hence what is ignored below.

    def delay(self, *args: Any, **kwargs: Any) -> GroupResult[T]:  # type: ignore[override]
        """Send it; the arguments go before those of each member."""
        return self.apply_async(args, kwargs)

    async def adelay(  # type: ignore[override]
        self, *args: Any, **kwargs: Any
    ) -> GroupResult[T]:
        """As `delay`, without blocking the event loop."""
        return await self.aapply_async(args, kwargs)

    def apply_async(  # type: ignore[override]
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> GroupResult[T]:
        """Send all members in bulk.

        Raises:
            TypeError: link or link_error is among the options: a group has no end of its own.
        """
        _refuse_links(options)
        return cast("GroupResult[T]", super().apply_async(args, kwargs, **options))

    async def aapply_async(  # type: ignore[override]
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> GroupResult[T]:
        """As `apply_async`, without blocking the event loop."""
        _refuse_links(options)
        return cast("GroupResult[T]", await super().aapply_async(args, kwargs, **options))

    def skew(self, start: float = 1.0, stop: float | None = None, step: float = 1.0) -> group[T]:
        """Set countdowns that grow by `step` from `start`, up to `stop`; returns the group."""
        for index, task in enumerate(self.tasks):
            countdown = start + step * index
            task.set(countdown=countdown if stop is None else min(countdown, stop))
        return self

    def set_immutable(self, immutable: bool) -> None:
        """Make its members take, or not take, arguments at call time."""
        for task in self.tasks:
            task.set_immutable(immutable)

    def link(self, callback: Mapping[str, Any]) -> Any:
        """Link a copy of the callback, immutable, to the first member; returns the copy.

        It is sent when that one ends well, whatever becomes of the others: use a chord to do
        something with all of them.
        """
        once = as_signature(callback).clone().set(immutable=True)
        return self.tasks[0].link(once) if self.tasks else once

    def link_error(self, errback: Mapping[str, Any]) -> Any:
        """Link a copy of the errback to each member: it may be called as often. Returns them."""
        original = as_signature(errback)
        return tuple(task.link_error(original.clone()) for task in self.tasks)

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> GroupResult[T]:
        """Give the group and each member an id now, and return the handle of the results to be."""
        own = self.options.get("task_id") or _id or sending.new_id()
        self.options["task_id"] = own
        for index, task in enumerate(flat(self.tasks)):
            task.freeze(group_id=own, root_id=root_id, parent_id=parent_id, group_index=index)
        return cast("GroupResult[T]", self.frozen_result())

    # A group joined with anything is a chord.
    def __or__(self, other: Signature[U]) -> chord[U]:  # type: ignore[override]
        return cast("chord[U]", super().__or__(other))

    def __len__(self) -> int:
        return len(self.tasks)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"group({self.tasks!r})" if self.tasks else "group(<empty>)"


def group_tasks(tasks: Any, app: Windlass | None) -> Tasks:
    """Return what a group was given as its members.

    Raises:
        TypeError: One of them is no signature.
    """
    if isinstance(tasks, group):
        return tasks.tasks
    if isinstance(tasks, Mapping):
        return [as_signature(tasks, app).clone()]
    if isinstance(tasks, LazyTasks):
        return tasks
    if isinstance(tasks, str) or not isinstance(tasks, Iterable):
        raise no_signature(tasks, "(task 0 of a group)")
    if not isinstance(tasks, list | tuple):
        return LazyTasks(tasks, "a group")
    members = (as_signature(t, app, f"(task {i} of a group)") for i, t in enumerate(tasks))
    return tuple(members) if isinstance(tasks, tuple) else list(members)


def cloned_tasks(tasks: Tasks) -> Tasks:
    """Copy the tasks, of a generator each when it is needed."""
    if isinstance(tasks, LazyTasks):
        return tasks.mapped(Signature.clone)
    return type(tasks)(task.clone() for task in tasks)


def flat(tasks: Iterable[Signature[Any]]) -> Iterator[Signature[Any]]:
    """Yield members, those of groups among them in their place."""
    for task in tasks:
        if isinstance(task, group):
            yield from flat(task.tasks)
        else:
            yield task


def _refuse_links(options: Mapping[str, Any]) -> None:
    if options.get("link") is not None:
        text = "A group takes no link: it has no value of its own. Use a chord: group(...) | task."
        raise TypeError(text)
    if options.get("link_error") is not None:
        text = "A group takes no link_error here: link_error(errback) links it to each member."
        raise TypeError(text)
