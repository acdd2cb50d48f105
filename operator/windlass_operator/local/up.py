"""`windlass up FILE|DIR…`: arguments in, a session run, an exit code out.

Light to import: `windlass --help` does. Next in the walk: `windlass_operator.local.files`.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from windlass.errors import ConfigurationError

if TYPE_CHECKING:
    from windlass_operator.local.display import Display


@click.command("up")
@click.argument(
    "paths", nargs=-1, required=True, metavar="FILE|DIR...", type=click.Path(path_type=Path)
)
@click.option(
    "-b",
    "--broker",
    metavar="URL",
    help="Broker of queues that name none. Default: $WINDLASS_BROKER_URL, else a Redis server "
    "of its own that ends with the command.",
)
@click.option("--plain", is_flag=True, help="Print lines instead of a live table.")
@click.option(
    "-l",
    "--loglevel",
    default="INFO",
    show_default=True,
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], case_sensitive=False),
    help="Of the workers.",
)
@click.pass_context
def command(
    context: click.Context, paths: tuple[Path, ...], broker: str | None, plain: bool, loglevel: str
) -> int:
    """Run the TaskQueues and WorkerPools of YAML files on this machine.

    Worker pools are processes here; they scale as the operator would scale them in a cluster.
    Ctrl-C drains: what runs is finished. A second Ctrl-C ends the workers at once.
    """
    _require_extra()
    from windlass_operator.local.files import read_resources  # noqa: PLC0415 - needs the extra
    from windlass_operator.local.session import Options, Session  # noqa: PLC0415 - as above

    before = context.find_root().params.get("broker")  # windlass -b URL up ...
    named = broker or before or os.environ.get("WINDLASS_BROKER_URL") or ""
    resources = read_resources(paths)
    options = Options(broker=named, log_level=loglevel.upper())

    async def run() -> int:
        return await Session(resources, options, make_display(is_plain=plain)).run()

    return asyncio.run(run())


def make_display(*, is_plain: bool) -> Display:
    """Return a table on a terminal, else plain lines."""
    from rich.console import Console  # noqa: PLC0415 - needs the extra

    from windlass_operator.local.display import PlainDisplay  # noqa: PLC0415 - as above
    from windlass_operator.local.table import TableDisplay  # noqa: PLC0415 - as above

    console = Console()
    return PlainDisplay() if is_plain or not console.is_terminal else TableDisplay(console)


def _require_extra() -> None:
    try:
        import rich  # noqa: F401, PLC0415 - only whether it is there
        import yaml  # noqa: F401, PLC0415 - as above
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"`windlass up` needs the package {error.name!r}, which is not installed. Install "
            "the extra: pip install 'windlass[local]'."
        ) from error
