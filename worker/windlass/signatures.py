"""Signatures: a task with (some of) its arguments and options, as data that can be sent.

A `Signature` is a dict with Celery's keys, so it survives JSON; `signature()` makes one of a task
or of such a dict. Arguments that come at call time (a parent's result, say) go before its own,
unless it is immutable. The kinds that are made of others (chain, group, chord) are in
`windlass.canvas`. Public under `windlass.canvas` and `windlass`.
Next in the walk: `windlass.calling`, or for a canvas `windlass.canvas.pipes`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn, TypeVar, overload

from windlass import sending
from windlass.call_options import check_known
from windlass.results.handle import AsyncResult
from windlass.signature_data import SignatureData, listed, no_signature

if TYPE_CHECKING:
    from windlass.app import Windlass
    from windlass.canvas.chains import chain
    from windlass.canvas.stamping import StampingVisitor
    from windlass.result import EagerResult
    from windlass.task import Task

R = TypeVar("R")
T = TypeVar("T")


class Signature(SignatureData, Generic[R]):
    """A call that has not been made.

    Args:
        task: A task, a task's name, or a signature as a dict.
        args: Positional arguments.
        kwargs: Keyword arguments.
        options: Options of the call, see `windlass.call_options.CallOptions`.
        immutable: Take no more arguments at call time.
        app: Whose tasks and broker; the current app if left out.
        subtask_type: The kind, for the wire; None for a plain signature.
        **more_options: As `options`.

    >>> add.s(2).apply_async((1,))  # calls add(1, 2)  # doctest: +SKIP
    """

    #: Classes of the kinds, by `subtask_type`; those without one by the name of their task.
    TYPES: ClassVar[dict[str, type[Signature[Any]]]] = {}

    def __init_subclass__(cls, kind: str | None = None) -> None:
        super().__init_subclass__()
        if kind is not None:
            Signature.TYPES[kind] = cls

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
        **more_options: Any,
    ) -> None:
        self._app = app
        if isinstance(task, Mapping):
            super().__init__({**_blank(), **task})
            return
        given = {**(options or {}), **more_options}
        if given:
            check_known(given)
        super().__init__(
            task=task if isinstance(task, str) else task.name,
            args=tuple(args or ()),
            kwargs=dict(kwargs or {}),
            options=given,
            subtask_type=subtask_type,
            immutable=immutable,
        )

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], app: Windlass | None = None) -> Signature[Any]:
        """Make a signature of a dict, as it comes out of JSON; of the kind that it names.

        Raises:
            TypeError: It is not a signature's dict.
        """
        if not isinstance(d, Mapping) or "task" not in d:
            raise no_signature(d)
        kind = cls.TYPES.get(d.get("subtask_type") or d["task"], Signature)
        return kind._restored({**_blank(), **d}, app)

    @classmethod
    def _restored(cls, fields: dict[str, Any], app: Windlass | None) -> Signature[Any]:
        """Make one of complete fields; the kinds restore the signatures inside."""
        fields["options"] = dict(fields["options"])
        return cls._made(fields, app)

    @property
    def type(self) -> Task[..., R]:
        """The task itself.

        Raises:
            NotRegistered: The app does not know it.
        """
        return self.app.tasks[self.task]

    def flatten_links(self) -> list[Signature[Any]]:
        """Return it and all that is linked to it, the links' links too."""
        links = (as_signature(link, self._app) for link in listed(self.options.get("link")))
        return [self, *(deeper for link in links for deeper in link.flatten_links())]

    def stamp(
        self,
        visitor: StampingVisitor | None = None,
        append_stamps: bool = False,
        **headers: Any,
    ) -> Signature[R]:
        """Stamp it, its links and all inside with headers, see `windlass.canvas.stamping`.

        Args:
            visitor: Says what to stamp each signature with.
            append_stamps: A stamp that is given twice becomes a list of both.
            **headers: Stamps for all of them.

        Returns:
            The signature itself.
        """
        from windlass.canvas.stamping import stamp  # noqa: PLC0415 - it knows all kinds

        stamp(self, visitor, headers, append=append_stamps)
        return self

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,  # who waits for it is decided when it is sent
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> Any:  # AsyncResult[R]; of a group, GroupResult
        """Give it an id now, and return the handle of its result to be.

        Args:
            _id: The id, unless it has one; a random one if left out.
            group_id: The group it is a member of.
            chord: Accepted and without meaning here.
            root_id: First task of its tree.
            parent_id: The task that sends it.
            group_index: Its place in the group.
        """
        options = self.options
        task_id = options.get("task_id") or _id or sending.new_id()
        options["task_id"] = task_id
        for key, value in (("root_id", root_id), ("parent_id", parent_id)):
            if value:
                options[key] = value
        if group_id:
            options.setdefault("group_id", group_id)
            options["group_index"] = group_index
        result: AsyncResult[R] = AsyncResult(task_id, app=self.app)
        return result

    _freeze = freeze

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # R; the result of a canvas
        """Call the task inline, with the signature's arguments."""
        merged_args, merged_kwargs, _ = self.merged(args, kwargs, {})
        return self.type(*merged_args, **merged_kwargs)

    def __invert__(self) -> R:
        """Send it and wait for its value: `~add.s(1, 2)`."""
        return self.apply_async().get()

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
        task = self.app.tasks.find(self.task)
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
        task = self.app.tasks.find(self.task)
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

    # dict's own `|` would merge the keys of two signatures
    def __or__(self, other: Signature[T]) -> chain[T]:  # type: ignore[override]
        from windlass.canvas.pipes import piped  # noqa: PLC0415 - it knows all kinds

        return piped(self, other)  # type: ignore[no-any-return]  # may be a chord: Celery's upgrades

    def __ror__(self, other: Any) -> NoReturn:
        raise no_signature(other, "(before |)")

    def __ior__(self, other: Signature[T]) -> chain[T]:  # type: ignore[override]
        return self | other  # as __or__

    def __deepcopy__(self, memo: dict[int, Any]) -> Signature[R]:
        return self._made(copy.deepcopy(dict(self), memo), self._app)

    def __copy__(self) -> Signature[R]:
        return self._made(dict(self), self._app)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_unpickled, (dict(self),))


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
    """Make a signature of a task, a task's name, or a signature's dict; a signature is copied."""
    extra = {**(options or {}), **more_options}
    if isinstance(task, Mapping):
        return as_signature(task, app).clone(args or (), kwargs, **extra)
    return Signature(task, args, kwargs, extra, immutable=immutable, app=app)


subtask = signature


def maybe_signature(
    d: Mapping[str, Any] | None, app: Windlass | None = None, clone: bool = False
) -> Signature[Any] | None:
    """Return a dict as a signature, a signature as it is (or copied), and None as None."""
    if d is None:
        return None
    found = as_signature(d, app)
    return found.clone() if clone else found


maybe_subtask = maybe_signature


def as_signature(
    value: Mapping[str, Any], app: Windlass | None = None, place: str = ""
) -> Signature[Any]:
    """Return a dict as a signature, and a signature as it is, with the app if it has none.

    Args:
        value: A signature, or one's dict.
        app: For a signature without an app.
        place: Where it was found, for the error.

    Raises:
        TypeError: It is neither.
    """
    if not isinstance(value, Signature):
        if not isinstance(value, Mapping) or "task" not in value:
            raise no_signature(value, place)
        return Signature.from_dict(value, app=app)
    if app is not None and value._app is None:
        value._app = app
    return value


def _unpickled(fields: dict[str, Any]) -> Signature[Any]:
    return Signature.from_dict(fields)


def _blank() -> dict[str, Any]:
    return {
        "task": "",
        "args": (),
        "kwargs": {},
        "options": {},
        "subtask_type": None,
        "immutable": False,
    }
