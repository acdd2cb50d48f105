"""What is seen of one BeatSchedule at one instant: frozen data, no client behind it."""

from __future__ import annotations

from dataclasses import dataclass

from windlass.beat.record import Schedule
from windlass_operator.models.beatschedule import BeatSchedule
from windlass_operator.observed import QueueView


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleObserved:
    """Everything about one BeatSchedule.

    Attributes:
        view: Its queue; without one when that is not declared.
        record: What the broker has under its name, whoever owns it; None if nothing.
        is_known: Whether the broker could be asked for that in this tick.
        refusal: Why what it has cannot be read, '' if it can or there is none.
    """

    schedule: BeatSchedule
    view: QueueView
    record: Schedule | None = None
    is_known: bool = False
    refusal: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether the broker has it, and as this object's."""
        return self.record is not None and self.record.entry.owner == self.schedule.owner

    @property
    def is_taken(self) -> bool:
        """Whether its name on the broker is somebody else's."""
        return self.record is not None and not self.is_ours
