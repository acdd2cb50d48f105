"""map, starmap and chunks: one task over many items, in one message or in a few.

Next in the walk: `windlass.canvas.builtins`, the tasks that run them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from windlass.canvas import dispatch
from windlass.canvas.groups import group
from windlass.canvas.names import CHUNKS, MAP, STARMAP
from windlass.signatures import Signature, as_signature

if TYPE_CHECKING:
    from windlass.app import Windlass
    from windlass.results.group_result import GroupResult
    from windlass.results.handle import AsyncResult

T = TypeVar("T")
#: Longest text of the items that a repr shows, in characters.
_SHOWN = 100


class _OverItems(Signature[list[T]]):
    """What map and starmap share: one message, whose task calls another for each item."""

    task_name = ""

    def __init__(
        self,
        task: Signature[T],
        it: Iterable[Any],
        app: Windlass | None = None,
        **options: Any,
    ) -> None:
        inner = as_signature(task, app, "(the task of a map)")
        fields = {"task": inner, "it": list(it)}
        own_app = app if app is not None else inner._app
        super().__init__(self.task_name, (), fields, options, immutable=True, app=own_app)

    @classmethod
    def _restored(cls, fields: dict[str, Any], app: Windlass | None) -> Signature[Any]:
        inner = fields["kwargs"]
        fields["kwargs"] = {**inner, "task": as_signature(inner["task"], app)}
        return super()._restored(fields, app)

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> AsyncResult[list[T]]:
        """Send it to the queue of the task that it calls."""
        if self.app.conf.current.task_always_eager:
            return super().apply_async(args, kwargs, **options)
        sent: AsyncResult[list[T]] = dispatch.send(self, (), {}, options)
        return sent

    async def aapply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> AsyncResult[list[T]]:
        """As `apply_async`, without blocking the event loop."""
        if self.app.conf.current.task_always_eager:
            return await super().aapply_async(args, kwargs, **options)
        sent: AsyncResult[list[T]] = await dispatch.asend(self, (), {}, options)
        return sent


class xmap(_OverItems[T], kind=MAP):  # noqa: N801 - Celery's name
    """One message that calls `task(item)` for each item, one after another.

    Args:
        task: Signature of the task; its own arguments are not used.
        it: The items; they are sent, so a generator is read now.
        app: Whose tasks and broker.
        **options: Of the message; it goes where the task itself would go.
    """

    task_name = MAP

    def __repr__(self) -> str:
        return f"[{self.kwargs['task'].task}(x) for x in {_short(self.kwargs['it'])}]"


class xstarmap(_OverItems[T], kind=STARMAP):  # noqa: N801 - Celery's name
    """One message that calls `task(*item)` for each item; as `xmap` otherwise."""

    task_name = STARMAP

    def __repr__(self) -> str:
        return f"[{self.kwargs['task'].task}(*x) for x in {_short(self.kwargs['it'])}]"


class chunks(Signature[list[list[T]]], kind=CHUNKS):  # noqa: N801 - Celery's name
    """Items in lists of `n`, a starmap message for each list.

    Args:
        task: Signature of the task; its own arguments are not used.
        it: The items: tuples or lists of arguments.
        n: Items in a message.
        app: Whose tasks and broker.
        **options: Of each message.

    Raises:
        ValueError: n is less than one.
    """

    def __init__(
        self,
        task: Signature[T],
        it: Iterable[Any],
        n: int,
        app: Windlass | None = None,
        **options: Any,
    ) -> None:
        if n < 1:
            text = f"chunks of {n} items cannot be made. Expected n of at least 1."
            raise ValueError(text)
        inner = as_signature(task, app, "(the task of chunks)")
        fields = {"task": inner, "it": it if isinstance(it, list) else list(it), "n": n}
        own_app = app if app is not None else inner._app
        super().__init__(CHUNKS, (), fields, options, immutable=True, app=own_app)

    @classmethod
    def _restored(cls, fields: dict[str, Any], app: Windlass | None) -> Signature[Any]:
        inner = fields["kwargs"]
        fields["kwargs"] = {**inner, "task": as_signature(inner["task"], app)}
        return super()._restored(fields, app)

    @classmethod
    def apply_chunks(
        cls, task: Signature[T], it: Iterable[Any], n: int, app: Windlass | None = None
    ) -> GroupResult[list[T]]:
        """Make the chunks and send them."""
        return cls(task, it, n, app=app)()

    def group(self) -> group[list[T]]:
        """Return the group that is sent: a starmap for each list of items."""
        inner, n = self.kwargs["task"], self.kwargs["n"]
        parts = (xstarmap(inner, part, app=self._app) for part in _parts(self.kwargs["it"], n))
        made: group[list[T]] = group(parts, app=self._app)
        return made

    def __call__(self, **options: Any) -> GroupResult[list[T]]:
        """Send them; keyword arguments are options, as in Celery."""
        return self.apply_async((), None, **options)

    def apply_async(  # type: ignore[override]  # a group's result, which is no AsyncResult
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> GroupResult[list[T]]:
        """Send them."""
        return self.group().apply_async(args, kwargs, **{**self.options, **options})

    async def aapply_async(  # type: ignore[override]  # as apply_async
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> GroupResult[list[T]]:
        """As `apply_async`, without blocking the event loop."""
        return await self.group().aapply_async(args, kwargs, **{**self.options, **options})

    def apply(  # type: ignore[override]  # as apply_async
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> GroupResult[list[T]]:
        """Run them here and now."""
        done: GroupResult[list[T]] = self.group().apply(args, kwargs, **options)
        return done


def _parts(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    source = iter(items)
    while part := list(itertools.islice(source, size)):
        yield part


def _short(items: object) -> str:
    text = repr(items)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
