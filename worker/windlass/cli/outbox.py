"""`windlass outbox`: publishes the calls that transactions have left in a database."""

from __future__ import annotations

import importlib
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import click

from windlass import events, log
from windlass.cli import text
from windlass.cli.options import Common, load_app, shared
from windlass.errors import ConfigurationError
from windlass.log import get_logger, scrub
from windlass.transactional.relay import BATCH, INTERVAL_S, Relay

_log = get_logger(__name__)
_database = click.option(
    "--database", metavar="URL", help="Of SQLAlchemy, e.g. postgresql+psycopg://user@host/shop."
)
_django = click.option(
    "--django", is_flag=True, help="Django's default database, by DJANGO_SETTINGS_MODULE."
)


@click.group()
def outbox() -> None:
    """Publish calls that were written into a database's transactions."""


@outbox.command()
@_database
@_django
@click.option("--once", is_flag=True, help="Publish what is there, and end.")
@click.option(
    "--batch", type=click.IntRange(1, 10_000), default=BATCH, show_default=True,
    help="Rows that are published in one round trip.",
)  # fmt: skip
@click.option(
    "--interval", type=click.FloatRange(0.01), default=INTERVAL_S, show_default=True,
    help="Seconds between two looks at an empty table.",
)  # fmt: skip
@shared
def relay(
    common: Common, database: str | None, django: bool, once: bool, batch: int, interval: float
) -> None:
    """Publish rows of the table windlass_outbox, until TERM or INT.

    Any number of these may run at once. A row is deleted after the broker has its message; a crash
    in between has it published again under the same id.
    """
    with load_app(common, required=False) as app, _store(database, django) as store:
        publisher = Relay(app, store, batch=batch, interval_s=interval)
        if once:
            click.echo(f"{_publish_all(publisher)} published")
            return
        log.configure("INFO")
        _stop_on_signals(publisher)
        _log.info(events.OUTBOX_RELAY_STARTED, database=scrub(database or "django"), batch=batch)
        publisher.run()


@outbox.command("set-aside")
@_database
@_django
@shared
def set_aside(common: Common, database: str | None, django: bool) -> None:
    """List rows that can never be published, with the reason."""
    with load_app(common, required=False, needs_broker=False), _store(database, django) as store:
        found = store.set_aside_rows()
    if found:
        click.echo(text.table(("ID", "TASK", "REASON"), found))
    else:
        click.echo("No row was set aside.", err=True)


@contextmanager
def _store(database: str | None, django: bool) -> Iterator[Any]:
    if (database is None) is not django:
        msg = "name one of --database URL and --django."
        raise click.UsageError(msg)
    if django:
        importlib.import_module("django").setup()
        yield importlib.import_module("windlass.contrib.django_outbox.outbox").DjangoStore()
        importlib.import_module("django.db").connections.close_all()
        return
    try:
        engine = importlib.import_module("sqlalchemy").create_engine(database)
    except ModuleNotFoundError as error:
        msg = f"--database needs {error.name}: pip install 'windlass[sql]' and its driver."
        raise ConfigurationError(msg) from error
    yield importlib.import_module("windlass.contrib.sqlalchemy").SqlStore(engine)
    engine.dispose()


def _publish_all(publisher: Relay) -> int:
    total, is_full = 0, True
    while is_full:
        step = publisher.run_once()
        total, is_full = total + step.published, step.is_full
    return total


def _stop_on_signals(publisher: Relay) -> None:
    def handler(_signum: int, _frame: FrameType | None) -> None:
        publisher.stop()

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, handler)
