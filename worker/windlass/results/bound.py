"""`app.ResultSet` and `app.GroupResult`: the classes, with an app as the default for theirs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from windlass.results import group_result, result_set

if TYPE_CHECKING:
    from windlass.app import Windlass
    from windlass.results.base import ResultBackend
    from windlass.results.handle import AsyncResult


def result_set_of(app: Windlass) -> type[result_set.ResultSet[Any]]:
    """Return ResultSet, whose sets belong to this app unless another is named."""
    its_app = app

    class ResultSet(result_set.ResultSet[Any]):
        def __init__(
            self,
            results: Iterable[AsyncResult[Any]] = (),
            app: Windlass | None = None,
            **ignored: Any,
        ) -> None:
            super().__init__(results, app or its_app, **ignored)

    return ResultSet


def group_result_of(app: Windlass) -> type[group_result.GroupResult[Any]]:
    """Return GroupResult, whose groups belong to this app, `restore`d ones too."""
    its_app = app

    class GroupResult(group_result.GroupResult[Any]):
        def __init__(
            self,
            id: str | None = None,
            results: Iterable[Any] = (),
            parent: Any = None,
            app: Windlass | None = None,
            **ignored: Any,
        ) -> None:
            super().__init__(id, results, parent, app or its_app, **ignored)

        @classmethod
        def restore(
            cls, id: str, backend: ResultBackend | None = None, app: Windlass | None = None
        ) -> group_result.GroupResult[Any] | None:
            return super().restore(id, backend, app or its_app)

        def __reduce__(self) -> tuple[Any, ...]:
            return group_result.GroupResult, (self.id, self.results, self.parent)

    return GroupResult
