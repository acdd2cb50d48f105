"""The result handles of a canvas: each with its parent, as AsyncResult and GroupResult."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windlass.canvas.unfold import Fork, Items
from windlass.results.group_result import GroupResult
from windlass.results.handle import AsyncResult

if TYPE_CHECKING:
    from windlass.app import Windlass


def result_of(items: Items, app: Windlass, parent: Any = None) -> Any:
    """Return the handle of the last item; by way of `parent` all before it can be reached.

    Args:
        items: A canvas, unfolded; None is returned for one without tasks.
        app: Whose results.
        parent: The result before it.
    """
    result = parent
    for item in items:
        result = _result(item, app, result)
    return result


def _result(item: Any, app: Windlass, parent: Any) -> Any:
    if isinstance(item, Fork):
        members = [result_of(member, app) for member in item.members]
        return GroupResult(item.id, members, parent=parent, app=app)
    handle: AsyncResult[Any] = AsyncResult(item.id, app=app, parent=parent)
    handle._is_told = True
    handle.ignored = ignores_result(item.sig, app)
    return handle


def ignores_result(sig: Any, app: Windlass) -> bool:
    """Whether nothing is stored of a task's value, so that a handle has nothing to wait for."""
    ignored = sig.options.get("ignore_result")
    task = app.tasks.get(sig.task)
    if ignored is None and task is not None:
        ignored = task.ignore_result
    return app.conf.current.task_ignore_result if ignored is None else bool(ignored)
