"""Flapping under a constant random load: changes and reversals an hour, by down window.

    .venv/bin/python tests/bench/anti_flap.py [--hours 4] [--seeds 3]

Poisson arrivals at 8/s, tasks of 0.5 s, one slot a replica, a tick every 5 s; a worker takes 10 s
to start. The real `decide_replicas` and the real smoothing decide; the first down window is not
counted, since an operator that has just started shrinks nothing in it.
"""

from __future__ import annotations

import argparse
import random
import statistics
from dataclasses import dataclass

from windlass_operator.scaling.decide import PoolInputs, decide_replicas
from windlass_operator.scaling.demand import QueueDemand, need_slots
from windlass_operator.scaling.smoothing import QueueHistory, QueueTotals, update
from windlass_operator.scaling.stabilize import Behavior, Memory

TICK_S = 5.0
START_S = 10.0
RATE = 8.0
SERVICE_S = 0.5
STEP_S = 0.5


@dataclass(slots=True)
class Tally:
    """What one simulated time brought."""

    changes: int = 0
    reversals: int = 0
    backlog: int = 0
    replicas: int = 0
    ticks: int = 0


class Load:
    """Tasks that arrive, wait and run, half a second at a time."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self.enqueued = self.completed = self.waiting = self.running = 0

    def pass_time(self, seconds: float, slots: int) -> None:
        """Each step every running task ends and free slots take what waits."""
        for _ in range(int(seconds / STEP_S)):
            self.completed += self.running
            self.running = 0
            arrived = self._poisson(RATE * STEP_S)
            self.enqueued += arrived
            self.waiting += arrived
            self.running = min(self.waiting, slots)
            self.waiting -= self.running

    def _poisson(self, mean: float) -> int:
        count, passed = 0, self._chance.expovariate(1.0)
        while passed < mean:
            count += 1
            passed += self._chance.expovariate(1.0)
        return count


class Pool:
    """Replicas as the real code decides them; a worker takes a while to start."""

    def __init__(self, window_s: float) -> None:
        self._behavior = Behavior(minimum=0, maximum=100, down_window_s=window_s)
        self._memory = Memory(since_s=0.0, last_active_s=0.0)
        self._history = QueueHistory()
        self._starting: list[tuple[float, int]] = []
        self.replicas = 0

    def slots(self, now_s: float) -> int:
        """Slots of workers that have started."""
        return max(0, self.replicas - sum(n for at_s, n in self._starting if at_s > now_s))

    def decide(self, load: Load, now_s: float) -> int:
        """Take the next decision and return the change."""
        totals = QueueTotals(
            at_s=now_s,
            enqueued=load.enqueued,
            completed=load.completed,
            service_ms=load.completed * SERVICE_S * 1000,
        )
        self._history = update(self._history, totals, 300.0)
        demand = QueueDemand(
            name="q",
            backlog=load.waiting,
            running=load.running,
            arrival_rate=self._history.arrival_rate,
            service_s=self._history.service_s,
        )
        inputs = PoolInputs(
            current=self.replicas,
            slots=1,
            queues=(demand,),
            shares={"q": need_slots(demand)},
            behavior=self._behavior,
            memory=self._memory,
        )
        decision = decide_replicas(inputs, now_s)
        change = decision.replicas - self.replicas
        self._memory, self.replicas = decision.memory, decision.replicas
        self._starting = [start for start in self._starting if start[0] > now_s]
        if change > 0:
            self._starting.append((now_s + START_S, change))
        return change


def simulate(window_s: float, hours: float, seed: int) -> Tally:
    """Run one pool for some hours."""
    load, tally, pool = Load(seed), Tally(), Pool(window_s)
    direction, now_s, warm_s = 0, 0.0, window_s + 600.0
    while now_s < hours * 3600 + warm_s:
        now_s += TICK_S
        load.pass_time(TICK_S, pool.slots(now_s))
        change = pool.decide(load, now_s)
        if now_s > warm_s:
            tally.ticks += 1
            tally.replicas += pool.replicas
            tally.backlog = max(tally.backlog, load.waiting)
            tally.changes += change != 0
            tally.reversals += change * direction < 0
        direction = change or direction
    return tally


def main() -> None:
    """Print a line for each window."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=4.0)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    print(f"Poisson {RATE:g}/s, {SERVICE_S:g} s each, tick {TICK_S:g} s, {given.hours:g} h "
          f"x {given.seeds} seeds")  # fmt: skip
    print(f"{'window':>7} {'changes/h':>10} {'reversals/h':>12} {'most waiting':>13} {'mean':>6}")
    for window_s in (0.0, 60.0, 120.0, 300.0):
        runs = [simulate(window_s, given.hours, seed) for seed in range(given.seeds)]
        print(
            f"{window_s:7g} {statistics.mean(r.changes for r in runs) / given.hours:10.1f} "
            f"{statistics.mean(r.reversals for r in runs) / given.hours:12.1f} "
            f"{max(r.backlog for r in runs):13d} "
            f"{statistics.mean(r.replicas / r.ticks for r in runs):6.2f}"
        )


if __name__ == "__main__":
    main()
