"""From a BeatSchedule to the entry that is kept on the broker. Pure.

Next in the walk: `windlass_operator.reduce_schedule`.
"""

from __future__ import annotations

from windlass.beat.entry import CatchUp, Entry, Overlap, fire_id, make_entry
from windlass.errors import WindlassError
from windlass_operator.models.beatschedule import BeatSchedule, milliseconds
from windlass_operator.models.resource import InvalidSpecError

#: Life of the outcome of a run that was replaced: as long as an application's by default.
_REPLACED_MS = 86_400_000


def wanted_entry(schedule: BeatSchedule, queue_name: str) -> Entry:
    """Return what is to be on the broker.

    Args:
        schedule: The object.
        queue_name: Name of its queue on the broker.

    Raises:
        InvalidSpecError: The engine refuses it.
    """
    spec = schedule.spec
    try:
        return make_entry(
            schedule.identity.name,
            spec.timing,
            spec.task,
            queue=queue_name,
            args=spec.args,
            kwargs=spec.kwargs,
            owner=schedule.owner,
            priority=spec.priority,
            ttl_ms=None if spec.expires is None else round(spec.expires * 1000),
            catch_up=CatchUp(spec.catch_up.value.lower()),
            starting_deadline_s=spec.starting_deadline_seconds,
            overlap=Overlap(spec.concurrency_policy.value),
            jitter_s=spec.jitter,
            start_ms=milliseconds(spec.start_at),
            end_ms=milliseconds(spec.end_at),
            max_runs=spec.max_runs,
            result_ttl_ms=_REPLACED_MS,
        )
    except WindlassError as error:
        key = schedule.identity.key
        raise InvalidSpecError(f"BeatSchedule {key} has an invalid spec: {error}") from error


def trigger_id(uid: str, value: str) -> str:
    """Return the id of the run of one value of the annotation: a second try fires nothing anew."""
    return fire_id(f"{uid}:trigger:{value}", 0)
