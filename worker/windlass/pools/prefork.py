"""The prefork loop: one message at a time, in the main thread of a slot process."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from windlass.runtime import wire
from windlass.runtime.executor import RunRequest

if TYPE_CHECKING:
    from windlass.runtime.executor import Executor
    from windlass.runtime.slot_main import Begun, Channel


def run(channel: Channel, executor: Executor, lanes: int) -> None:
    """Run messages until the channel closes. `lanes` is 1: a process is the lane."""
    del lanes
    take, answer, execute = channel.take, channel.answer, executor.execute
    while (begun := take()) is not None:
        if begun.message.note:
            channel.note(wire.STARTED, begun.seq)
        started_s = perf_counter()
        outcome = execute(request_of(begun))
        answer(begun.seq, (perf_counter() - started_s) * 1000.0, outcome)


def request_of(begun: Begun) -> RunRequest:
    """Build what the executor takes from what came over the wire."""
    message = begun.message
    return RunRequest(
        id=message.id,
        queue=message.queue,
        token=message.token,
        raw=message.raw,
        deliveries=message.deliveries,
        handbacks=message.handbacks,
        clock_offset_ms=begun.clock_offset_ms,
    )
