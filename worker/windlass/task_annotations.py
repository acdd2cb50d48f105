"""The setting `task_annotations`: options of tasks changed from the configuration.

    task_annotations = {"shop.mail": {"rate_limit": "10/m"}, "*": {"time_limit": 60}}

A name may be exact or "*"; what a name says wins over "*", and both win over the decorator. A list
holds several of these, objects with `annotate(task)` that return such a mapping, or dotted paths.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from windlass.errors import ConfigurationError
from windlass.settings.sources import load_object

if TYPE_CHECKING:
    from windlass.settings.model import Settings
    from windlass.task import Task


def annotate(task: Task[..., Any], settings: Settings) -> None:
    """Set what the settings say of a task; does nothing the second time.

    Raises:
        ConfigurationError: An option is unknown or ill-typed, or a part of the setting is no
            annotation.
    """
    given = settings.task_annotations
    if not given or task.__dict__.get("_annotated_by") is given:
        return
    task.__dict__["_annotated_by"] = given
    for part in _parts(given):
        for values in _of(part, task):
            try:
                task.set_options(values)
            except TypeError as error:
                msg = f"task_annotations, task {task.name!r}: {error}"
                raise ConfigurationError(msg) from error


def annotate_all(tasks: Iterable[Task[..., Any]], settings: Settings) -> None:
    """`annotate` each task."""
    if settings.task_annotations:
        for task in tasks:
            annotate(task, settings)


def _parts(given: Any) -> list[Any]:
    parts = given if isinstance(given, list | tuple) else [given]
    return [load_object(part) if isinstance(part, str) else part for part in parts]


def _of(part: Any, task: Task[..., Any]) -> list[Mapping[str, Any]]:
    """Return what one part says of a task, what wins last."""
    if isinstance(part, Mapping):
        found = [part.get("*"), part.get(task.name)]
    else:
        annotator = part() if isinstance(part, type) else part
        if not hasattr(annotator, "annotate"):
            msg = (
                f"task_annotations holds {part!r}. Expected a mapping of task names to options, or "
                "an object with annotate(task) that returns options."
            )
            raise ConfigurationError(msg)
        any_task = getattr(annotator, "annotate_any", lambda: None)
        found = [any_task(), annotator.annotate(task)]
    return [values for values in found if values]
