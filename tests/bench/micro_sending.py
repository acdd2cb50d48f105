"""What a call costs in Python before the broker: `python tests/bench/micro_sending.py`.

Prints microseconds a call (median of rounds, the garbage collector off) with a broker that throws
messages away.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Sequence
from time import process_time as clock

from windlass import Windlass, context
from windlass.context import Context
from windlass.messages import Outgoing

ROUNDS, CALLS = 15, 4000


class NoBroker:
    """Takes messages and keeps none."""

    def enqueue(self, messages: Sequence[Outgoing], retry: object = None) -> list[bool]:
        """Say that all are new."""
        return [True] * len(messages)


def measure(call: Callable[[], object], calls: int = CALLS) -> float:
    """Return the microseconds of one call."""
    rounds = []
    for _ in range(ROUNDS):
        started = clock()
        for _ in range(calls):
            call()
        rounds.append((clock() - started) / calls * 1e6)
    return statistics.median(rounds)


def main() -> None:
    """Measure and print."""
    app = Windlass("bench", broker="redis://127.0.0.1:1", backend="redis://127.0.0.1:1")
    vars(app)["_broker"] = NoBroker()

    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    gc.disable()
    hundred = [(1, 2)] * 100
    running = Context(id="a" * 36, called_directly=False, task="bench.outer")
    print(f"add.delay(1, 2)                    {measure(lambda: add.delay(1, 2)):7.2f} us")
    print(f"add.delay(x=1, y=2)                {measure(lambda: add.delay(x=1, y=2)):7.2f} us")
    options = measure(lambda: add.apply_async((1, 2), queue="other", countdown=5))
    print(f"add.apply_async(.., queue, delay)  {options:7.2f} us")
    with context.pushed(add, running):
        print(f"add.delay(1, 2) inside a task      {measure(lambda: add.delay(1, 2)):7.2f} us")
    many = measure(lambda: add.send_many(hundred), CALLS // 100) / 100
    print(f"add.send_many, 100 at once         {many:7.2f} us a call")


if __name__ == "__main__":
    main()
