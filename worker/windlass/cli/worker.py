"""`windlass worker`: flags over settings, the banner, and then `windlass.runtime.worker`."""

from __future__ import annotations

import importlib
from typing import Any

import click

from windlass import signals
from windlass.app import Windlass
from windlass.cli import user_options, worker_setup
from windlass.cli.celery_flags import celery_flags, notices
from windlass.cli.options import Common, lay_over, load_app, shared
from windlass.cli.pidfile import pidfile
from windlass.cli.user_options import WithUserOptions
from windlass.cli.worker_flags import Flags, worker_flags
from windlass.runtime.worker import Worker


@click.command(cls=WithUserOptions)
@click.option("--watch", is_flag=True, help="Start again when Python files here change.")
@worker_flags
@celery_flags
@click.pass_context
@shared
def worker(context: click.Context, /, common: Common, watch: bool, **given: Any) -> int:
    """Run tasks until told to stop: TERM and INT drain, a second INT or QUIT is cold.

    What runs then goes on until the setting worker_drain_timeout; the rest is handed back.
    """
    if watch:
        return _watched(common)
    flags = Flags(**given)
    app = load_app(common)
    lay_over(app, flags.settings())
    hostname = worker_setup.node_name(flags.hostname or "windlass@%h")
    user_options.announce(app, context, hostname)
    with pidfile(flags.pidfile), worker_setup.logging_to(app, flags, hostname):
        app.finalize()
        signals.celeryd_after_setup.send(hostname, instance=app, conf=app.conf)
        options = worker_setup.worker_options(app, flags, hostname)
        worker_setup.introduce(
            app, common, options, origin=_queues_origin(app, flags), ignored=notices(context)
        )
        if flags.purge:
            worker_setup.purge_queues(app, options)
        return Worker(app, options).run()


def _watched(common: Common) -> int:
    if common.instance is not None:
        msg = "--watch starts the worker as a command. Expected: windlass -A ... worker --watch."
        raise click.UsageError(msg)
    # Only where it is asked for.
    watching = importlib.import_module("windlass.cli.watching")
    status: int = watching.watch_worker(common.workdir)
    return status


def _queues_origin(app: Windlass, flags: Flags) -> str:
    """Say why it serves these queues."""
    if flags.queues:
        return "flag --queues"
    named = "task_queues" if app.conf.task_queues else "task_default_queue"
    origin = app.conf.origin(named)
    return f"{origin}, flag --exclude-queues" if flags.exclude_queues else origin
