"""Where the broker's time goes: enqueue and exchange without tasks, slots or supervisors.

`python tests/bench/micro_broker.py [BATCH]` prints, for each operation, microseconds of wall time,
of this process' CPU and of Redis' CPU, per message.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

from harness.bench import Bench
from harness.processes import cpu_seconds

from windlass.brokers.base import Delivery, Done, FetchRequest, StoredResult
from windlass.brokers.redis import RedisBroker
from windlass.messages import Headers, Outgoing, address, encode_tail

TOTAL = 20_000
QUEUE = "micro"


@contextmanager
def measured(bench: Bench, label: str, count: int) -> Iterator[None]:
    """Print what the block costs a message."""
    own, server, wall = cpu_seconds([os.getpid()]), bench.redis.cpu_s(), time.perf_counter()
    yield
    wall = (time.perf_counter() - wall) / count * 1e6
    own = (cpu_seconds([os.getpid()]) - own) / count * 1e6
    server = (bench.redis.cpu_s() - server) / count * 1e6
    print(f"{label:42} wall {wall:7.2f}  client cpu {own:7.2f}  redis cpu {server:6.2f} us")


def outgoing(count: int) -> list[Outgoing]:
    """Build messages of a no-op task."""
    tail = encode_tail(
        address(QUEUE, "peers.windlass_app.noop"),
        Headers(origin="12345@bench", ignore_result=True),
        b"[[],{},{}]",
    )
    return [Outgoing(id=str(uuid4()), queue=QUEUE, tail=tail) for _ in range(count)]


def drain(broker: RedisBroker, batch: int, result: StoredResult | None) -> int:
    """Fetch, settle and fetch, until nothing is left. Returns how many there were."""
    request = FetchRequest(worker_id="micro", queues=(QUEUE,), want=batch, lease_ms=15_000)
    build: Callable[[Delivery], Done] = lambda d: Done(  # noqa: E731 - one expression, one use
        id=d.id, queue=d.queue, token=d.token, result=result, duration_ms=0.01
    )
    done: list[Done] = []
    total = 0
    while True:
        _, fetched = broker.exchange(done, request)
        if fetched is None or not fetched.deliveries:
            return total
        total += len(fetched.deliveries)
        done = [build(delivery) for delivery in fetched.deliveries]


def main() -> None:
    """Measure and print."""
    batch = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with Bench() as bench:
        bench.redis.clear()
        broker = RedisBroker(bench.redis.url)
        broker.enqueue(outgoing(1))
        few, many = outgoing(2_000), outgoing(TOTAL)
        payload = b"x" * 150
        with measured(bench, "bare LPUSH", 2_000):
            for _ in range(2_000):
                bench.redis.client.lpush("bare", payload)
        with measured(bench, "enqueue, one a call", 2_000):
            for message in few:
                broker.enqueue([message])
        drain(broker, 100, None)
        for result in (None, StoredResult(payload=b'j{"status":"SUCCESS"}', ttl_ms=86_400_000)):
            bench.redis.clear()
            what = "results stored" if result else "no results"
            with measured(bench, "enqueue, 1,000 a call", TOTAL):
                for start in range(0, TOTAL, 1_000):
                    broker.enqueue(many[start : start + 1_000])
            with measured(bench, f"exchange, {batch} a call, {what}", TOTAL):
                drain(broker, batch, result)
        broker.close()


if __name__ == "__main__":
    main()
