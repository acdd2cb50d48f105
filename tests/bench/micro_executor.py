"""What the executor costs for a task that does nothing: `python tests/bench/micro_executor.py`.

Prints microseconds a message (median of rounds, the garbage collector off), from the stored bytes
to the outcome.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable
from time import process_time as clock
from typing import Any

from windlass import Windlass, sending
from windlass.runtime.executor import Executor, RunRequest
from windlass.task import Task

ROUNDS, CALLS = 15, 4000


def measure(call: Callable[[], object], calls: int = CALLS) -> float:
    """Return the microseconds of one call."""
    rounds = []
    for _ in range(ROUNDS):
        started = clock()
        for _ in range(calls):
            call()
        rounds.append((clock() - started) / calls * 1e6)
    return statistics.median(rounds)


def request_for(app: Windlass, task: Task[..., Any], **options: Any) -> RunRequest:
    """Return a stored message of the task, as a fetch would give it."""
    outgoing = sending.build(app, task.name, task, (1, 2), {}, options)
    prefix = bytes([1, 48]) + bytes(18)
    return RunRequest(outgoing.id, outgoing.queue, 1, prefix + outgoing.tail)


def main() -> None:
    """Measure and print."""
    url = "redis://127.0.0.1:1"
    app = Windlass("bench", broker=url, backend=url)

    @app.task
    def noop(x: int, y: int) -> None:
        return None

    @app.task(ignore_result=True)
    def ignored(x: int, y: int) -> None:
        return None

    @app.task
    async def coroutine(x: int, y: int) -> None:
        return None

    executor = Executor(app, hostname="bench@host", soft_limit=None, pool="prefork")
    gc.disable()
    child = {"root_id": "a" * 36, "parent_id": "b" * 36}
    cases = [
        ("results ignored", request_for(app, ignored)),
        ("result stored", request_for(app, noop)),
        ("result stored, sent by another task", request_for(app, noop, **child)),
        ("async def, private loop", request_for(app, coroutine)),
    ]
    for title, request in cases:
        cost = measure(lambda request=request: executor.execute(request))
        print(f"{title:36s} {cost:7.2f} us")


if __name__ == "__main__":
    main()
