"""States that a running task stores of itself: STARTED, progress, and custom ones.

In a worker they go through the broker, which refuses them once the run has lost its lease.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from windlass.brokers.base import StoredResult
from windlass.context import Context
from windlass.results import codec
from windlass.run_spec import spec_of
from windlass.states import READY_STATES

if TYPE_CHECKING:
    from windlass.settings.model import Settings
    from windlass.task import Task


def update_state(
    task: Task[..., Any], request: Context, task_id: str | None, state: str | None, meta: Any
) -> None:
    """See `Task.update_state`."""
    if state in READY_STATES:
        text = f"State {state!r} ends a task, so it is stored by the engine alone. Return or raise."
        raise ValueError(text)
    target = task_id or request.id
    if target is None or not spec_of(task).stores:
        return
    settings = task.app.conf.current
    if request.is_eager and not settings.task_store_eager_result:
        return
    payload = _encode(settings, request, target, state or "PROGRESS", meta)
    stored = StoredResult(payload=payload, ttl_ms=ttl_ms(settings))
    if request.token is not None and target == request.id and request.queue is not None:
        task.app.broker.set_state(target, request.queue, request.token, stored)
        return
    backend = task.app.backend
    if backend is not None:
        backend.store_raw(target, stored.payload, stored.ttl_ms)


def _encode(settings: Settings, request: Context, task_id: str, state: str, meta: Any) -> bytes:
    offset_ms = request.clock_offset_ms
    now_ms = time.time() * 1000 if offset_ms is None else time.monotonic() * 1000 + offset_ms
    about = codec.About(
        now_ms=round(now_ms),
        serializer=settings.result_serializer,
        max_bytes=settings.result_max_size_bytes,
        seals=settings.seals,
    )
    return codec.encode_state(task_id, state, meta, about)


def ttl_ms(settings: Settings) -> int:
    """Return how long results are kept, in milliseconds; 0 is for ever."""
    return round((settings.result_expires or 0) * 1000)
