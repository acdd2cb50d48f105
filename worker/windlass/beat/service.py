"""Beat of an app: its entries declared on the broker, and a ticker. For `windlass beat` and `-B`.

Next in the walk: `windlass.beat.ticker`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from windlass import events
from windlass.beat.declared import entries_of, owner_of
from windlass.beat.ticker import MAX_INTERVAL_S, Ticker
from windlass.control_plane.schedules import reconcile_schedules
from windlass.errors import OperationalError, ScheduleError
from windlass.log import get_logger

if TYPE_CHECKING:
    from windlass.app import Windlass
    from windlass.beat.entry import Entry
    from windlass.connections import AnyBroker

log = get_logger(__name__)


class BeatService:
    """Ticks for an app until it is stopped.

    The entries are made, and so checked, here; they are declared when the service runs, again
    whenever it takes the lead, and when the broker has lost its data.

    Args:
        app: Whose entries; finalised here if it is not.
        broker: Connections of its own; closed when `run` ends.
        max_interval_s: Look at least this often; None: the setting beat_max_loop_interval.
        holder: Its name among tickers.

    Raises:
        ScheduleError: An entry is wrong.
    """

    def __init__(
        self,
        app: Windlass,
        broker: AnyBroker,
        *,
        max_interval_s: float | None = None,
        holder: str | None = None,
    ) -> None:
        self._app = app
        self._broker = broker
        self._is_declared = False
        self.entries: list[Entry] = entries_of(app)
        interval_s = max_interval_s or app.conf.current.beat_max_loop_interval or MAX_INTERVAL_S
        self.ticker = Ticker(
            broker, holder=holder, on_lead=self.declare, max_interval_s=interval_s
        )  # fmt: skip

    def declare(self) -> None:
        """Make the app's entries on the broker these.

        Raises:
            ScheduleError: A name belongs to another owner.
        """
        for entry in self.entries:
            if self._app.tasks.find(entry.task) is None:
                reason = f"task {entry.task!r} is not registered here; it is sent by name"
                log.warning(events.SCHEDULE_REFUSED, schedule=entry.name, error=reason)
        self._is_declared = True
        done = reconcile_schedules(self._broker, self.entries, owner_of(self._app))
        log.info(
            events.SCHEDULES_RECONCILED,
            entries=len(self.entries),
            created=len(done.created),
            changed=len(done.changed),
            removed=len(done.removed),
        )

    def run(self) -> None:
        """Tick until `stop`."""
        log.info(events.BEAT_STARTED, holder=self.ticker.holder, entries=len(self.entries))
        try:
            self._declare_at_start()
            self.ticker.run()
        finally:
            self._broker.close()
            log.info(events.BEAT_STOPPED, holder=self.ticker.holder)

    def _declare_at_start(self) -> None:
        """Declare also when another ticker leads: it may be of an older version of the app."""
        if self._is_declared:
            return
        try:
            self.check_names()
        except ScheduleError as error:
            # Its text is all there is to say.
            log.error(events.SCHEDULE_REFUSED, error=str(error))  # noqa: TRY400 - as said

    def check_names(self) -> None:
        """Declare once at start, so that a name that is taken is an error there.

        A broker that is away is no error: the ticker waits for it.

        Raises:
            ScheduleError: A name belongs to another owner.
        """
        try:
            self.declare()
        except ScheduleError:
            raise
        except OperationalError as error:
            log.warning(events.BEAT_BROKER_FAILED, error=str(error))

    def stop(self) -> None:
        """End `run`; from any thread."""
        self.ticker.stop()


def start_beside(app: Windlass) -> Callable[[], None]:
    """Tick in a thread of this process (`windlass worker -B`); returns what ends and awaits it.

    Raises:
        ScheduleError: An entry is wrong.
    """
    service = BeatService(app, app.new_broker())
    thread = threading.Thread(target=service.run, name="beat", daemon=True)
    thread.start()

    def stop() -> None:
        service.stop()
        thread.join(5.0)

    return stop
