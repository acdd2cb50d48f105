"""How late one ticker fires, and what many schedules cost it: `make bench-beat`.

A real Redis, a real `Ticker` in a process of its own; nothing runs what is sent. Lateness is the
broker's own time of the fire less the time that was due; what was due before the ticker ran is left
out, and so are its first seconds.

    spread    1,000 schedules, every 10 s each at another moment: 100 fires a second
    at once   1,000 crontabs, all due at the full minute
    many      10,000 schedules, every 10 minutes each at another moment: memory, CPU

Gates nothing. `--quick` takes shorter looks.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from typing import Any

import psutil

from redis_server import RedisServer
from windlass.beat.entry import Entry, make_entry
from windlass.beat.ticker import Ticker
from windlass.beat.timing import Cron, Every
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.schedules import put_schedule, read_schedules, schedules_of
from windlass.embedded_redis import find_server


def tick(url: str, keyspace: str, pipe: Any, seconds: float) -> None:
    """Run a ticker for so long and tell how late each fire was, and what it took."""
    late: list[int] = []

    def note(fire: Any, what: str, at_ms: int) -> None:
        if what == "FIRED" and fire.fire_at_ms >= counts_from[0]:
            late.append(at_ms - fire.fire_at_ms)

    counts_from = [sys.maxsize]
    ticker = Ticker(RedisBroker(url, keyspace=keyspace), on_answer=note)
    process = psutil.Process()
    deadline, before = time.monotonic() + seconds, None
    while (left_s := deadline - time.monotonic()) > 0:
        step = ticker.run_once()
        if before is None:
            before = process.cpu_times(), time.monotonic()
            counts_from[0] = ticker._store.now_ms() + 3000
        ticker._store.wait(min(step.wait_s, left_s))
    assert before is not None
    used, spent = process.cpu_times(), time.monotonic() - before[1]
    cpu = (used.user + used.system - before[0].user - before[0].system) / spent
    pipe.send((late, cpu, process.memory_info().rss / 2**20))


def measure(server: RedisServer, name: str, entries: list[Entry], seconds: float) -> None:
    """Declare the entries, let a ticker fire them, and print what it was like."""
    broker = RedisBroker(server.unix_url, keyspace=name.replace(" ", "-"))
    started_s = time.monotonic()
    for entry in entries:
        put_schedule(broker, entry)
    declared_s = time.monotonic() - started_s
    if any(isinstance(entry.timing, Cron) for entry in entries):
        # From a little before the full minute until a little after.
        left_s = 60 - schedules_of(broker).now_ms() / 1000 % 60
        time.sleep((left_s - 5) % 60)
        seconds = 12
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(
        target=tick, args=(server.unix_url, broker.keys.keyspace, theirs, seconds)
    )
    process.start()
    late, cpu, rss_mib = ours.recv()
    process.join()
    late.sort()
    at = {share: late[min(len(late) - 1, int(len(late) * share))] for share in (0.5, 0.99)}
    fired = sum(each.fired for each in read_schedules(broker))
    print(
        f"{name:<9} {len(entries):>7,} schedules, {fired:>6,} fires in {seconds:.0f} s: late by "
        f"{at[0.5]} ms (half), {at[0.99]} ms (p99), {late[-1]} ms (most); {cpu:.1%} of a core, "
        f"{rss_mib:.0f} MiB; declared in {declared_s:.1f} s",
        flush=True,
    )
    broker.close()


def spread(count: int, every_ms: int, start_ms: int) -> list[Entry]:
    """Entries that are due one after the other."""
    return [
        make_entry(
            f"s{n}",
            Every(every_ms),
            "bench.noop",
            queue="bench",
            args=[n],
            start_ms=start_ms + n * every_ms // count,
        )
        for n in range(count)
    ]


def main() -> None:
    """Measure all three."""
    look_s = 20.0 if "--quick" in sys.argv else 60.0
    binary = find_server()
    print(f"{binary.label}, Python {sys.version.split()[0]}, {psutil.cpu_count()} CPUs")
    with RedisServer(binary) as server:
        now_ms = round(time.time() * 1000)
        measure(server, "spread", spread(1000, 10_000, now_ms), look_s)
        lines = [
            make_entry(f"c{n}", Cron("* * * * *", "Europe/Paris"), "bench.noop", queue="bench")
            for n in range(1000)
        ]
        measure(server, "at once", lines, look_s)
        measure(server, "many", spread(10_000, 600_000, now_ms), look_s)


if __name__ == "__main__":
    main()
