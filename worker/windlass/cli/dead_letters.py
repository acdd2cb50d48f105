"""`windlass dlq`: look at dead letters, send them again, or drop them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import click
import msgspec

from windlass.app import Windlass
from windlass.cli import text
from windlass.cli.dead_edit import edit_letter
from windlass.cli.dead_filters import Filters, filters, find_letter, queues_option
from windlass.cli.options import Common, load_app, shared
from windlass.control_plane import dead_letters, history
from windlass.control_plane.dead_letters import DeadLetter, broker_now_ms
from windlass.control_plane.dead_selection import (
    Selection,
    Tally,
    purge_selected,
    replay_selected,
    select,
)
from windlass.errors import ConfigurationError
from windlass.rate_limits import parse_rate

_HEADINGS = ("ID", "QUEUE", "TASK", "REASON", "DELIVERIES", "RETRIES", "DIED", "DETAIL")
_limit_option = click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="At most so many, the oldest first."
)
_dry_run_option = click.option("--dry-run", is_flag=True, help="Say how many; do nothing.")
_json_option = click.option("--json", "as_json", is_flag=True, help="Answer as a JSON object.")
_all_option = click.option("--all", "everything", is_flag=True, help="All dead letters.")


@click.group()
@click.pass_context
@shared
def dlq(context: click.Context, common: Common) -> None:
    """List, show, edit, replay and purge dead letters: messages that cannot be run, untouched."""
    context.obj = common


dlq.add_command(edit_letter)


@dlq.command("list")
@filters
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@shared
def list_letters(common: Common, limit: int, as_json: bool, **chosen: Any) -> None:
    """List dead letters, the newest first in each queue."""
    given = Filters(**chosen)
    with load_app(common, required=False) as app:
        where = given.selection(app)
        found = (each for queue in given.queues(app) for each in select(app.broker, queue, where))
        shown = list(islice(found, limit))
    if as_json:
        for letter in shown:
            click.echo(msgspec.json.encode(_facts(letter)).decode())
    elif shown:
        click.echo(text.table(_HEADINGS, [_row(letter) for letter in shown]))
    else:
        click.echo("No dead letters.", err=True)


@dlq.command("show")
@click.argument("message_id", metavar="ID")
@queues_option("Look in these queues only.")
@shared
def show_letter(common: Common, message_id: str, names: tuple[str, ...] | None) -> None:
    """Show one dead letter: why, its earlier runs, and the message as it was sent (as JSON)."""
    with load_app(common, required=False) as app:
        letter = find_letter(app, message_id, Filters(names=names))
        attempts = history.attempts_of(app.broker, message_id)
    facts = {
        **_facts(letter),
        "attempts": [_attempt(each) for each in attempts],
        "message": _message(letter),
    }
    click.echo(msgspec.json.format(msgspec.json.encode(facts, enc_hook=repr)).decode())


@dlq.command("replay")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@filters
@_all_option
@_limit_option
@click.option("--rate", metavar="RATE", help="Spread them: 10/s, 100/m. The broker holds them.")
@_dry_run_option
@_json_option
@shared
def replay(
    common: Common,
    ids: tuple[str, ...],
    everything: bool,
    limit: int | None,
    rate: str | None,
    dry_run: bool,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Send dead letters again, under their own id: untouched, and with their counts at zero.

    The oldest go first, to the end of their queue.
    """
    given = Filters(**chosen)
    _require_a_choice(ids, given, everything, "replay")
    apart_ms = _apart_ms(rate)
    with load_app(common, required=False) as app:
        start_ms = broker_now_ms(app.broker) if rate else None
        total = Tally()

        def one(queue: str, where: Selection, most: int | None) -> Tally:
            first = None if start_ms is None else round(start_ms + apart_ms * total.done)
            return replay_selected(
                app.broker, queue, where, limit=most, start_ms=first, apart_ms=apart_ms,
                dry_run=dry_run,
            )  # fmt: skip

        if ids:
            _replay_named(app, ids, given, total, (start_ms, apart_ms), dry_run=dry_run)
        else:
            _each_queue(app, given, limit, total, one)
    _tell("Replayed", "replayed", total, dry_run=dry_run, as_json=as_json)


@dlq.command("purge")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@filters
@_all_option
@_limit_option
@_dry_run_option
@_json_option
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@shared
def purge(
    common: Common,
    ids: tuple[str, ...],
    everything: bool,
    limit: int | None,
    dry_run: bool,
    as_json: bool,
    force: bool,
    **chosen: Any,
) -> None:
    """Drop dead letters for good, the oldest first."""
    given = Filters(**chosen)
    _require_a_choice(ids, given, everything, "purge")
    with load_app(common, required=False) as app:
        letters = [find_letter(app, message_id, given) for message_id in ids]
        counted = Tally(matched=len(letters))
        if not ids:
            _each_queue(app, given, limit, counted, _purger(app, dry_run=True))
        if counted.matched and not force and not dry_run:
            click.confirm(f"Drop {counted.matched:,} dead letters for good?", abort=True)
        total = counted
        if not dry_run:
            total = Tally(matched=len(letters))
            for letter in letters:
                total.done += dead_letters.purge_dead(app.broker, letter.queue, [letter.id])
            if not ids:
                _each_queue(app, given, limit, total, _purger(app, dry_run=False))
    _tell("Purged", "purged", total, dry_run=dry_run, as_json=as_json)


def _purger(app: Windlass, *, dry_run: bool) -> Callable[[str, Selection, int | None], Tally]:
    return lambda queue, where, most: purge_selected(
        app.broker, queue, where, limit=most, dry_run=dry_run
    )


def _require_a_choice(ids: tuple[str, ...], given: Filters, everything: bool, verb: str) -> None:
    if ids and (everything or not given.is_empty):
        msg = "ids exclude filters and --all. Give the one or the other."
        raise click.UsageError(msg)
    if not (ids or everything) and given.is_empty:
        msg = (
            f"nothing chosen to {verb}. Expected ids, or --task, --reason, --error, --worker, "
            "--since, --until or --all."
        )
        raise click.UsageError(msg)


def _apart_ms(rate: str | None) -> float:
    try:
        per_second = parse_rate(rate)
    except ConfigurationError as error:
        raise click.BadParameter(str(error), param_hint="--rate") from error
    return 1000.0 / per_second if per_second else 0.0


def _each_queue(
    app: Windlass,
    given: Filters,
    limit: int | None,
    total: Tally,
    act: Callable[[str, Selection, int | None], Tally],
) -> None:
    where = given.selection(app)
    for queue in given.queues(app):
        left = None if limit is None else limit - total.matched
        if left == 0:
            return
        tally = act(queue, where, left)
        total.matched += tally.matched
        total.done += tally.done


def _replay_named(
    app: Windlass,
    ids: Iterable[str],
    given: Filters,
    total: Tally,
    pace: tuple[int | None, float],
    *,
    dry_run: bool,
) -> None:
    start_ms, apart_ms = pace
    for letter in [find_letter(app, message_id, given) for message_id in ids]:
        total.matched += 1
        if not dry_run:
            first = None if start_ms is None else round(start_ms + apart_ms * total.done)
            total.done += dead_letters.replay(app.broker, letter.queue, [letter.id], start_ms=first)


def _tell(done: str, key: str, total: Tally, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        facts = {"matched": total.matched, key: total.done, "dry_run": dry_run}
        click.echo(msgspec.json.encode(facts).decode())
    elif dry_run:
        click.echo(f"{total.matched:,} dead letters would be {key}.")
    elif done == "Purged":
        click.echo(f"Purged {total.done:,}.")
    else:
        click.echo(f"{done} {total.done:,} of {total.matched:,}.")


def _row(letter: DeadLetter) -> list[object]:
    detail = " ".join(letter.detail.split())
    return [
        letter.id,
        letter.queue,
        letter.task,
        letter.reason,
        letter.deliveries,
        letter.retries,
        text.moment(letter.at_ms),
        detail if len(detail) <= 60 else f"{detail[:57]}...",
    ]


def _facts(letter: DeadLetter) -> dict[str, object]:
    facts: dict[str, object] = msgspec.to_builtins(letter, builtin_types=(bytes,))
    facts.pop("raw", None)
    return facts


def _attempt(attempt: history.Attempt) -> dict[str, object]:
    """One attempt for people: times as text, what is not known left out."""
    facts: dict[str, object] = msgspec.to_builtins(attempt)
    for name in ("started", "ended"):
        at_ms = facts.pop(f"{name}_ms", 0)
        if isinstance(at_ms, int) and at_ms:
            facts[name] = text.moment(at_ms)
    return facts


def _message(letter: DeadLetter) -> dict[str, object]:
    """The message for people; what cannot be decoded is shown as it came."""
    message = letter.message
    if message is None:
        return {"undecodable": repr(letter.raw[:4096])}
    shown: dict[str, object] = msgspec.to_builtins(message, builtin_types=(bytes,))
    shown["body"] = _body(message.headers.content_type, message.body)
    return shown


def _body(content_type: str, body: bytes) -> object:
    """Decode JSON only: nothing that is dead may run code here."""
    if content_type in ("application/json", "json"):
        try:
            return msgspec.json.decode(body)
        except msgspec.DecodeError:
            pass
    return repr(body[:4096])
