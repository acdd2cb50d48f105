"""The prefork loop: one message at a time, in the main thread of a slot process."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from windlass.runtime import wire

if TYPE_CHECKING:
    from windlass.runtime.executor import Executor
    from windlass.runtime.slot_main import Channel


def run(channel: Channel, executor: Executor, lanes: int) -> None:
    """Run messages until the channel closes. `lanes` is 1: a process is the lane."""
    del lanes
    take, answer, execute = channel.take, channel.answer, executor.execute
    while (begun := take()) is not None:
        if begun.message.note:
            channel.note(wire.STARTED, begun.seq)
        started_s = perf_counter()
        outcome = execute(begun.message)
        answer(begun.seq, (perf_counter() - started_s) * 1000.0, outcome)
