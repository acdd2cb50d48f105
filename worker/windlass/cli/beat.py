"""`windlass beat`: checks the app's periodic tasks, declares them, and ticks until told to stop."""

from __future__ import annotations

import importlib
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import click

from windlass.app import Windlass
from windlass.beat.service import BeatService
from windlass.brokers.base import Capability
from windlass.brokers.capabilities import require
from windlass.cli import beat_flags, worker_setup
from windlass.cli.celery_flags import notices
from windlass.cli.options import Common, lay_over, load_app, shared
from windlass.cli.pidfile import pidfile
from windlass.cli.worker_flags import Flags
from windlass.runtime.state import WorkerState


@click.command()
@beat_flags.beat_flags
@click.pass_context
@shared
def beat(context: click.Context, /, common: Common, **given: Any) -> int:
    """Send periodic tasks when they are due, until TERM or INT.

    Any number of these may run at once: one leads, another steps in within seconds when it is
    gone, and nothing is ever sent twice. State is kept on the broker, not in a file.
    """
    max_interval_s = given.pop("max_interval")
    flags = Flags(**given)
    app = load_app(common)
    lay_over(app, flags.settings())
    hostname = worker_setup.node_name(flags.hostname or "beat@%h")
    with pidfile(flags.pidfile), worker_setup.logging_to(app, flags, hostname):
        app.finalize()
        require(app.broker, (Capability.PROCESSES,), "windlass beat")
        beat_flags.introduce(common, app, hostname, notices(context))
        service = BeatService(app, app.new_broker(), max_interval_s=max_interval_s)
        service.check_names()
        stop_probes = _serve_probes(service, flags)
        try:
            run(app, service)
        finally:
            stop_probes()
    return 0


def run(app: Windlass, service: BeatService) -> None:
    """Tick in a thread, so that a signal is taken at once wherever the ticker waits."""
    stop = threading.Event()
    restore = _on_signals(stop)
    thread = threading.Thread(target=_run_then, args=(service, stop), name="beat")
    thread.start()
    try:
        stop.wait()
    finally:
        service.stop()
        thread.join()
        restore()
        app.close()


def _serve_probes(service: BeatService, flags: Flags) -> Callable[[], None]:
    """Serve /livez and /readyz if that is asked for; returns what ends it."""
    if flags.health_port is None:
        return lambda: None
    # Only where it is asked for: the HTTP server and the metrics library cost 5 MB.
    module = importlib.import_module("windlass.runtime.probes")
    probes = module.Probes(
        lambda: state_of(service), host=flags.health_host, port=flags.health_port, metrics=False
    )
    probes.start()
    end: Callable[[], None] = probes.stop
    return end


def state_of(service: BeatService) -> WorkerState:
    """Return what probes look at: ready while the broker answers, whether it leads or not."""
    ticker = service.ticker
    return WorkerState(
        pool="beat",
        loop_at=ticker.turned_at,
        progress_at=ticker.answered_at,
        started=True,
        draining=ticker.is_stopping,
    )


def _run_then(service: BeatService, stop: threading.Event) -> None:
    try:
        service.run()
    finally:
        stop.set()


def _on_signals(stop: threading.Event) -> Callable[[], None]:
    def handler(_signum: int, _frame: FrameType | None) -> None:
        stop.set()

    old = {each: signal.signal(each, handler) for each in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for signum, before in old.items():
            signal.signal(signum, before)

    return restore
