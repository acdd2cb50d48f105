"""What beat asks of a broker: where schedules are kept, compared, moved and fired.

Implemented by `windlass.redis_store.schedules` and `windlass.brokers.memory_schedules`; both pass
the same tests (tests/conformance/test_schedules.py, test_schedule_changes.py).
Next in the walk: `windlass.control_plane.schedules`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from windlass.messages import Outgoing


class Tick(msgspec.Struct, kw_only=True, frozen=True):
    """The answer to a tick.

    Attributes:
        now_ms: The broker's clock.
        until_ms: Until when somebody leads.
        leads: Whether it is the one who asked.
        changes: How often schedules were changed; less than before means that data were lost.
        head_ms: Fire time of the first schedule that is not in `due`, 0 if there is none.
        due: (name, fire time) of what is due soon, the earliest first.
    """

    now_ms: int
    until_ms: int
    leads: bool
    changes: int
    head_ms: int
    due: list[tuple[str, int]]


class Fire(msgspec.Struct, kw_only=True, gc=False):
    """Deal with one nominal time; `message` is sent if it `fires`.

    Attributes:
        generation: Of the schedule that this was decided for.
        nominal_ms: What the schedule says.
        fire_at_ms: Not before; later than the nominal time by the jitter.
        latest_ms: Not after, None for no limit.
        next_at_ms: When the next nominal time is fired, None where there is none.
        missed: How many due times up to this one are never fired.
        fires: False: this one neither.
    """

    name: str
    generation: int
    nominal_ms: int
    fire_at_ms: int
    next_at_ms: int | None
    message: Outgoing
    latest_ms: int | None = None
    missed: int = 0
    fires: bool = True
    overlap: str = "Allow"
    max_runs: int | None = None


class Fired(NamedTuple):
    """What became of a `Fire`: see fire_schedule.lua. `now_ms` is the broker's clock."""

    what: str
    now_ms: int


class Schedules(Protocol):
    """Schedules of one keyspace. Every method may raise OperationalError."""

    def now_ms(self) -> int:
        """Return the broker's time."""

    def names(self) -> list[str]:
        """Return the names of all schedules, sorted."""

    def load(self, names: Sequence[str]) -> list[dict[str, bytes]]:
        """Return the fields of schedules; empty where there is none of the name."""

    def run_ends(self, ids: Sequence[str]) -> dict[str, str]:
        """Return how runs have ended, "STATE:ms:at", '' where that is not known; live ones not."""

    def set(
        self,
        name: str,
        *,
        queue: str,
        old_queue: str,
        expected: int,
        fresh: bool,
        fire_at_ms: int | None,
        fields: Mapping[str, bytes],
    ) -> int:
        """Change a schedule if its generation is the expected one (0: there is none).

        Returns:
            Its generation now; 0 when it was another one and nothing was done.
        """

    def remove(self, name: str, *, queue: str, expected: int) -> bool:
        """Remove a schedule if its generation is the expected one."""

    def tick(self, holder: str, *, lead_ms: int, ahead_ms: int, limit: int) -> Tick:
        """Take or keep the lead (`lead_ms` 0: give it up); list what is due within `ahead_ms`."""

    def fire(self, fires: Sequence[Fire]) -> list[Fired]:
        """Deal with nominal times, each once and for ever. Each is one atomic step."""

    def trigger(self, name: str, *, generation: int, nominal_ms: int, message: Outgoing) -> bool:
        """Send a message of a schedule beside its times. False: it is gone or was changed.

        The id that it was fired with last is not fired again.
        """

    def wait(self, timeout_s: float) -> bool:
        """Wait until a schedule is changed; False after the time-out. For one thread.

        Raises:
            OperationalError: `interrupt` was called meanwhile, or the broker cannot be reached.
        """

    def interrupt(self) -> None:
        """End `wait` of another thread."""

    def close(self) -> None:
        """Close what `wait` uses."""
