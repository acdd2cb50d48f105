"""`windlass call` sends a task, `windlass result` shows what came of one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click
import msgspec

from windlass.app import Windlass
from windlass.cli.options import Common, load_app, shared
from windlass.errors import ConfigurationError
from windlass.errors import TimeoutError as GetTimeoutError
from windlass.states import Stage


class Json(click.ParamType[Any]):
    """A JSON value of one kind, which the name says."""

    def __init__(self, kind: type[list[Any]] | type[dict[str, Any]]) -> None:
        self._kind = kind
        self.name = "json"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Parse one value from the command line."""
        if not isinstance(value, str):
            return value
        example = "[1, 2]" if self._kind is list else '{"x": 1}'
        try:
            found = msgspec.json.decode(value)
        except msgspec.DecodeError as error:
            self.fail(f"{value!r} is not JSON: {error}. Expected e.g. {example}.", param, ctx)
        if not isinstance(found, self._kind):
            self.fail(
                f"{value!r} is a {type(found).__name__}. Expected e.g. {example}.", param, ctx
            )
        return found


class Moment(click.ParamType[Any]):
    """Seconds from now, or a date and time: 30, 2026-11-24T12:00:00+01:00."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Parse one value from the command line."""
        text = str(value)
        try:
            return float(text)
        except ValueError:
            pass
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{text!r} is no time. Expected e.g. 30 or 2026-11-24T12:00:00.", param, ctx)


class IsoTime(Moment):
    """A date and time."""

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Parse one value from the command line."""
        found = super().convert(value, param, ctx)
        if not isinstance(found, datetime):
            self.fail(f"{value!r} is no date and time. See --countdown for seconds.", param, ctx)
        return found


@click.command()
@click.argument("name")
@click.option("-a", "--args", type=Json(list), default="[]", help='Positional: "[1, 2]".')
@click.option("-k", "--kwargs", type=Json(dict), default="{}", help="""By name: '{"x": 1}'.""")
@click.option("--countdown", type=float, metavar="SECONDS", help="Not before so many seconds.")
@click.option("--eta", type=IsoTime(), help="Not before: 2026-11-24T12:00:00+01:00.")
@click.option("--expires", type=Moment(), help="Dropped after: seconds, or a date and time.")
@click.option("-Q", "--queue", help="Its queue; routing decides without.")
@click.option("--priority", type=click.IntRange(0, 9), help="0 to 9, higher is sooner.")
@click.option("--serializer", help="How arguments are written: json, msgpack.")
@click.option("--exchange", hidden=True, help="Must be the queue: there are no exchanges.")
@click.option("--routing-key", hidden=True, help="Must be the queue: there are no exchanges.")
@shared
def call(
    common: Common, name: str, args: list[Any], kwargs: dict[str, Any], **options: Any
) -> None:
    """Send the task NAME and print its id. The task need not be known here.

    \b
    windlass call shop.tasks.add -a "[1, 2]"
    windlass result $(windlass call shop.tasks.add -a "[1, 2]")
    """  # noqa: D301  (click wants the character)
    given = {key: value for key, value in options.items() if value is not None}
    with load_app(common, required=False) as app:
        click.echo(app.send_task(name, args, kwargs, **given).id)


@click.command()
@click.argument("task_id", metavar="ID")
@click.option("-t", "--task", hidden=True, help="Accepted; the id is enough.")
@click.option("--traceback", "shows_traceback", is_flag=True, help="Print the traceback instead.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long to wait for it. Default: until it is there; an unknown id is not waited for.",
)
@shared
def result(
    common: Common, task_id: str, task: str | None, shows_traceback: bool, timeout: float | None
) -> int:
    """Wait for the task ID and print its result as JSON. Exit code 1 if it failed.

    Without -A and with --broker, results are looked for at the broker's address.
    """
    del task
    with load_app(common, required=False) as app:
        if not app.conf.current.results_enabled:
            msg = "Results are off: no result_backend is configured. Name one: --result-backend."
            raise ConfigurationError(msg)
        return _show(app, task_id, shows_traceback, timeout)


def _show(app: Windlass, task_id: str, shows_traceback: bool, timeout: float | None) -> int:
    handle = app.AsyncResult(task_id)
    if not handle.ready() and handle.stage is Stage.UNKNOWN:
        click.echo(f"{task_id}: unknown here: never sent, expired, or forgotten.", err=True)
        return 1
    try:
        value = handle.get(timeout=timeout, propagate=False)
    except GetTimeoutError:
        click.echo(f"{task_id}: {handle.state}, not ready within {timeout:g} s.", err=True)
        return 1
    if shows_traceback:
        click.echo(handle.traceback or "", nl=False)
    elif handle.failed() or isinstance(value, BaseException):
        click.echo(f"{type(value).__name__}: {value}", err=True)
    else:
        click.echo(_as_json(value))
    return 0 if handle.successful() else 1


def _as_json(value: Any) -> str:
    try:
        return msgspec.json.encode(value, enc_hook=repr).decode()
    except (TypeError, ValueError, msgspec.MsgspecError):
        return repr(value)
