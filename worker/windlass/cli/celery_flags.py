"""Celery's worker flags that mean nothing here (accepted, with a word why) or are refused.

A command line that ran `celery worker` runs `windlass worker`; nothing is swallowed in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])  # any command function
_META = "windlass.ignored_flags"


@dataclass(frozen=True, slots=True)
class CeleryFlag:
    """A flag of Celery's.

    Attributes:
        names: Short and long, the last one names it in click.
        why: Why it means nothing here, or what to do instead.
        takes_value: Whether a value follows it.
    """

    names: tuple[str, ...]
    why: str
    takes_value: bool = False


#: Accepted: the sentence is printed once at start.
IGNORED = (
    CeleryFlag(("--without-gossip",), "workers here do not gossip"),
    CeleryFlag(("--without-mingle",), "workers here do not mingle"),
    CeleryFlag(
        ("--without-heartbeat",), "heartbeats are keys on the broker and cost next to nothing"
    ),
    CeleryFlag(("--heartbeat-interval",), "heartbeats go with the renewal of leases", True),
    CeleryFlag(
        ("--prefetch-multiplier",), "a worker leases what it can run soon, and no more", True
    ),
    CeleryFlag(("--disable-prefetch",), "a worker leases what it can run soon, and no more"),
    CeleryFlag(("-O", "--optimization"), "every slot gets its work when it is free", True),
    CeleryFlag(("-S", "--statedb"), "revoked ids are kept on the broker", True),
    CeleryFlag(
        ("-E", "--task-events", "--events"), "events come later; GET /metrics shows the tasks"
    ),
    CeleryFlag(("--uid",), "set the user in systemd (User=) or the pod's securityContext", True),
    CeleryFlag(("--gid",), "set the group in systemd (Group=) or the pod's securityContext", True),
    CeleryFlag(
        ("--umask",), "set it in systemd (UMask=) or the shell that starts the worker", True
    ),
    CeleryFlag(("--executable",), "the worker runs in the interpreter that starts it", True),
    CeleryFlag(
        ("-s", "--schedule", "--schedule-filename"), "beat keeps its state on the broker", True
    ),
    CeleryFlag(("--scheduler",), "there is one scheduler, see `windlass schedules`", True),
)
#: Refused: going on without would not do what was asked.
REFUSED = (
    CeleryFlag(
        ("-D", "--detach"),
        "a worker stays in the foreground. Expected: run it under systemd (Type=exec) or as a "
        "Kubernetes Deployment, which restart it and keep its logs",
    ),
    CeleryFlag(
        ("--autoscale",),
        "a worker has a fixed number of slots. Expected: -c N, and more or fewer workers, as a "
        "WorkerPool with autoscaling does on Kubernetes",
        True,
    ),
)


def celery_flags(command: F) -> F:
    """Add the flags to the worker command; they reach it only through `notices`."""
    return add_flags(command, ignored=IGNORED, refused=REFUSED)


def add_flags(command: F, *, ignored: Sequence[CeleryFlag], refused: Sequence[CeleryFlag]) -> F:
    """Add flags that are accepted with a word, and flags that are refused."""
    wrapped: Any = command
    for flags, callback in ((ignored, _note), (refused, _refuse)):
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


def _note(flag: CeleryFlag) -> Callable[[click.Context, click.Parameter, object], None]:
    def callback(context: click.Context, _: click.Parameter, value: object) -> None:
        if value:
            name = next(name for name in flag.names if name.startswith("--"))
            sentence = f"{name} means nothing here: {flag.why}."
            context.meta.setdefault(_META, []).append(sentence)

    return callback


def _refuse(flag: CeleryFlag) -> Callable[[click.Context, click.Parameter, object], None]:
    def callback(context: click.Context, _: click.Parameter, value: object) -> None:
        if value:
            message = f"{' / '.join(flag.names)} is not supported: {flag.why}."
            raise click.UsageError(message, context)

    return callback
