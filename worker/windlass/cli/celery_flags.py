"""Celery's worker flags that mean nothing here (accepted, with a word why) or are refused.

A command line that ran `celery worker` runs `windlass worker`; nothing is swallowed in silence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])  # any command function
_META = "windlass.ignored_flags"


@dataclass(frozen=True, slots=True)
class _Flag:
    names: tuple[str, ...]
    why: str
    takes_value: bool = False


#: Accepted: the sentence is printed once at start.
IGNORED = (
    _Flag(("--without-gossip",), "workers here do not gossip"),
    _Flag(("--without-mingle",), "workers here do not mingle"),
    _Flag(("--without-heartbeat",), "heartbeats are keys on the broker and cost next to nothing"),
    _Flag(("--heartbeat-interval",), "heartbeats go with the renewal of leases", True),
    _Flag(("--prefetch-multiplier",), "a worker leases what it can run soon, and no more", True),
    _Flag(("--disable-prefetch",), "a worker leases what it can run soon, and no more"),
    _Flag(("-O", "--optimization"), "every slot gets its work when it is free", True),
    _Flag(("-S", "--statedb"), "revoked ids are kept on the broker", True),
    _Flag(("-E", "--task-events", "--events"), "events come later; GET /metrics shows the tasks"),
    _Flag(("--uid",), "set the user in systemd (User=) or the pod's securityContext", True),
    _Flag(("--gid",), "set the group in systemd (Group=) or the pod's securityContext", True),
    _Flag(("--umask",), "set it in systemd (UMask=) or the shell that starts the worker", True),
    _Flag(("--executable",), "the worker runs in the interpreter that starts it", True),
    _Flag(("-s", "--schedule", "--schedule-filename"), "schedules come in a later version", True),
    _Flag(("--scheduler",), "schedules come in a later version", True),
)
#: Refused: going on without would not do what was asked.
REFUSED = (
    _Flag(
        ("-D", "--detach"),
        "a worker stays in the foreground. Expected: run it under systemd (Type=exec) or as a "
        "Kubernetes Deployment, which restart it and keep its logs",
    ),
    _Flag(
        ("--autoscale",),
        "a worker has a fixed number of slots. Expected: -c N, and more or fewer workers, as a "
        "WorkerPool with autoscaling does on Kubernetes",
        True,
    ),
    _Flag(
        ("-B", "--beat"),
        "schedules come in a later version, and never inside a worker: one that restarts would "
        "miss its ticks. Expected: no -B",
    ),
)


def celery_flags(command: F) -> F:
    """Add the flags to the worker command; they reach it only through `notices`."""
    wrapped: Any = command
    for flags, callback in ((IGNORED, _note), (REFUSED, _refuse)):
        for flag in reversed(flags):
            wrapped = click.option(
                *flag.names,
                f"celery_{flag.names[-1].lstrip('-').replace('-', '_')}",
                is_flag=not flag.takes_value,
                default=None,
                hidden=True,
                expose_value=False,
                callback=callback(flag),
            )(wrapped)
    result: F = wrapped
    return result


def notices(context: click.Context) -> list[str]:
    """Return a sentence for each flag that was given and means nothing."""
    noted: list[str] = context.meta.get(_META, [])
    return noted


def _note(flag: _Flag) -> Callable[[click.Context, click.Parameter, object], None]:
    def callback(context: click.Context, _: click.Parameter, value: object) -> None:
        if value:
            name = next(name for name in flag.names if name.startswith("--"))
            sentence = f"{name} means nothing here: {flag.why}."
            context.meta.setdefault(_META, []).append(sentence)

    return callback


def _refuse(flag: _Flag) -> Callable[[click.Context, click.Parameter, object], None]:
    def callback(context: click.Context, _: click.Parameter, value: object) -> None:
        if value:
            message = f"{' / '.join(flag.names)} is not supported: {flag.why}."
            raise click.UsageError(message, context)

    return callback
