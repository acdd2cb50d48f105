"""chord: a group (the header), and a task (the body) that gets the list of its values.

Next in the walk: `windlass.canvas.pipes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from windlass.canvas.chains import chain
from windlass.canvas.composite import Composite
from windlass.canvas.groups import Tasks, cloned_tasks, flat, group, group_tasks
from windlass.signatures import Signature, as_signature, maybe_signature

if TYPE_CHECKING:
    from windlass.app import Windlass
    from windlass.results.handle import AsyncResult

R = TypeVar("R")
_RESERVED = ("kwargs", "header", "body")


class chord(Composite[R], kind="chord"):  # noqa: N801 - Celery's name
    """A group, and what is done with its values.

    `chord([a.s(1), b.s(2)], c.s())` is c([a(1), b(2)]), as is `group(a.s(1), b.s(2)) | c.s()`.

    Args:
        header: Signatures, a group, or one signature.
        body: Gets the list of the header's values, in the header's order; may be given later,
            as in `chord(header)(body)`.
        task: For the wire.
        args: Go before the arguments of each header task.
        kwargs: For the wire.
        app: Whose tasks and broker.
        **options: Of the header and of the body; task_id is the body's id.

    Raises:
        TypeError: Something is no signature.
    """

    @overload
    def __init__(
        self,
        header: Signature[Any] | Iterable[Signature[Any]],
        body: Signature[R],
        task: str = ...,
        args: Iterable[Any] = ...,
        kwargs: Mapping[str, Any] | None = ...,
        app: Windlass | None = ...,
        **options: Any,
    ) -> None: ...
    @overload
    def __init__(
        self: chord[Any],
        header: Signature[Any] | Iterable[Signature[Any]],
        body: Mapping[str, Any] | None = ...,
        task: str = ...,
        args: Iterable[Any] = ...,
        kwargs: Mapping[str, Any] | None = ...,
        app: Windlass | None = ...,
        **options: Any,
    ) -> None: ...
    def __init__(
        self,
        header: Any,
        body: Any = None,
        task: str = "celery.chord",
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        app: Windlass | None = None,
        **options: Any,
    ) -> None:
        fields = {
            **(kwargs or {"kwargs": {}}),
            "header": _header(header, app),
            "body": maybe_signature(body, app),
        }
        Signature.__init__(self, task, tuple(args), fields, options, app=app, subtask_type="chord")

    @classmethod
    def _restored(cls, fields: dict[str, Any], app: Windlass | None) -> Signature[Any]:
        inner = fields["kwargs"]
        fields["kwargs"] = {
            **inner,
            "kwargs": dict(inner.get("kwargs") or {}),
            "header": _header(inner.get("header") or [], app, keep_group=True),
            "body": maybe_signature(inner.get("body"), app),
        }
        return super()._restored(fields, app)

    def _cloned_kwargs(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        header = kwargs["header"]
        copied = header.clone() if isinstance(header, group) else cloned_tasks(header)
        return {**kwargs, "header": copied, "body": maybe_signature(kwargs["body"], clone=True)}

    @property
    def tasks(self) -> Tasks | group[Any]:
        """The header: its tasks, or the group of them once it was frozen."""
        header: Tasks | group[Any] = self.kwargs["header"]
        return header

    @tasks.setter
    def tasks(self, tasks: Tasks | group[Any]) -> None:
        self.kwargs["header"] = tasks

    @property
    def body(self) -> Signature[R] | None:
        """What gets the values."""
        body: Signature[R] | None = self.kwargs["body"]
        return body

    @body.setter
    def body(self, body: Signature[R] | None) -> None:
        self.kwargs["body"] = body

    def header_tasks(self) -> Tasks:
        """Return the tasks of the header."""
        header = self.tasks
        return header.tasks if isinstance(header, group) else header

    @property
    def app(self) -> Windlass:
        """Whose tasks and broker it uses: its own app, else the header's, else the body's."""
        if self._app is not None:
            return self._app
        header = self.header_tasks()
        if header:
            return header[0].app
        return self.body.app if self.body is not None else super().app

    def partial_kwargs(self) -> dict[str, Any]:
        """Return the keyword arguments that each task of the header is to get."""
        own = {name: value for name, value in self.kwargs.items() if name not in _RESERVED}
        return {**self.kwargs["kwargs"], **own}

    def __call__(self, body: Signature[Any] | None = None, **options: Any) -> AsyncResult[Any]:
        """Send it, with this body if it has none: `chord(header)(body)`."""
        sent: AsyncResult[Any] = self.apply_async(
            (), {} if body is None else {"body": body}, **options
        )
        return sent

    def link(self, callback: Mapping[str, Any]) -> Any:
        """Link a callback to the body; returns the callback."""
        self.known_body().link(callback)
        return callback

    def link_error(self, errback: Mapping[str, Any]) -> Any:
        """Link an errback to the body, which fails when a task of the header does.

        With task_allow_error_cb_on_chord_header also to each task of the header. Chords in the
        header link it themselves, in any case.

        Returns:
            The errback.
        """
        original = as_signature(errback)
        on_header = self.app.conf.current.task_allow_error_cb_on_chord_header
        for task in flat(self.header_tasks()):
            if on_header:
                task.link_error(original.clone().set(immutable=True))
            elif isinstance(task, chord):
                task.link_error(original)
        self.known_body().link_error(original)
        return errback

    def set_immutable(self, immutable: bool) -> None:
        """Make the tasks of the header take, or not take, arguments at call time."""
        for task in self.header_tasks():
            task.set_immutable(immutable)

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> Any:
        """Give all its tasks an id now, and return the handle of the body's result to be."""
        header = self.tasks = self.header_group()
        header.freeze(root_id=root_id, parent_id=parent_id)
        self.known_body().freeze(
            _id or self.options.get("task_id"), group_id, root_id=root_id, group_index=group_index
        )
        return self.frozen_result()

    def __length_hint__(self) -> int:
        return sum(1 for _ in flat(self.header_tasks()))

    def __repr__(self) -> str:
        body, header = self.body, self.tasks
        if body is None:
            return f"<chord without body: {header!r}>"
        if isinstance(body, chain) and body.tasks:
            rest = "".join(f" | {task!r}" for task in body.tasks[1:])
            return f"%({body.tasks[0].reprcall(header)}{rest})"
        return f"%{body.reprcall(header)}"

    def header_group(self) -> group[Any]:
        """Return the header as a group."""
        header = self.tasks
        return header if isinstance(header, group) else group(header, app=self._app)

    def known_body(self) -> Signature[R]:
        """Return the body.

        Raises:
            TypeError: It has none.
        """
        if self.body is None:
            raise without_body()
        return self.body


def without_body() -> TypeError:
    """Say that a chord has no body, and how it gets one."""
    return TypeError(
        "This chord has no body, so nothing would be done with the values of its header. Expected "
        "chord(header, body) or chord(header)(body); a group alone sends tasks side by side."
    )


def _header(header: Any, app: Windlass | None, *, keep_group: bool = False) -> Any:
    if isinstance(header, Mapping):
        header = as_signature(header, app)
    if isinstance(header, group):
        return header if keep_group else header.tasks
    return [header] if isinstance(header, Signature) else group_tasks(header, app)
