"""Tasks that every app has: what map, starmap and joins of lists are sent as.

Each app makes its own when one is first needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from windlass.canvas.names import GATHER, MAP, STARMAP, START
from windlass.signatures import as_signature
from windlass.task import Task, build_task

if TYPE_CHECKING:
    from windlass.app import Windlass


def builtin_task(app: Windlass, name: str) -> Task[..., Any] | None:
    """Return the task of a name, made for this app; None where there is none of this name."""

    def run_map(task: Mapping[str, Any], it: Iterable[Any]) -> list[Any]:
        return _each(as_signature(task, app).type, [(item,) for item in it])

    def run_starmap(task: Mapping[str, Any], it: Iterable[Iterable[Any]]) -> list[Any]:
        return _each(as_signature(task, app).type, [tuple(item) for item in it])

    def gather(values: list[Any]) -> list[Any]:
        return values

    def start(workflow: Mapping[str, Any]) -> str:
        return as_signature(workflow, app).apply_async().id

    named: dict[str, Callable[..., Any]] = {
        MAP: run_map, STARMAP: run_starmap, GATHER: gather, START: start
    }  # fmt: skip
    fun = named.get(name)
    return None if fun is None else build_task(app, fun, options={"name": name})


def _each(task: Task[..., Any], calls: list[tuple[Any, ...]]) -> list[Any]:
    if not task.is_async:
        return [task(*args) for args in calls]

    async def one_after_another() -> list[Any]:
        return [await task(*args) for args in calls]

    import asyncio  # noqa: PLC0415 - 5 MB that a worker of plain tasks has no use for

    return asyncio.run(one_after_another())
