"""A worker process in the form of a Pod: what it does, and how it looks to the operator. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from windlass_operator.conditions import timestamp
from windlass_operator.desired.names import WORKER_CONTAINER
from windlass_operator.views import DELETION_COST

#: Waits before the second, third, ... restart in a row, seconds; the first is at once.
_BACKOFFS_S = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
#: A worker that ran so long has not crashed "again".
_STABLE_S = 30.0
_CRASH_LOOP = "CrashLoopBackOff"


class Process(Protocol):
    """A process that was started here."""

    @property
    def pid(self) -> int:
        """Its id."""
        ...

    def poll(self) -> int | None:
        """Return its exit status, None while it runs."""
        ...

    def send(self, number: int) -> None:
        """Send it a signal; nothing if it is over."""
        ...

    def kill(self) -> None:
        """End it and all that it started, at once."""
        ...

    def last_words(self) -> str:
        """Return the end of its output."""
        ...


@dataclass(slots=True, kw_only=True)
class Pod:
    """One worker, over all of its restarts.

    Attributes:
        labels: Of the template.
        process: None between two crashes.
        pid: Of the running process; for matching heartbeats.
        in_a_row: Crashes without a stable time between them.
        created_s: Since the epoch; all other times are of the driver's clock.
        restart_at_s: When it is started again; None unless it waits.
        deleted_s: When it was told to go.
        is_ready: It takes work, as its heartbeat says.
    """

    name: str
    namespace: str
    labels: Mapping[str, str]
    created_s: float = 0.0
    process: Process | None = None
    pid: int = 0
    started_s: float = 0.0
    in_a_row: int = 0
    restart_at_s: float | None = None
    deleted_s: float | None = None
    is_killed: bool = False
    is_ready: bool = False
    deletion_cost: int = 0
    message: str = ""

    @property
    def is_deleting(self) -> bool:
        """It was told to go."""
        return self.deleted_s is not None

    def crashed(self, now_s: float, message: str) -> None:
        """Note that its process ended unasked, and when it is to be started again."""
        self.in_a_row = 1 if now_s - self.started_s >= _STABLE_S else self.in_a_row + 1
        wait_s = _BACKOFFS_S[min(self.in_a_row, len(_BACKOFFS_S)) - 1]
        self.process, self.pid, self.is_ready = None, 0, False
        self.restart_at_s = now_s + wait_s
        self.message = message

    def stop_rank(self) -> tuple[bool, bool, int, float]:
        """The order of a ReplicaSet: not running, not ready, cheap and young ones go first."""
        return (self.process is not None, self.is_ready, self.deletion_cost, -self.created_s)

    def body(self) -> dict[str, Any]:
        """Return it as the API would."""
        metadata: dict[str, Any] = {
            "name": self.name,
            "namespace": self.namespace,
            "labels": dict(self.labels),
            "creationTimestamp": timestamp(self.created_s),
        }
        if self.deletion_cost:
            metadata["annotations"] = {DELETION_COST: str(self.deletion_cost)}
        if self.is_deleting:
            metadata["deletionTimestamp"] = timestamp(self.created_s)
        waiting = {"reason": _CRASH_LOOP} if self.restart_at_s is not None else {}
        ended = {"message": self.message} if self.message else {}
        container = {
            "name": WORKER_CONTAINER,
            "restartCount": self.in_a_row,
            "state": {"waiting": waiting} if waiting else {"running": {}},
            "lastState": {"terminated": ended} if ended else {},
        }
        return {
            "metadata": metadata,
            "status": {
                "phase": "Running",
                "containerStatuses": [container],
                "conditions": [{"type": "Ready", "status": "True" if self.is_ready else "False"}],
            },
        }
