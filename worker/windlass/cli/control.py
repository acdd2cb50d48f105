"""`windlass purge` and `windlass revoke`: what takes messages away."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from windlass.cli import text
from windlass.cli.options import Common, address_of, load_app, shared
from windlass.cli.queues import known_queues
from windlass.routing import declared_queues
from windlass.states import Stage

_SENTENCES = {
    Stage.UNKNOWN: "not here now; refused if it still arrives",
    Stage.DONE: "already done",
    Stage.DEAD: "already a dead letter",
    Stage.LEASED: "owned by a worker: not begun if it did not run yet",
}


@click.command()
@click.option("-Q", "--queues", "names", type=text.NameList(), help="Only these queues.")
@click.option("-X", "--exclude-queues", "exclude", type=text.NameList(), help="All but these.")
@click.option("--all", "everything", is_flag=True, help="Every queue of the keyspace.")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@shared
def purge(
    common: Common,
    names: tuple[str, ...] | None,
    exclude: tuple[str, ...] | None,
    everything: bool,
    force: bool,
) -> None:
    """Drop every message that waits: ready, scheduled and parked. What runs is left alone.

    Without -Q and --all: the queues that the app's settings name. Dead letters stay (`windlass dlq
    purge`).
    """
    with load_app(common, required=False) as app:
        found = known_queues(app) if everything else names or declared_queues(app.conf.current)
        chosen = [name for name in found if name not in (exclude or ())]
        if not chosen:
            click.echo("No queues to purge.", err=True)
            return
        if not force:
            listed = ", ".join(chosen)
            click.confirm(
                f"Drop all waiting messages of {listed} at {address_of(app)}?", abort=True
            )
        dropped = {name: app.broker.purge(name) for name in chosen}
    for name, count in dropped.items():
        click.echo(f"Purged {count:,} messages from {name}.")


@click.command()
@click.argument("ids", metavar="ID...", nargs=-1)
@click.option(
    "--stamped",
    "stamps",
    multiple=True,
    metavar="NAME=VALUE",
    help="Every task with this stamped header, for a day; JSON values as they are.",
)
@click.option("-t", "--terminate", is_flag=True, help="Also end it if it runs.")
@click.option(
    "-s",
    "--signal",
    "signal_name",
    default="SIGTERM",
    show_default=True,
    help="The signal that ends it.",
)
@shared
def revoke(
    common: Common,
    ids: tuple[str, ...],
    stamps: tuple[str, ...],
    terminate: bool,
    signal_name: str,
) -> None:
    """Revoke tasks: they will not run, even if no worker is up now.

    Works by id on queued, scheduled and parked tasks at once; a running one goes on unless
    --terminate is given. With --stamped: those that wait when a worker meets them.
    """
    headers = _headers(stamps)
    if not ids and not headers:
        msg = "Nothing to revoke. Expected ids, or --stamped NAME=VALUE."
        raise click.UsageError(msg)
    with load_app(common, required=False) as app:
        found = app.control.revoke(list(ids), terminate=terminate, signal=signal_name)
        if headers:
            app.control.revoke_by_stamped_headers(headers, terminate=terminate, signal=signal_name)
    for message_id, stage in found.items():
        click.echo(f"{message_id}: {_SENTENCES.get(stage, 'revoked')}")
    for each in stamps:
        click.echo(f"stamped {each}: revoked when a worker meets them, for a day")


def _headers(stamps: tuple[str, ...]) -> dict[str, list[Any]]:
    """Read NAME=VALUE pairs; a name that is given twice means any of its values."""
    headers: dict[str, list[Any]] = {}
    for each in stamps:
        name, equals, text_ = each.partition("=")
        if not (name and equals):
            msg = f"{each!r} is no stamp. Expected NAME=VALUE, e.g. --stamped customer=c-17."
            raise click.UsageError(msg)
        try:
            value = msgspec.json.decode(text_)
        except msgspec.DecodeError:
            value = text_
        headers.setdefault(name, []).append(value)
    return headers
