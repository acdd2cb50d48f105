"""`windlass`, and `python -m windlass`: the group of commands, errors for people, exit codes.

    0  done          1  an error, printed as one message       2  wrong usage
    69 no worker answered                                      130 interrupted

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
from windlass.cli.locate import AppImportError
from windlass.cli.options import Common, shared
from windlass.cli.tracebacks import is_users, users_traceback
from windlass.errors import WindlassError, nearest
from windlass.log import scrub

ENTRY_POINTS = "windlass.commands"
_COMMANDS = {
    "worker": "windlass.cli.worker:worker",
    "queues": "windlass.cli.queues:queues",
    "limits": "windlass.cli.limits:limits",
    "dlq": "windlass.cli.dead_letters:dlq",
    "purge": "windlass.cli.control:purge",
    "revoke": "windlass.cli.control:revoke",
    "beat": "windlass.cli.beat:beat",
    "schedules": "windlass.cli.schedules:schedules",
    "inspect": "windlass.cli.remote:inspect",
    "control": "windlass.cli.remote:control",
    "status": "windlass.cli.remote:status",
    "call": "windlass.cli.tasks:call",
    "result": "windlass.cli.tasks:result",
    "why": "windlass.cli.why:why",
    "report": "windlass.cli.report:report",
    "graph": "windlass.cli.graph:graph",
    "outbox": "windlass.cli.outbox:outbox",
}
_CELERY_COMMANDS = {
    "multi": "start workers with systemd, or as a Kubernetes Deployment",
    "events": "events come in a later version; GET /metrics of a worker shows its tasks",
    "flower": "events come in a later version; GET /metrics of a worker shows its tasks",
    "amqp": "there is no AMQP broker yet",
    "list": "`windlass inspect active_queues` lists what workers serve",
    "migrate": "drain the old workers instead: docs/how-to/migrate-from-celery.md",
    "upgrade": "Celery's old setting names are read as they are, with a namespace",
    "logtool": "logs are JSON in a pod: any log tool reads them",
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
    """Windlass, a task queue that loses nothing. Options may stand before or after the command.

    \b
    windlass -A shop.tasks worker -Q default,mail -c 8     run tasks
    windlass -A shop.tasks call shop.tasks.add -a "[1, 2]"  send one
    windlass -b redis://localhost queues                   see what waits
    windlass -A shop.tasks inspect active                  see what runs

    \b
    Exit codes: 0 done, 1 an error, 2 wrong usage, 69 no worker answered, 130 interrupted.
    """  # noqa: D301  (click wants the character)
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
    except BaseException as error:
        status = _explain(error)
        if status is None:
            raise
        return status
    return result if isinstance(result, int) else 0


def _explain(error: BaseException) -> int | None:
    """Say what went wrong and return the exit code; None for what is a defect of ours."""
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if isinstance(error, click.Abort | KeyboardInterrupt):
        click.secho("Interrupted.", fg="red", err=True)
        return 130
    if isinstance(error, BrokenPipeError):
        # The reader (head, less) went away. Nothing more can be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    cause = (error.__cause__ or error) if isinstance(error, AppImportError) else error
    if isinstance(error, Exception) and not isinstance(cause, WindlassError) and is_users(cause):
        # The user's traceback and nothing else: it says it best.
        click.echo(scrub(users_traceback(cause)), nl=False, err=True)
        return 1
    if isinstance(error, WindlassError):
        click.secho("Error: ", fg="red", bold=True, nl=False, err=True)
        click.echo(scrub(str(error)), err=True)
        return 1
    return None


def _entry_points() -> list[importlib.metadata.EntryPoint]:
    return list(importlib.metadata.entry_points(group=ENTRY_POINTS))
