"""`windlass why ID`: why a task is not running, or how it ended, and its attempts."""

from __future__ import annotations

import textwrap

import click
import msgspec

from windlass.cli import text
from windlass.cli.options import Common, load_app, shared
from windlass.control_plane.history import Attempt
from windlass.why import Cause, Why, ask_why


@click.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line; times in ms.")
@click.option("--traceback", "shows_traceback", is_flag=True, help="Also the attempts' tracebacks.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How long workers are asked for a task that one of them has.",
)
@shared
def why(
    common: Common, ids: tuple[str, ...], as_json: bool, shows_traceback: bool, timeout: float
) -> int:
    """Say why the task ID is not running: where it is, and what it waits for.

    Tells its time, a limit, that no worker knows it or serves its queue, a paused queue, busy
    slots, what comes first, tasks of its workflow that are missing, who runs it, and how it ended;
    then its attempts that did not end well. Exit code 1 if nothing is known of one.
    """
    answers = []
    with load_app(common, required=False) as app:
        answers = [ask_why(app, id_, timeout) for id_ in ids]
    for number, answer in enumerate(answers):
        if as_json:
            click.echo(msgspec.json.encode(answer).decode())
            continue
        if number:
            click.echo()
        _show(answer, shows_traceback=shows_traceback)
    return 1 if any(answer.cause is Cause.UNKNOWN for answer in answers) else 0


def _show(answer: Why, *, shows_traceback: bool) -> None:
    place = f" in queue {answer.queue}" if answer.queue else ""
    task = f" {answer.task}" if answer.task else ""
    click.echo(f"{answer.id}{task}: {answer.stage}{place}, state {answer.state}")
    for reason in answer.reasons:
        click.echo(f"  {reason.text}")
    facts = _counts(answer)
    if facts:
        click.echo(f"  ({', '.join(facts)})")
    for number, attempt in enumerate(answer.attempts, start=1):
        click.echo(f"  attempt {number}: {_attempt(attempt)}")
        if shows_traceback and attempt.traceback:
            click.echo(textwrap.indent(attempt.traceback.rstrip(), "    "))


def _counts(answer: Why) -> list[str]:
    counted = (
        ("priority", answer.priority), ("retries", answer.retries),
        ("crashes", answer.deliveries), ("hand-backs", answer.handbacks),
        ("replays", answer.generation),
    )  # fmt: skip
    facts = [f"{name} {number}" for name, number in counted if number]
    if answer.enqueued_ms:
        facts.insert(0, f"sent {text.age(max(1, answer.now_ms - answer.enqueued_ms))} ago")
    return facts


def _attempt(attempt: Attempt) -> str:
    parts = [attempt.end]
    if attempt.ended_ms:
        parts[0] += f" {text.moment(attempt.ended_ms)}"
    if attempt.worker:
        parts.append(f"on {attempt.node}")
    if attempt.signal or attempt.exit_code is not None:
        parts.append(attempt.signal or f"exit code {attempt.exit_code}")
    if attempt.started_ms and attempt.ended_ms:
        parts.append(f"after {text.age(max(1, attempt.ended_ms - attempt.started_ms))}")
    said = f"{attempt.error}: {attempt.message}" if attempt.error else attempt.message
    return ", ".join(parts) + (f": {said}" if said else "")
