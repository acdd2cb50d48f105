"""`app.schedules`: schedules at run time, from Python.

    app.schedules.add("nightly", crontab(minute=0, hour=3), report.s(full=True))
    app.schedules.pause("nightly")

Entries that were added here stay until they are removed here; those of settings and code are
declared anew whenever beat starts, and may be paused and fired here, but not changed.
Next in the walk: `windlass.control_plane.schedules`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from windlass.beat import declared
from windlass.beat.entry import API
from windlass.beat.record import Schedule
from windlass.control_plane import schedules
from windlass.periodic import Periodic
from windlass.results.handle import AsyncResult

if TYPE_CHECKING:
    from windlass.app import Windlass
    from windlass.schedules import BaseSchedule
    from windlass.signatures import Signature
    from windlass.task import Task


class SchedulesApi:
    """The schedules of an app's broker.

    Args:
        app: Whose broker, tasks and routes.
    """

    def __init__(self, app: Windlass) -> None:
        self._app = app

    def add(
        self,
        name: str,
        schedule: float | timedelta | str | BaseSchedule,
        sig: Signature[Any] | Task[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Schedule:
        """Add an entry, or change the one of this name to this. It is in force at once.

        Args:
            name: Of the entry.
            schedule: As for `app.add_periodic_task`.
            sig: What: a task, or a signature.
            args: Arguments of the call.
            kwargs: Keyword arguments of the call.
            **options: As for `app.add_periodic_task`.

        Raises:
            ScheduleError: It is wrong, or the name belongs to the settings or a resource.
        """
        scratch = Periodic()
        scratch.add_periodic_task(schedule, sig, args, kwargs, name=name, **options)
        entry = declared.make_entry(self._app, name, scratch.periodic_tasks[name], API)
        schedules.put_schedule(self._app.broker, entry)
        return self.get(name)

    def get(self, name: str) -> Schedule:
        """Return one schedule.

        Raises:
            ScheduleError: There is none of this name.
        """
        return schedules.read_schedule(self._app.broker, name)

    def all(self) -> list[Schedule]:
        """Return all schedules, whoever declared them, by name."""
        return schedules.read_schedules(self._app.broker)

    def remove(self, name: str) -> bool:
        """Remove a schedule; what it has sent stays. Returns whether there was one.

        One of the settings comes back when beat starts: remove it there, or pause it here.
        """
        return schedules.remove_schedule(self._app.broker, name)

    def pause(self, name: str) -> bool:
        """Fire it no more until it is resumed. Returns whether it was not paused before."""
        return schedules.pause_schedule(self._app.broker, name)

    def resume(self, name: str) -> bool:
        """Fire it again, from now on. Returns whether it was paused."""
        return schedules.resume_schedule(self._app.broker, name)

    def trigger(self, name: str) -> AsyncResult[Any]:
        """Send its task now, beside its times. Returns the result handle."""
        task_id = schedules.trigger_schedule(self._app.broker, name)
        return AsyncResult(task_id, app=self._app)

    def next(self, name: str, count: int = 5) -> list[datetime]:
        """Return the next times at which it is due, in UTC."""
        broker = self._app.broker
        now_ms = schedules.schedules_of(broker).now_ms()
        found = schedules.upcoming(self.get(name), count, now_ms)
        return [datetime.fromtimestamp(at_ms / 1000, UTC) for at_ms in found]
