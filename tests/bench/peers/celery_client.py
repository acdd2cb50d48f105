"""Client of Celery. Bulk: `apply_async` on one producer, the way its documentation gives."""

from __future__ import annotations

from collections.abc import Sequence

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

    def close(self) -> None:
        """Close the connections."""
        celery_app.app.close()


def make_client() -> CeleryClient:
    """Build the client."""
    return CeleryClient()
