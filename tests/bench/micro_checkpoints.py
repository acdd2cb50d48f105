"""What checkpoints cost a task: `python tests/bench/micro_checkpoints.py`, on a Redis of its own.

Prints microseconds of CPU of the task's process, the best of many rounds; a save makes a trip to
the broker beside it, which is printed in wall time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from redis_server import RedisServer
from windlass import Windlass
from windlass.brokers.base import FetchRequest
from windlass.checkpoints import save
from windlass.context import Context, pushed
from windlass.embedded_redis import find_server
from windlass.stopping import StopFlag

ROUNDS = 20


def measure(call: Callable[[], object], calls: int, clock: Callable[[], float]) -> float:
    """Return the microseconds of one call."""
    rounds = []
    for _ in range(ROUNDS):
        started = clock()
        for _ in range(calls):
            call()
        rounds.append((clock() - started) / calls * 1e6)
    return min(rounds)


def main() -> None:
    """Measure and print."""
    server = RedisServer(find_server()).start()
    app = Windlass(
        "bench", broker=server.unix_url, set_as_current=False, task_checkpoint_interval=3600
    )
    task = app.task(name="bench.long", bind=True)(lambda self: None)
    app.stop_flag = StopFlag()
    task.delay()
    request = FetchRequest(worker_id="w", queues=("default",), want=1, lease_ms=10_000_000)
    fetched = app.broker.exchange([], request)[1]
    assert fetched is not None
    (delivery,) = fetched.deliveries
    run = Context(id=delivery.id, token=delivery.token, queue="default", task="bench.long")
    with pushed(task, run):
        stop = measure(lambda: run.should_stop, 10_000, process_time)
        save(task, run, 0)
        waits = measure(lambda: save(task, run, 1), 10_000, process_time)
        cpu = measure(lambda: save(task, run, 1, force=True), 200, process_time)
        wall = measure(lambda: save(task, run, 1, force=True), 200, perf_counter)
    print(f"request.should_stop          {stop:8.2f} us")
    print(f"checkpoint, not due          {waits:8.2f} us")
    print(f"checkpoint, saved            {cpu:8.2f} us, {wall:.0f} us with the trip")
    app.close()
    server.stop()


if __name__ == "__main__":
    main()
