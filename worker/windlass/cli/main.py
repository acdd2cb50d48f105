"""`windlass`, and `python -m windlass`: the group of commands, errors for people, exit codes.

    0  done          1  an error, printed as one message       2  wrong usage
    130 interrupted

Commands are loaded when they are called, so that `windlass queues` does not import the worker.
Other distributions add commands through the entry-point group `windlass.commands`.
Next in the walk: `windlass.cli.worker`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
from collections.abc import Sequence

import click

from windlass._version import __version__
from windlass.app import Windlass
from windlass.cli.options import Common, shared
from windlass.errors import WindlassError, nearest
from windlass.log import scrub

ENTRY_POINTS = "windlass.commands"
_COMMANDS = {
    "worker": "windlass.cli.worker:worker",
    "queues": "windlass.cli.queues:queues",
    "dlq": "windlass.cli.dead_letters:dlq",
    "purge": "windlass.cli.control:purge",
    "revoke": "windlass.cli.control:revoke",
}
_CELERY_COMMANDS = {
    "beat": "schedules come in a later version",
    "inspect": "`windlass queues` shows the queues, GET /metrics of a worker its tasks",
    "status": "`windlass queues` shows the queues; a worker answers GET /readyz",
    "control": "`windlass revoke`, `windlass queues set` and `windlass purge` take its place",
    "multi": "start workers with systemd, or as a Kubernetes Deployment",
    "events": "events come in a later version; GET /metrics of a worker shows its tasks",
    "flower": "events come in a later version; GET /metrics of a worker shows its tasks",
    "amqp": "there is no AMQP broker yet",
    "call": "`python -c 'from shop.tasks import app; app.send_task(...)'` sends a task",
    "result": "`python -c 'from shop.tasks import app; print(app.AsyncResult(id).get())'`",
    "shell": "`python -i -c 'from shop.tasks import app'` opens one",
}


class Commands(click.Group):
    """The group: built-in commands by name, others by entry point, loaded on call."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name every command, for --help."""
        return sorted({*_COMMANDS, *(point.name for point in _entry_points())})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; None when there is none of this name."""
        if target := _COMMANDS.get(cmd_name):
            module, _, attribute = target.partition(":")
            command: click.Command = getattr(importlib.import_module(module), attribute)
            return command
        for point in _entry_points():
            if point.name == cmd_name:
                loaded: click.Command = point.load()
                return loaded
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Say what to use instead when the command is one of Celery's."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            instead = _CELERY_COMMANDS.get(name)
            hint = f" Here {instead}." if instead else nearest(name, self.list_commands(ctx))
            known = ", ".join(self.list_commands(ctx))
            msg = f"no command {name!r}. Expected one of: {known}.{hint}"
            raise click.UsageError(msg, ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="windlass", message="%(prog)s %(version)s")
@click.pass_context
@shared
def cli(ctx: click.Context, common: Common) -> None:
    """Windlass, a task queue that loses nothing. Options may stand before or after the command."""
    ctx.obj = common


def main(argv: Sequence[str] | None = None, *, app: Windlass | None = None) -> int:
    """Run a command line and return its exit code; errors go to standard error as one message.

    Args:
        argv: Arguments without the program's name; those of the process by default.
        app: Run on this app, whatever -A says.
    """
    try:
        result = cli.main(
            args=list(sys.argv[1:] if argv is None else argv),
            prog_name="windlass",
            standalone_mode=False,
            obj=Common(instance=app),
        )
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.secho("Interrupted.", fg="red", err=True)
        return 130
    except WindlassError as error:
        click.secho("Error: ", fg="red", bold=True, nl=False, err=True)
        click.echo(scrub(str(error)), err=True)
        return 1
    except BrokenPipeError:
        # The reader (head, less) went away. Nothing more can be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return result if isinstance(result, int) else 0


def _entry_points() -> list[importlib.metadata.EntryPoint]:
    return list(importlib.metadata.entry_points(group=ENTRY_POINTS))
