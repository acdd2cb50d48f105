"""How often an enqueue is tried again when the connection fails (Celery's retry_policy)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import msgspec

from windlass.errors import BrokerAccessError, OperationalError

T = TypeVar("T")


class PublishRetry(msgspec.Struct, frozen=True, kw_only=True):
    """Pauses between tries, seconds: start, start + step, ... up to max.

    Attributes:
        max_retries: Tries after the first; 0 for none.
    """

    max_retries: int = 3
    interval_start: float = 0.0
    interval_step: float = 0.2
    interval_max: float = 1.0

    def pauses(self) -> Iterator[float]:
        """Yield the pause after each failed try but the last."""
        for attempt in range(self.max_retries):
            yield min(self.interval_start + attempt * self.interval_step, self.interval_max)

    async def acall(self, call: Callable[[bool], Awaitable[T]]) -> T:
        """Await the call, again while the broker cannot be reached and tries are left.

        It is told whether an earlier try may have done it.
        """
        import asyncio  # noqa: PLC0415 - 5 MB that a worker of plain tasks has no use for

        is_again = False
        for pause_s in self.pauses():
            try:
                return await call(is_again)
            except BrokerAccessError:
                raise
            except OperationalError:
                await asyncio.sleep(pause_s)
                is_again = True
        return await call(is_again)
