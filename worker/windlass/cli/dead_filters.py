"""Which dead letters a command means: the options that say so, and what they come to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click
import msgspec

from windlass.app import Windlass
from windlass.cli import text
from windlass.cli.queues import known_queues
from windlass.control_plane.dead_letters import DeadLetter, Reason, broker_now_ms, show_dead
from windlass.control_plane.dead_selection import Selection
from windlass.errors import WindlassError

F = TypeVar("F", bound=Callable[..., Any])  # any command function


class Moment(click.ParamType[tuple[str, float]]):
    """A time, or how long ago: 2h, 2026-11-24, 2026-11-24T10:30Z.

    Gives ("ago", seconds) or ("at", seconds since the epoch).
    """

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        """Parse one value from the command line."""
        if isinstance(value, tuple):
            return value
        try:
            at = datetime.fromisoformat(str(value).strip())
        except ValueError:
            try:
                return "ago", text.Duration().convert(value, param, ctx)
            except click.BadParameter:
                self.fail(
                    f"{value!r} is no time. Expected how long ago (90s, 30m, 12h, 7d) or a time: "
                    "2026-11-24, 2026-11-24T10:30:00Z (UTC if it does not say).",
                    param,
                    ctx,
                )
        return "at", (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


class Filters(msgspec.Struct, kw_only=True, frozen=True):
    """The options that choose dead letters, as given."""

    names: tuple[str, ...] | None = None
    reason: str | None = None
    task: str | None = None
    error: str | None = None
    worker: str | None = None
    since: tuple[str, float] | None = None
    until: tuple[str, float] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing but queues is said."""
        return not any((self.reason, self.task, self.error, self.worker, self.since, self.until))

    def selection(self, app: Windlass) -> Selection:
        """Return what they mean by the broker's clock."""
        now_ms = broker_now_ms(app.broker)
        return Selection(
            task=self.task,
            reason=self.reason,
            error=self.error,
            worker=self.worker,
            since_ms=_ms(self.since, now_ms),
            until_ms=_ms(self.until, now_ms),
        )

    def queues(self, app: Windlass) -> list[str]:
        """Return the queues that are meant."""
        return list(self.names or known_queues(app))


def _ms(moment: tuple[str, float] | None, now_ms: int) -> int | None:
    if moment is None:
        return None
    kind, seconds = moment
    return now_ms - round(seconds * 1000) if kind == "ago" else round(seconds * 1000)


def queues_option(help_text: str) -> Callable[[F], F]:
    """Add the option that names queues."""
    flags = ("-Q", "--queue", "--queues")
    return click.option(*flags, "names", type=text.NameList(), help=help_text)


def filters(command: F) -> F:
    """Add the options that choose dead letters; the command takes them as keywords of `Filters`."""
    reasons = ", ".join(reason.value for reason in Reason)
    when = "How long ago (2h, 7d), or a time (2026-11-24T10:30Z)."
    options = [
        queues_option("Only in these queues; default: all."),
        click.option("--task", metavar="NAME", help="Only of this task."),
        click.option("--reason", metavar="NAME", help=f"Only with this reason: {reasons}."),
        click.option("--error", metavar="TEXT", help="Only with this text in the detail."),
        click.option("--worker", metavar="NAME", help="Only from this worker (id or node name)."),
        click.option("--since", type=Moment(), help=f"Only what died then or later. {when}"),
        click.option("--until", type=Moment(), help="Only what died then or before."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


class NoSuchDeadLetterError(WindlassError):
    """No dead letter has this id."""

    def __init__(self, message_id: str, queues: list[str]) -> None:
        super().__init__(
            f"No dead letter has the id {message_id!r} in {', '.join(queues) or 'any queue'}. "
            "`windlass dlq list` shows what is there; it may have been replayed or purged, or its "
            "retention is over."
        )


def find_letter(app: Windlass, message_id: str, given: Filters) -> DeadLetter:
    """Return a dead letter by its id.

    Raises:
        NoSuchDeadLetterError: There is none.
    """
    queues = given.queues(app)
    for queue in queues:
        letter = show_dead(app.broker, queue, message_id)
        if letter is not None:
            return letter
    raise NoSuchDeadLetterError(message_id, queues)
