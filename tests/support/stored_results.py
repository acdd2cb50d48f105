"""Stores outcomes as a worker would, in a backend in memory, and makes handles of them."""

from __future__ import annotations

from typing import Any

from windlass import Windlass
from windlass.result import AsyncResult
from windlass.results import codec
from windlass.results.codec import About
from windlass.results.memory import MemoryResults

NOW_MS = 1_764_000_000_000


class StoredResults:
    """One app, its backend, and what is in it."""

    def __init__(self, app: Windlass, backend: MemoryResults) -> None:
        self.app, self.backend = app, backend

    def handle(self, task_id: str = "t", **more: Any) -> AsyncResult[Any]:
        return AsyncResult(task_id, backend=self.backend, app=self.app, **more)

    def succeed(self, task_id: str = "t", value: Any = 42, **more: Any) -> None:
        raw = codec.encode_success(task_id, value, About(now_ms=NOW_MS, **more))
        self.backend.store_raw(task_id, raw, 0)

    def fail(self, task_id: str = "t", exc: BaseException | None = None) -> None:
        raw = codec.encode_failure(task_id, exc or ValueError("no"), "worker's tb", About())
        self.backend.store_raw(task_id, raw, 0)

    def set_state(self, state: str, meta: Any, task_id: str = "t") -> None:
        self.backend.store_raw(task_id, codec.encode_state(task_id, state, meta, About()), 0)

    def waiters(self) -> int:
        return len(self.backend._listeners)
