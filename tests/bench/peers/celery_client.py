"""Client of Celery. Bulk: `apply_async` on one producer, the way its documentation gives."""

from __future__ import annotations

from collections.abc import Sequence

from celery import chain, chord, group
from peers import celery_app


class CeleryClient:
    """See `harness.peer.Client`."""

    def prepare(self, task: str, calls: Sequence[tuple[int, ...]]) -> None:
        """Nothing to prepare."""

    def send_each(self, task: str, calls: Sequence[tuple[int, ...]]) -> list[str]:
        """`delay`."""
        delay = getattr(celery_app, task).delay
        return [delay(*arguments).id for arguments in calls]

    def send_bulk(self, task: str, calls: Sequence[tuple[int, ...]]) -> list[str]:
        """`apply_async(producer=...)`: there is no bulk call."""
        send = getattr(celery_app, task).apply_async
        with celery_app.app.producer_or_acquire() as producer:
            return [send(arguments, producer=producer).id for arguments in calls]

    def send_later(
        self, task: str, calls: Sequence[tuple[int, ...]], delays_s: Sequence[float]
    ) -> None:
        """`apply_async(countdown=...)`."""
        send = getattr(celery_app, task).apply_async
        for arguments, delay in zip(calls, delays_s, strict=True):
            send(arguments, countdown=delay)

    def send_bulk_later(self, task: str, calls: Sequence[tuple[int, ...]], delay_s: float) -> None:
        """`apply_async(countdown=...)` on one producer."""
        send = getattr(celery_app, task).apply_async
        with celery_app.app.producer_or_acquire() as producer:
            for arguments in calls:
                send(arguments, countdown=delay_s, producer=producer)

    def succeeded(self, ids: Sequence[str]) -> int:
        """Ask the backend for each."""
        return sum(celery_app.app.AsyncResult(task_id).successful() for task_id in ids)

    def run_workflow(self, kind: str, size: int) -> None:
        """As the guides write them."""
        if kind == "chain":
            steps = [celery_app.add.s(1) for _ in range(size - 1)]
            result = chain(celery_app.add.s(0, 1), *steps)()
        else:
            result = chord([celery_app.stored.s() for _ in range(size)])(celery_app.total.s())
        assert result.get(timeout=300) == size

    def send_workflow(self, kind: str, size: int) -> None:
        """As the guides write them."""
        calls = [celery_app.add.s(1, 2) for _ in range(size)]
        if kind == "group":
            group(calls).apply_async()
        else:
            chord(calls)(celery_app.total.s())

    def close(self) -> None:
        """Close the connections."""
        celery_app.app.close()


def make_client() -> CeleryClient:
    """Build the client."""
    return CeleryClient()
