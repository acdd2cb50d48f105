"""Options that every command shares, before or after the command's name.

`windlass -A shop worker` and `windlass worker -A shop` are the same; after wins over before.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import click

from windlass.app import Windlass
from windlass.cli.locate import find_app
from windlass.errors import ConfigurationError
from windlass.log import scrub

F = TypeVar("F", bound=Callable[..., Any])  # any command function


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What was given for the shared options; None where nothing was."""

    app: str | None = None
    broker: str | None = None
    result_backend: str | None = None
    workdir: str | None = None
    no_color: bool = False
    quiet: bool = False
    #: The app itself, where the command line is run from Python (`app.worker_main`).
    instance: Windlass | None = None

    def over(self, before: Common) -> Common:
        """Lay these (given after the command's name) over those given before it."""
        given = {
            name: value
            for name in self.__slots__
            if (value := getattr(self, name)) not in (None, False)
        }
        return replace(before, **given)


#: Setting -> the flag that overrides it.
FLAGS = {
    "broker_url": "--broker",
    "result_backend": "--result-backend",
    "worker_concurrency": "--concurrency",
    "worker_pool": "--pool",
    "worker_max_tasks_per_child": "--max-tasks-per-child",
    "worker_max_memory_per_child": "--max-memory-per-child",
    "task_time_limit": "--time-limit",
    "task_soft_time_limit": "--soft-time-limit",
    "imports": "--include",
}

_OPTIONS = (
    click.option(
        "-A",
        "--app",
        metavar="APP",
        help="Where the app is: module or module:attribute. Default: $WINDLASS_APP.",
    ),
    click.option("-b", "--broker", metavar="URL", help="Broker address; wins over all settings."),
    click.option("--result-backend", metavar="URL", help="Result backend; wins over all settings."),
    click.option("--workdir", metavar="FOLDER", help="Change to this folder first."),
    click.option("-C", "--no-color", is_flag=True, help="No colours, even on a terminal."),
    click.option("-q", "--quiet", is_flag=True, help="Print less: no banner, no hints."),
)


def shared(command: F) -> F:
    """Add the shared options to a command; it gets them as one `common` argument."""

    @functools.wraps(command)
    def collect(*args: Any, **kwargs: Any) -> Any:  # click's own calling convention
        given = {name: kwargs.pop(name) for name in Common.__slots__ if name in kwargs}
        here = Common(**given)
        context = click.get_current_context()
        common = here.over(context.find_object(Common) or Common())
        if common.no_color:
            context.color = False
        return command(*args, common=common, **kwargs)

    wrapped: Any = collect
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    result: F = wrapped
    return result


def load_app(common: Common, *, required: bool = True, needs_broker: bool = True) -> Windlass:
    """Find the app and lay -b and --result-backend over its settings.

    Args:
        common: The shared options.
        required: Without -A: an error, else an app without tasks that knows the broker only.
        needs_broker: Without a broker's address: an error.

    Raises:
        click.UsageError: No app was named and one is required.
        ConfigurationError: Neither an app nor a broker was named.
    """
    name = common.app or _from_environment()
    if common.instance is not None:
        app = common.instance
    elif name is not None:
        app = find_app(name, workdir=common.workdir)
    elif required:
        msg = (
            "no app was named. Expected -A with the module that holds it, e.g. -A shop.tasks, or "
            "the environment variable WINDLASS_APP."
        )
        raise click.UsageError(msg)
    else:
        app = Windlass("windlass-cli", set_as_current=False)
    flags = {"broker_url": common.broker, "result_backend": common.result_backend}
    lay_over(app, {name: value for name, value in flags.items() if value is not None})
    if needs_broker and app.conf.broker_url is None:
        msg = (
            "No broker is configured. Name one with -b redis://host:6379/0, the environment "
            "variable WINDLASS_BROKER_URL, or an app with -A."
        )
        raise ConfigurationError(msg)
    return app


def lay_over(app: Windlass, values: Mapping[str, Any]) -> None:
    """Set what flags gave: it wins over the environment and everything else."""
    if not values:
        return
    app.close()  # what the app's module has connected already is not what the flags say
    app.conf.override(values, lambda name: f"flag {FLAGS[name]}")


def address_of(app: Windlass) -> str:
    """Return the broker's address without its password."""
    return scrub(str(app.conf.broker_url))


def _from_environment() -> str | None:
    return os.environ.get("WINDLASS_APP") or None
