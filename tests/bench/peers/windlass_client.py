"""Client of Windlass: `delay`, and `send_many` for bulk."""

from __future__ import annotations

from collections.abc import Sequence

from peers import windlass_app, windlass_limits_app, windlass_sleeps_app

from windlass import chain, chord, group


class WindlassClient:
    """See `harness.peer.Client`."""

    def prepare(self, task: str, calls: Sequence[tuple[int, ...]]) -> None:
        """Nothing to prepare."""

    def send_each(self, task: str, calls: Sequence[tuple[int, ...]]) -> list[str]:
        """`delay`."""
        delay = getattr(windlass_app, task).delay
        return [delay(*arguments).id for arguments in calls]

    def send_bulk(self, task: str, calls: Sequence[tuple[int, ...]]) -> list[str]:
        """`send_many`."""
        modules = (windlass_app, windlass_limits_app, windlass_sleeps_app)
        module = next(each for each in modules if hasattr(each, task))
        handles = getattr(module, task).send_many([(arguments, {}) for arguments in calls])
        return [handle.id for handle in handles]

    def send_later(
        self, task: str, calls: Sequence[tuple[int, ...]], delays_s: Sequence[float]
    ) -> None:
        """`apply_async(countdown=...)`."""
        send = getattr(windlass_app, task).apply_async
        for arguments, delay in zip(calls, delays_s, strict=True):
            send(arguments, countdown=delay)

    def send_bulk_later(self, task: str, calls: Sequence[tuple[int, ...]], delay_s: float) -> None:
        """`send_many(countdown=...)`."""
        getattr(windlass_app, task).send_many(
            [(arguments, {}) for arguments in calls], countdown=delay_s
        )

    def succeeded(self, ids: Sequence[str]) -> int:
        """Ask the backend for each."""
        return sum(windlass_app.app.AsyncResult(task_id).successful() for task_id in ids)

    def run_workflow(self, kind: str, size: int) -> None:
        """As the guides write them."""
        if kind == "chain":
            steps = [windlass_app.add.s(1) for _ in range(size - 1)]
            result = chain(windlass_app.add.s(0, 1), *steps)()
        else:
            result = chord([windlass_app.stored.s() for _ in range(size)])(windlass_app.total.s())
        assert result.get(timeout=300) == size

    def send_workflow(self, kind: str, size: int) -> None:
        """As the guides write them."""
        calls = [windlass_app.add.s(1, 2) for _ in range(size)]
        if kind == "group":
            group(calls).apply_async()
        else:
            chord(calls)(windlass_app.total.s())

    def close(self) -> None:
        """Close the connections."""
        windlass_app.app.close()


def make_client() -> WindlassClient:
    """Build the client."""
    return WindlassClient()
