"""chain: tasks one after another, each with the value of the one before.

Next in the walk: `windlass.canvas.pipes`, which says what a chain of groups and chords becomes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from windlass.canvas.composite import Composite
from windlass.signature_data import listed, no_signature
from windlass.signatures import Signature, as_signature

if TYPE_CHECKING:
    from typing import Self

    from windlass.app import Windlass

R = TypeVar("R")
_Any = Signature[Any]

#: Options of a chain that are not its first task's.
_OF_THE_WHOLE = frozenset({"link", "link_error", "task_id", "group_id", "group_index"})


class chain(Composite[R], kind="chain"):  # noqa: N801 - Celery's name
    """Tasks one after another: `chain(a.s(1), b.s())` is b(a(1)), as is `a.s(1) | b.s()`.

    Args:
        *tasks: Signatures, or one iterable of them. Given so, they are joined as by `|`: a group
            and what follows it become a chord.
        app: Whose tasks and broker.
        **options: Of the first task, see `Composite.apply_async`; with options the tasks are
            taken as they are.

    Raises:
        TypeError: One of them is no signature.
    """

    def __new__(cls, *tasks: Any, app: Windlass | None = None, **options: Any) -> Self:
        """Join the tasks; what that makes may be a chord, which has the same methods."""
        is_alone = len(tasks) == 1 and isinstance(tasks[0], Signature)
        if len(tasks) == 1 and not is_alone:
            tasks = tuple(_iterated(tasks[0]))
        members = [
            as_signature(task, app, f"(task {index} of a chain)")
            for index, task in enumerate(tasks)
        ]
        if is_alone or options:
            return cls.of(members, app, options)  # type: ignore[return-value]  # of this class
        # pipes knows all kinds, this one too
        from windlass.canvas.pipes import folded  # noqa: PLC0415

        joined: Self = folded(members, app)
        return joined

    @overload
    def __init__(self: chain[R], a: Signature[R], /) -> None: ...
    @overload
    def __init__(self: chain[R], a: _Any, b: Signature[R], /) -> None: ...
    @overload
    def __init__(self: chain[R], a: _Any, b: _Any, c: Signature[R], /) -> None: ...
    @overload
    def __init__(self: chain[R], a: _Any, b: _Any, c: _Any, d: Signature[R], /) -> None: ...
    @overload
    def __init__(
        self: chain[R], a: _Any, b: _Any, c: _Any, d: _Any, e: Signature[R], /
    ) -> None: ...
    @overload
    def __init__(
        self: chain[Any],
        *tasks: Mapping[str, Any] | Iterable[Mapping[str, Any]],
        app: Windlass | None = None,
        **options: Any,
    ) -> None: ...
    def __init__(self, *tasks: Any, **options: Any) -> None:
        pass  # __new__ has made it

    @classmethod
    def of(
        cls,
        tasks: Iterable[Signature[Any]],
        app: Windlass | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> chain[Any]:
        """Make a chain of these tasks, as they are."""
        made = cls._made(
            {
                "task": "celery.chain",
                "args": (),
                "kwargs": {"tasks": list(tasks)},
                "options": {},
                "subtask_type": "chain",
                "immutable": False,
            },
            app,
        )
        return made.set(**options) if options else made

    @classmethod
    def _restored(cls, fields: dict[str, Any], app: Windlass | None) -> Signature[Any]:
        tasks = fields["kwargs"].get("tasks", ())
        members = [as_signature(t, app, f"(task {i} of a chain)") for i, t in enumerate(tasks)]
        fields["kwargs"] = {**fields["kwargs"], "tasks": members}
        return super()._restored(fields, app)

    def _cloned_kwargs(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        return {**kwargs, "tasks": [task.clone() for task in kwargs["tasks"]]}

    @property
    def tasks(self) -> list[Signature[Any]]:
        """The tasks, in order."""
        tasks: list[Signature[Any]] = self.kwargs["tasks"]
        return tasks

    @tasks.setter
    def tasks(self, tasks: Iterable[Signature[Any]]) -> None:
        self.kwargs["tasks"] = list(tasks)

    @property
    def app(self) -> Windlass:
        """Whose tasks and broker it uses: its own app, else that of its first task."""
        own = self._app
        return own if own is not None else (self.tasks[0].app if self.tasks else super().app)

    def partial_kwargs(self) -> dict[str, Any]:
        """Return the keyword arguments that its first task is to get."""
        return {name: value for name, value in self.kwargs.items() if name != "tasks"}

    def first_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return its options that are the first task's."""
        return {key: value for key, value in options.items() if key not in _OF_THE_WHOLE}

    def unchain_tasks(self) -> list[Signature[Any]]:
        """Return copies of the tasks: its links are the last one's, its errbacks each one's."""
        tasks = [task.clone() for task in self.tasks]
        if tasks:
            for callback in listed(self.options.get("link")):
                tasks[-1].link(callback)
        for errback in listed(self.options.get("link_error")):
            for task in tasks:
                task.link_error(as_signature(errback).clone())
        return tasks

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> Any:
        """Give each task an id now, and return the handle of the last one's result to be."""
        for task in self.tasks[:-1]:
            task.freeze(root_id=root_id)
        if self.tasks:
            last_id = _id or self.options.get("task_id")
            self.tasks[-1].freeze(
                last_id, group_id, root_id=root_id, parent_id=parent_id, group_index=group_index
            )
        return self.frozen_result()

    def __repr__(self) -> str:
        if not self.tasks:
            return f"<chain@{id(self):#x}: empty>"
        return " | ".join(map(repr, self.tasks))


def _iterated(tasks: Any) -> Iterator[Any]:
    if isinstance(tasks, str | Mapping):
        raise no_signature(tasks, "(task 0 of a chain)")
    return iter(tasks)
