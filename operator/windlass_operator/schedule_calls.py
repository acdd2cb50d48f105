"""What is done to schedules on a broker: by the operator and by `windlass up` alike."""

from __future__ import annotations

from windlass.brokers.redis import RedisBroker
from windlass.control_plane import schedules
from windlass_operator.plan import OnSchedule, PauseSchedule, PutSchedule, TriggerSchedule


def do_to_schedule(broker: RedisBroker, action: OnSchedule) -> None:
    """Carry an action out.

    Raises:
        ScheduleError: The schedule is somebody else's, or there is none.
        OperationalError: The broker cannot be reached.
    """
    match action:
        case PutSchedule():
            schedules.put_schedule(
                broker, action.entry, uid=action.uid, is_paused=action.is_paused
            )  # fmt: skip
        case PauseSchedule(is_paused=True):
            schedules.pause_schedule(broker, action.name)
        case PauseSchedule():
            schedules.resume_schedule(broker, action.name)
        case TriggerSchedule():
            schedules.trigger_schedule(broker, action.name, action.run_id)
        case _:
            found = schedules.read_schedules(broker, [action.name])
            if found and found[0].entry.owner == action.owner:
                schedules.remove_schedule(broker, action.name, owner=action.owner)
