"""The part of an app that declares periodic tasks in code. Mixed into `windlass.app.Windlass`.

    @app.on_after_configure.connect
    def declare(sender, **kwargs):
        sender.add_periodic_task(30, ping.s(), name="ping")
        sender.add_periodic_task("0 3 * * *", report.s(full=True), timezone="Asia/Tokyo")

Next in the walk: `windlass.beat.declared`, which makes entries of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from windlass.canvas.names import CHUNKS, START
from windlass.signals import Signal

if TYPE_CHECKING:
    from windlass.app import Windlass
    from windlass.beat.api import SchedulesApi
    from windlass.schedules import BaseSchedule
    from windlass.signatures import Signature
    from windlass.task import Task

#: What an entry may say beside the call; what is left over are options of the call.
ENTRY_OPTIONS = frozenset(
    {
        "relative", "timezone", "catch_up", "starting_deadline", "overlap", "jitter", "start",
        "end", "max_runs",
    }
)  # fmt: skip

#: What signatures of several tasks call their task: not one that could be sent.
_WORKFLOWS = frozenset({"celery.chain", "celery.group", "celery.chord", CHUNKS})


class Periodic:
    """Periodic tasks of an app, as declared in code.

    Attributes:
        on_after_configure: Sent when the modules of tasks are imported, before the settings are
            fixed: the moment to add periodic tasks. Sender is the app.
        on_after_finalize: Sent once the settings are fixed.
    """

    def __init__(self) -> None:
        self.on_after_configure = Signal("on_after_configure")
        self.on_after_finalize = Signal("on_after_finalize")
        self._periodic_tasks: dict[str, dict[str, Any]] = {}

    def add_periodic_task(
        self,
        schedule: float | timedelta | str | BaseSchedule,
        sig: Signature[Any] | Task[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        name: str | None = None,
        **options: Any,
    ) -> str:
        """Declare a periodic task beside those of the setting beat_schedule.

        Args:
            schedule: When: seconds, a timedelta, a crontab, a line of one ("0 3 * * *"), solar.
            sig: What: a task, a signature, or a workflow (chain, group, chord, chunks), which a
                worker sends when it is due.
            args: Arguments of the call; after those of a signature.
            kwargs: Keyword arguments of the call.
            name: Of the entry; by default what the signature looks like. The same name again
                replaces the entry.
            **options: `timezone`, `catch_up`, `starting_deadline`, `overlap`, `jitter`, `start`,
                `end`, `max_runs`, `relative` (docs/reference/schedules.md); everything else is an
                option of the call, as for `apply_async`.

        Returns:
            The name.
        """
        task, given, merged, named = _call_of(sig, args, kwargs or {})
        name = name or _name_of(task, merged, named)
        own = {key: options.pop(key) for key in ENTRY_OPTIONS & options.keys()}
        self._periodic_tasks[name] = {
            "task": task,
            "schedule": schedule,
            "args": merged,
            "kwargs": named,
            "options": {**given, **options},
            **own,
        }
        return name

    def _announce(self, signal: Signal) -> None:
        """Send a signal of the app's own life; what a receiver raises is an error of the app's."""
        for _, answer in signal.send(self, source=self):
            if isinstance(answer, Exception):
                raise answer

    @property
    def periodic_tasks(self) -> Mapping[str, Mapping[str, Any]]:
        """What was added in code, by name."""
        return self._periodic_tasks

    @property
    def schedules(self: Any) -> SchedulesApi:  # always an app
        """The schedules on the broker: see, add, change, pause and fire them at run time."""
        # Beat is no part of a client that only sends.
        from windlass.beat.api import SchedulesApi  # noqa: PLC0415

        app: Windlass = self
        return SchedulesApi(app)


def _call_of(
    sig: Signature[Any] | Task[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[str, Mapping[str, Any], tuple[Any, ...], dict[str, Any]]:
    """Return task, options and arguments of what is to be called."""
    if not isinstance(sig, Mapping):
        return sig.name, {}, tuple(args), dict(kwargs)
    if sig["task"] in _WORKFLOWS:
        whole = sig.clone(args, kwargs) if args or kwargs else sig
        return START, {}, (), {"workflow": dict(whole)}
    return sig.task, sig.options, (*sig.args, *args), {**sig.kwargs, **kwargs}


def _name_of(task: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    parts = [*map(repr, args), *(f"{key}={value!r}" for key, value in kwargs.items())]
    return f"{task}({', '.join(parts)})"
