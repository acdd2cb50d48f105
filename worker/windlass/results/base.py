"""What the engine asks of a result backend: bytes in, bytes out, waiting by push.

A backend keeps the newest outcome of each task id for its time to live. It knows nothing of tasks
or serializers; of the bytes it may look at one thing, `codec.is_final`. One conformance suite
(`tests/conformance/test_result_backends.py`) runs on every implementation.
Next in the walk: `windlass.results.handle`, which decodes what is read here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from windlass.errors import OperationalError


class Extended(msgspec.Struct, kw_only=True, frozen=True):
    """What `result_extended` keeps beside an outcome."""

    name: str
    args: Any = ()
    kwargs: Any = None
    worker: str | None = None
    retries: int = 0
    queue: str | None = None


class ResultMeta(msgspec.Struct, kw_only=True):
    """A decoded outcome.

    Attributes:
        task_id: Whose outcome it is.
        status: A state of `windlass.states`, or a custom one.
        result: The value; an exception for FAILURE, REVOKED and RETRY; the meta of a custom state.
        traceback: The worker's traceback as text.
        children: Ids of the tasks that the task sent.
        date_done: When the outcome was stored, by the worker's view of the broker's clock, UTC.
        parent_id: The task that sent this one.
        group_id: The group it belongs to.
        name: And all below: with `result_extended` only.
    """

    task_id: str
    status: str
    result: Any = None
    traceback: str | None = None
    children: list[Any] = msgspec.field(default_factory=list)
    date_done: datetime | None = None
    parent_id: str | None = None
    group_id: str | None = None
    name: str | None = None
    args: Any = None
    kwargs: Any = None
    worker: str | None = None
    retries: int | None = None
    queue: str | None = None


#: What listeners are given instead of an outcome when the backend is closed; told by identity.
CLOSED = b"the backend was closed"


def not_closed(raw: bytes) -> bytes:
    """Return what a listener was given.

    Raises:
        OperationalError: It is CLOSED.
    """
    if raw is CLOSED:
        raise OperationalError(
            "The app was closed while a result was waited for. The task goes on: ask for its "
            "result with app.AsyncResult(id), and close the app when nobody waits any more."
        )
    return raw


class ResultBackend(Protocol):
    """Where outcomes are kept. Thread-safe, and safe to use in a forked child.

    Every method may raise OperationalError when the backend cannot be reached, except the waits:
    they reconnect until their time is up, and look again at what was stored meanwhile.
    """

    def get_raw(self, task_id: str) -> bytes | None:
        """Return the stored outcome, or None when nothing is known of the id."""

    def get_many_raw(self, task_ids: Sequence[str]) -> list[bytes | None]:
        """Return the stored outcomes of many ids in one round trip, in their order."""

    def wait_raw(
        self, task_ids: Sequence[str], timeout_s: float | None
    ) -> tuple[str, bytes] | None:
        """Return the first *final* outcome among ids, waiting for it by push.

        Outcomes that are not final (STARTED, RETRY, progress: see `codec.is_final`) do not end
        the wait. Of those already stored, the first in the order of `task_ids` is returned. An
        outcome that is stored between the call and the beginning of the wait is not missed.

        Args:
            task_ids: At least one.
            timeout_s: Seconds; None waits for ever, 0 only looks.

        Returns:
            The id and its outcome, or None when the time is up.

        Raises:
            OperationalError: The backend was closed meanwhile.
        """

    def store_raw(self, task_id: str, payload: bytes, ttl_ms: int) -> None:
        """Store an outcome, not fenced, and wake who waits for it. ttl_ms 0 keeps it for ever."""

    def forget(self, task_ids: Sequence[str]) -> None:
        """Remove stored outcomes. Unknown ids are no error."""

    async def aget_raw(self, task_id: str) -> bytes | None:
        """Async twin of `get_raw`."""

    async def await_raw(self, task_id: str, timeout_s: float | None) -> bytes | None:
        """Async twin of `wait_raw` for one id. Cancelling it leaves nothing behind."""

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""

    def close(self) -> None:
        """Close the connections. Call it when nothing waits any more."""
