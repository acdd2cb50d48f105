"""The flags of `windlass worker` that mean something here; the others are in `celery_flags`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from windlass.cli.text import NameList

F = TypeVar("F", bound=Callable[..., Any])  # any command function

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "FATAL")
POOLS = ("prefork", "threads", "asyncio", "solo")
_POOL_NAMES = {"processes": "prefork", "thread": "threads", "aio": "asyncio"}
_GREEN = (
    "a green-thread pool patches the standard library. Expected: -P asyncio for async def tasks, "
    "or -P threads"
)
_REFUSED_POOLS = {
    "eventlet": _GREEN,
    "gevent": _GREEN,
    "custom": f"there are no custom pools. Expected one of: {', '.join(POOLS)}",
}
_SETTINGS = {
    "concurrency": "worker_concurrency",
    "pool": "worker_pool",
    "max_tasks_per_child": "worker_max_tasks_per_child",
    "max_memory_per_child": "worker_max_memory_per_child",
    "time_limit": "task_time_limit",
    "soft_time_limit": "task_soft_time_limit",
    "include": "imports",
}


class PoolName(click.ParamType[str]):
    """A pool, also under the other names that Celery has for it."""

    name = "pool"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return our name for it."""
        name = _POOL_NAMES.get(str(value).lower(), str(value).lower())
        if name in _REFUSED_POOLS:
            self.fail(f"{value!r} is not supported: {_REFUSED_POOLS[name]}.", param, ctx)
        if name not in POOLS:
            self.fail(f"{value!r} is no pool. Expected one of: {', '.join(POOLS)}.", param, ctx)
        return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """The worker's own flags, as given; None where nothing was."""

    queues: tuple[str, ...] | None = None
    exclude_queues: tuple[str, ...] | None = None
    strict_order: bool = False
    concurrency: int | None = None
    pool: str | None = None
    hostname: str | None = None
    loglevel: str | None = None
    logfile: str | None = None
    include: tuple[str, ...] | None = None
    time_limit: float | None = None
    soft_time_limit: float | None = None
    max_tasks_per_child: int | None = None
    max_memory_per_child: int | None = None
    purge: bool = False
    pidfile: str | None = None
    beat: bool = False
    health_port: int | None = None
    health_host: str = "127.0.0.1"

    def settings(self) -> dict[str, Any]:
        """Return the settings that flags override, by setting name."""
        given = {setting: getattr(self, flag) for flag, setting in _SETTINGS.items()}
        return {setting: value for setting, value in given.items() if value is not None}


_SECONDS = click.FloatRange(min=0, min_open=True)
_COUNT = click.IntRange(min=1)
_OPTIONS = (
    click.option(
        "-Q",
        "--queues",
        type=NameList(),
        help="Queues to serve: a,b. Default: the setting task_queues, else the default queue.",
    ),
    click.option("-X", "--exclude-queues", type=NameList(), help="Queues not to serve."),
    click.option(
        "--strict-order",
        is_flag=True,
        help="Serve the queues strictly in the order of -Q; without it each gets its turn.",
    ),
    click.option(
        "-c",
        "--concurrency",
        type=_COUNT,
        metavar="N",
        help="Tasks at the same time. Default: the number of usable CPUs.",
    ),
    click.option(
        "-P", "--pool", type=PoolName(), metavar="|".join(POOLS), help="What runs the tasks."
    ),
    click.option(
        "-n",
        "--hostname",
        metavar="NAME",
        help="Name of the worker; %h is the host, %n its first part, %d the rest.",
    ),
    click.option(
        "-l",
        "--loglevel",
        type=click.Choice(LEVELS, case_sensitive=False),
        metavar="LEVEL",
        help="DEBUG, INFO, WARNING, ERROR or CRITICAL. Default: INFO without the lines that every "
        "task would add; -l INFO shows those too.",
    ),
    click.option(
        "-f", "--logfile", metavar="FILE", help="Log to this file; %h, %n and %d as in -n."
    ),
    click.option("-I", "--include", type=NameList(), help="More modules of tasks to import."),
    click.option(
        "--time-limit",
        type=_SECONDS,
        metavar="SECONDS",
        help="Hard limit of a task: its process is killed.",
    ),
    click.option(
        "--soft-time-limit",
        type=_SECONDS,
        metavar="SECONDS",
        help="Soft limit: SoftTimeLimitExceeded is raised inside the task.",
    ),
    click.option(
        "--max-tasks-per-child",
        type=_COUNT,
        metavar="N",
        help="Replace a slot's process after so many tasks.",
    ),
    click.option(
        "--max-memory-per-child",
        type=_COUNT,
        metavar="KIB",
        help="Replace a slot's process above so much resident memory.",
    ),
    click.option(
        "--purge", "--discard", is_flag=True, help="First drop all that waits in its queues."
    ),
    click.option("--pidfile", metavar="FILE", help="Hold the process id in this file."),
    click.option(
        "-B",
        "--beat",
        is_flag=True,
        help="Send periodic tasks as well. Any number of workers may: nothing is sent twice.",
    ),
    click.option(
        "--health-port",
        type=click.IntRange(0, 65535),
        metavar="PORT",
        help="Serve /livez, /readyz and /metrics there; 0 takes any free port. Default: off.",
    ),
    click.option(
        "--health-host",
        default="127.0.0.1",
        show_default=True,
        metavar="ADDRESS",
        help="Where they listen. They answer anybody: 0.0.0.0 only inside a pod.",
    ),
)


def worker_flags(command: F) -> F:
    """Add the flags to a command; it gets them as keyword arguments, the fields of `Flags`."""
    wrapped: Any = command
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    result: F = wrapped
    return result
