"""What `windlass worker` makes of its flags: a name, options, a log, a banner."""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import click

from windlass import events, log, signals
from windlass.app import Windlass
from windlass.cli import banner
from windlass.cli.options import Common
from windlass.cli.worker_flags import Flags
from windlass.errors import ConfigurationError
from windlass.routing import consumed_queues
from windlass.runtime.worker import WorkerOptions
from windlass.utils.log import running_task

_log = log.get_logger(__name__)


def node_name(pattern: str) -> str:
    """Fill in a worker's name: %h the host's name, %n its first part, %d the rest, %% a percent.

    A name without an "@" gets the host's after it, as in Celery.
    """
    host = socket.gethostname()
    first, _, domain = host.partition(".")
    parts = {"%h": host, "%n": first, "%d": domain, "%%": "%"}
    name = re.sub("%[hnd%]", lambda match: parts[match[0]], pattern)
    return name if "@" in name else f"{name}@{host}"


def worker_options(app: Windlass, flags: Flags, hostname: str) -> WorkerOptions:
    """Make the worker's options of flags and settings."""
    settings = app.conf.current
    return WorkerOptions(
        queues=consumed_queues(settings, flags.queues or (), flags.exclude_queues or ()),
        strict=flags.strict_order,
        concurrency=settings.worker_concurrency or usable_cpus(),
        pool=settings.worker_pool,
        hostname=hostname,
        max_tasks_per_child=settings.worker_max_tasks_per_child,
        max_memory_per_child_kib=settings.worker_max_memory_per_child,
        time_limit_s=settings.task_time_limit,
        soft_time_limit_s=settings.task_soft_time_limit,
        drain_timeout_s=settings.worker_drain_timeout,
        lease_s=settings.worker_lease_s,
        health_host=flags.health_host,
        beat=flags.beat,
        health_port=flags.health_port,
    )


def usable_cpus() -> int:
    """CPUs that this process may run on: affinity counts, the machine's number does not."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def logging_to(app: Windlass, flags: Flags, hostname: str) -> Iterator[None]:
    """Set up the log for as long as the worker runs; a file is opened to append."""
    settings = app.conf.current
    said = {
        "loglevel": flags.loglevel or "INFO",
        "logfile": flags.logfile,
        "format": settings.worker_log_format,
        "colorize": settings.worker_log_color,
    }
    if signals.setup_logging.connections:
        signals.setup_logging.send(None, **said)
        yield
        return
    with _stream(flags.logfile, hostname) as stream:
        log.configure(
            flags.loglevel or "INFO",
            stream=stream,
            format=settings.worker_log_format,
            hijack_root=settings.worker_hijack_root_logger,
            task_context=running_task,
            colour=settings.worker_log_color,
        )
        if flags.loglevel is None:
            # A line or two for each task would cost more than the task: -l INFO asks for them.
            logging.getLogger(log.ROUTINE).setLevel(logging.WARNING)
        signals.after_setup_logger.send(None, logger=logging.getLogger(), **said)
        yield


@contextmanager
def _stream(logfile: str | None, hostname: str) -> Iterator[TextIO]:
    if logfile is None:
        yield sys.stderr
        return
    path = Path(node_name(logfile).partition("@")[0] if "%" in logfile else logfile)
    try:
        with path.open("a", buffering=1, encoding="utf-8") as stream:
            yield stream
    except OSError as error:
        message = f"--logfile {path} cannot be written: {error.strerror}."
        raise ConfigurationError(message) from error


def introduce(
    app: Windlass, common: Common, options: WorkerOptions, *, origin: str, ignored: list[str]
) -> None:
    """Print the banner on a terminal, or log the same facts; then say what was ignored.

    Args:
        app: The app.
        common: The shared options.
        options: What the worker will do.
        origin: Where its queues come from.
        ignored: A sentence for each flag that means nothing here.
    """
    queues = banner.Line("queues", ", ".join(options.queues), origin)
    lines = banner.facts(
        app,
        app_name=common.app or os.environ.get("WINDLASS_APP") or str(app.main),
        queues=queues,
        concurrency=options.concurrency,
    )
    tasks = sorted(name for name in app.tasks if not name.startswith("windlass."))
    if not common.quiet and log.is_for_people():
        click.echo(banner.render(options.hostname, lines, tasks), err=True)
    else:
        _log.info(events.WORKER_CONFIGURED, **banner.as_record(lines), tasks=len(tasks))
    for sentence in ignored:
        _log.warning(events.FLAG_IGNORED, reason=sentence)
    for name, why in app.conf.ignored.items():
        _log.warning(events.SETTING_IGNORED, setting=name, reason=why)


def purge_queues(app: Windlass, options: WorkerOptions) -> None:
    """Drop what waits in the queues that this worker serves (--purge)."""
    for queue in options.queues:
        _log.warning(events.MESSAGES_PURGED, queue=queue, count=app.broker.purge(queue))
