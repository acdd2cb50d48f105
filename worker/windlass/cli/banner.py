"""What a worker says first: its settings, and where each of them came from.

On a terminal a table; in a pod the same facts as one record, so that logs stay JSON. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from windlass._version import __version__
from windlass.app import Windlass
from windlass.log import scrub

_TASKS_SHOWN = 30


@dataclass(frozen=True, slots=True)
class Line:
    """One fact: what, its value, and where that came from."""

    name: str
    value: str
    origin: str = ""


def facts(app: Windlass, *, app_name: str, queues: Line, concurrency: int) -> list[Line]:
    """Collect what the banner says.

    Args:
        app: The app, with the flags laid over its settings.
        app_name: What -A said.
        queues: The queues that are consumed, and why these.
        concurrency: Slots, where the settings leave it to the machine.
    """
    conf = app.conf
    settings = conf.current
    origin = conf.origin
    lines = [
        Line("app", app_name),
        Line("broker", scrub(str(settings.broker_url)), origin("broker_url")),
        Line("results", scrub(settings.result_backend or "off"), origin("result_backend")),
        Line("keyspace", settings.keyspace, origin("keyspace")),
        queues,
        Line("pool", settings.worker_pool, origin("worker_pool")),
        Line("concurrency", str(concurrency), origin("worker_concurrency")),
    ]
    optional = (
        ("time limit", settings.task_time_limit, "s", "task_time_limit"),
        ("soft limit", settings.task_soft_time_limit, "s", "task_soft_time_limit"),
        ("tasks a child", settings.worker_max_tasks_per_child, "", "worker_max_tasks_per_child"),
        (
            "memory a child",
            settings.worker_max_memory_per_child,
            " KiB",
            "worker_max_memory_per_child",
        ),
        ("lease", settings.worker_lease_s, "s", "worker_lease_s"),
        ("drain", settings.worker_drain_timeout, "s", "worker_drain_timeout"),
    )
    lines += [
        Line(name, f"{value:g}{unit}", origin(setting))
        for name, value, unit, setting in optional
        if value is not None
    ]
    return lines


def render(hostname: str, lines: Sequence[Line], tasks: Sequence[str]) -> str:
    """Lay it out for a terminal."""
    names = max(len(line.name) for line in lines)
    values = min(48, max(len(line.value) for line in lines))
    parts = [f"windlass {__version__}  {hostname}", ""]
    for line in lines:
        origin = f"  [{line.origin}]" if line.origin else ""
        parts.append(f"  {line.name:<{names}}  {line.value:<{values}}{origin}".rstrip())
    parts += ["", f"  {len(tasks)} task{'s' if len(tasks) != 1 else ''}"]
    parts += [f"    {name}" for name in tasks[:_TASKS_SHOWN]]
    if len(tasks) > _TASKS_SHOWN:
        parts.append(f"    and {len(tasks) - _TASKS_SHOWN} more")
    return "\n".join([*parts, ""])


def as_record(lines: Sequence[Line]) -> dict[str, str]:
    """Return the same as key-values; the origin in parentheses where it is not the default."""
    return {
        line.name.replace(" ", "_"): (
            f"{line.value} ({line.origin})"
            if line.origin and line.origin != "default"
            else line.value
        )
        for line in lines
    }
