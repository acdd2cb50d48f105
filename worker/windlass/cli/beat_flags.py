"""The flags of `windlass beat`: Celery's, some of which mean nothing here; and what it says."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from windlass import events, log
from windlass.app import Windlass
from windlass.cli.celery_flags import CeleryFlag, add_flags
from windlass.cli.options import Common, address_of
from windlass.cli.text import NameList
from windlass.cli.worker_flags import LEVELS

F = TypeVar("F", bound=Callable[..., Any])  # any command function
_log = log.get_logger(__name__)

_STATE = "state is kept on the broker, after every fire"
IGNORED = (
    CeleryFlag(("-s", "--schedule", "--schedule-filename"), _STATE, takes_value=True),
    CeleryFlag(
        ("--enable-remote-control",), "`windlass schedules` shows what beat does, without asking it"
    ),
    CeleryFlag(("--no-enable-remote-control",), "beat takes no remote commands"),
    CeleryFlag(("--uid",), "set the user in systemd (User=) or the pod's securityContext", True),
    CeleryFlag(("--gid",), "set the group in systemd (Group=) or the pod's securityContext", True),
    CeleryFlag(("--umask",), "set it in systemd (UMask=) or the shell that starts beat", True),
    CeleryFlag(("--executable",), "beat runs in the interpreter that starts it", True),
)
REFUSED = (
    CeleryFlag(
        ("--detach",),
        "beat stays in the foreground. Expected: run it under systemd (Type=exec) or as a "
        "Kubernetes Deployment, which restart it and keep its logs",
    ),
    CeleryFlag(
        ("-S", "--scheduler"),
        "there is one scheduler. Expected: schedules in the settings, or changed at run time with "
        "app.schedules and `windlass schedules`",
        takes_value=True,
    ),
)
_OPTIONS = (
    click.option(
        "--max-interval",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="Look at the schedules at least this often, though changes wake it. Default: 5.",
    ),
    click.option(
        "-n", "--hostname", metavar="NAME", help="Name in logs; %h is the host, %n its first part."
    ),
    click.option(
        "-l",
        "--loglevel",
        type=click.Choice(LEVELS, case_sensitive=False),
        metavar="LEVEL",
        help="DEBUG, INFO, WARNING, ERROR or CRITICAL. Default: INFO.",
    ),
    click.option(
        "-f", "--logfile", metavar="FILE", help="Log to this file; %h, %n and %d as in -n."
    ),
    click.option("-I", "--include", type=NameList(), help="More modules of tasks to import."),
    click.option("--pidfile", metavar="FILE", help="Hold the process id in this file."),
    click.option(
        "--health-port",
        type=click.IntRange(0, 65535),
        metavar="PORT",
        help="Serve /livez and /readyz there; 0 takes any free port. Default: off.",
    ),
    click.option(
        "--health-host",
        default="127.0.0.1",
        show_default=True,
        metavar="ADDRESS",
        help="Where they listen. They answer anybody: 0.0.0.0 only inside a pod.",
    ),
)


def beat_flags(command: F) -> F:
    """Add the flags to the command."""
    wrapped: Any = add_flags(command, ignored=IGNORED, refused=REFUSED)
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    result: F = wrapped
    return result


def introduce(common: Common, app: Windlass, hostname: str, ignored: list[str]) -> None:
    """Say what beat works on, and what was ignored."""
    name = common.app or os.environ.get("WINDLASS_APP") or str(app.main)
    if not common.quiet:
        _log.info(events.BEAT_CONFIGURED, app=name, broker=address_of(app), hostname=hostname)
    for sentence in ignored:
        _log.warning(events.FLAG_IGNORED, reason=sentence)
    for setting, why in app.conf.ignored.items():
        _log.warning(events.SETTING_IGNORED, setting=setting, reason=why)
