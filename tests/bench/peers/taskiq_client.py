"""Client of taskiq. Bulk: 100 `kiq` at a time; it has no bulk call."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from peers import taskiq_app

AT_ONCE = 100


class TaskiqClient:
    """See `harness.peer.Client`. One event loop, run for each batch of calls."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._run(taskiq_app.broker.startup())

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:  # whatever the coroutine returns
        return self._loop.run_until_complete(work)

    def prepare(self, task: str, calls: Sequence[tuple[int, ...]]) -> None:
        """Nothing to prepare."""

    def send_each(self, task: str, calls: Sequence[tuple[int, ...]]) -> list[str]:
        """`await kiq`."""
        send = getattr(taskiq_app, task).kiq

        async def each() -> list[str]:
            return [(await send(*arguments)).task_id for arguments in calls]

        sent: list[str] = self._run(each())
        return sent

    def send_bulk(self, task: str, calls: Sequence[tuple[int, ...]]) -> list[str]:
        """`gather` of 100 `kiq`."""
        send = getattr(taskiq_app, task).kiq

        async def bulk() -> list[str]:
            ids: list[str] = []
            for start in range(0, len(calls), AT_ONCE):
                batch = [send(*arguments) for arguments in calls[start : start + AT_ONCE]]
                ids.extend(handle.task_id for handle in await asyncio.gather(*batch))
            return ids

        sent: list[str] = self._run(bulk())
        return sent

    def send_later(
        self, task: str, calls: Sequence[tuple[int, ...]], delays_s: Sequence[float]
    ) -> None:
        """taskiq schedules in a process of its own, not on a call."""
        raise RuntimeError("taskiq is not measured here")

    def send_bulk_later(self, task: str, calls: Sequence[tuple[int, ...]], delay_s: float) -> None:
        """taskiq schedules in a process of its own, not on a call."""
        raise RuntimeError("taskiq is not measured here")

    def succeeded(self, ids: Sequence[str]) -> int:
        """Ask the backend for each."""
        backend = taskiq_app.broker.result_backend

        async def count() -> int:
            found = 0
            for task_id in ids:
                if await backend.is_result_ready(task_id):
                    found += not (await backend.get_result(task_id)).is_err
            return found

        total: int = self._run(count())
        return total

    def close(self) -> None:
        """Close the connections."""
        self._run(taskiq_app.broker.shutdown())
        self._loop.close()


def make_client() -> TaskiqClient:
    """Build the client."""
    return TaskiqClient()
