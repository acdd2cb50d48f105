"""Random sends, runs, ends and crashes of unique messages, held against a model of key holders.

At every send: refused exactly when the model has a holder, with that one's id. After every move:
one message of a key where it is unique until it is done, and every message that was taken in and
not ended is where it was left.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from typing import Any

import pytest

from broker_samples import MemorySample, RedisSample, Sample, crashed, hand_back
from broker_state import FINAL, LEASE_MS, NOW, done, settle
from builders import make_message
from redis_server import RedisServer
from unique_samples import GONE, make_unique, take
from windlass.brokers.base import Again, Delivery
from windlass.states import Stage

RUNS = int(os.environ.get("WINDLASS_EXAMPLES", "12"))
STEPS = 90
MODES = ("queued", "started", "done", "period")
PERIOD_MS = 500
QUEUES = ("q", "p")


@dataclass
class Life:
    """What the test knows of one message."""

    key: str
    queue: str
    state: str = "waits"  # or leased, ended
    is_new: bool = True
    deliveries: int = 0


class Machine:
    """Moves of one broker, chosen by a seed."""

    def __init__(self, seed: int, sample: Sample) -> None:
        self.rng = random.Random(seed)
        self.sample = sample
        self.broker = sample.broker
        self.now = NOW
        self.lives: dict[str, Life] = {}
        self.owner: dict[str, str] = {}
        self.until: dict[str, int] = {}
        self.held: list[Delivery] = []

    def holder(self, key: str) -> str | None:
        """Who holds a key, by the meaning of its mode."""
        mode, owner = key.partition(":")[0], self.owner.get(key)
        if owner is None:
            return None
        life = self.lives[owner]
        holds = {
            "queued": life.state == "waits",
            "started": life.state == "waits" and life.is_new,
            "done": life.state != "ended",
            "period": self.until.get(key, 0) > self.now,
        }[mode]
        return owner if holds else None

    def send(self) -> None:
        rng, id_ = self.rng, f"m{len(self.lives)}"
        mode = rng.choice(MODES)
        key, how = f"{mode}:{rng.randint(0, 2)}", rng.choice(("return", "reject", "replace"))
        queue, times = rng.choice(QUEUES), rng.choice(({}, {"delay_ms": 300}, {"priority": 9}))
        message = make_unique(
            id_, mode, key=key, queue=queue, on_duplicate=how, period_ms=PERIOD_MS, **times
        )
        before = self.holder(key)
        (answer,) = self.broker.enqueue_unique([message], result_for=lambda _: GONE)
        replaces = before is not None and how == "replace" and self.lives[before].state == "waits"
        if before is not None and not replaces:
            assert (answer.id, answer.is_held) == (before, True), f"{key} is held by {before}"
            return
        assert (answer.id, answer.is_new) == (id_, True), f"{key}: nobody holds it"
        if before is not None:
            assert self.broker.stage(before) is Stage.DONE
            self.lives[before].state = "ended"
        self.lives[id_] = Life(key, queue)
        self.owner[key], self.until[key] = id_, self.now + PERIOD_MS

    def fetch(self) -> None:
        for delivery in take(self.broker, self.rng.randint(1, 4), self.rng.choice(QUEUES)):
            life = self.lives[delivery.id]
            assert life.state == "waits", f"{delivery.id} is {life.state}"
            life.state = "leased"
            self.held.append(delivery)

    def settle(self) -> None:
        if not self.held:
            return
        delivery = self.held.pop(self.rng.randrange(len(self.held)))
        life, how = (
            self.lives[delivery.id],
            self.rng.choice(("done", "ignored", "retry", "back", "crash")),
        )
        if how == "crash" and life.deliveries == 2:
            how = "done"
        if how in ("done", "ignored"):
            stale = settle(self.broker, done(delivery, result=FINAL if how == "done" else None))
            life.state = "ended"
        elif how == "retry":
            self.pass_time(1)  # a retry is told from the first try by when it was stored
            again = make_message(
                id=delivery.id, queue=life.queue, delay_ms=self.rng.choice((0, 300))
            )
            end = Again(id=delivery.id, queue=life.queue, token=delivery.token, message=again)
            stale = settle(self.broker, end)
            life.state, life.is_new, life.deliveries = "waits", False, 0
        elif how == "back":
            stale = settle(self.broker, hand_back(delivery, counted=True))
            life.state = "waits"
        else:
            stale = settle(self.broker, crashed(delivery))
            life.state, life.is_new = "waits", False
            life.deliveries += 1
        assert stale == []

    def lose(self) -> None:
        """All leases run out; nobody had begun a run that is not counted now."""
        self.pass_time(LEASE_MS + 1)
        for queue in QUEUES:
            self.broker.reap(queue, "w2")
        for delivery in self.held:
            life = self.lives[delivery.id]
            life.is_new, life.deliveries = False, life.deliveries + 1
            life.state = "waits" if life.deliveries < 3 else "ended"
        self.held.clear()

    def revoke(self) -> None:
        waiting = [id_ for id_, life in self.lives.items() if life.state == "waits"]
        if waiting:
            id_ = self.rng.choice(waiting)
            self.broker.revoke([id_], result_for=lambda _: GONE)
            self.lives[id_].state = "ended"

    def purge(self) -> None:
        queue = self.rng.choice(QUEUES)
        self.broker.purge(queue)
        for life in self.lives.values():
            if life.queue == queue and life.state == "waits":
                life.state = "ended"

    def sweep(self) -> None:
        self.broker.sweep_unique()

    def pass_time(self, ms: int | None = None) -> None:
        self.now += self.rng.choice((1, 200, 501)) if ms is None else ms
        self.sample.at(self.now)

    def check(self) -> None:
        live = [life.key for life in self.lives.values() if life.state != "ended"]
        unique = [key for key in live if key.startswith("done:")]
        assert len(unique) == len(set(unique)), "two of one key"
        for id_, life in self.lives.items():
            if life.state == "leased":
                assert self.broker.stage(id_) is Stage.LEASED
            elif life.state == "waits":
                assert self.broker.stage(id_) in (Stage.QUEUED, Stage.SCHEDULED), f"{id_} is lost"

    def run(self) -> None:
        moves = (
            *[self.send] * 6, *[self.fetch] * 3, *[self.settle] * 4, self.pass_time, self.sweep,
            self.revoke,
        )  # fmt: skip
        for _ in range(STEPS):
            move = self.rng.choice(moves)
            if self.rng.random() < 0.02:
                move = self.rng.choice((self.lose, self.purge))
            move()
            self.check()


def run(seed: int, sample: Any) -> None:
    machine = Machine(seed, sample)
    try:
        machine.run()
    except AssertionError as error:
        pytest.fail(f"seed {seed}: {error}")
    finally:
        sample.broker.close()
        sample.other.close()


def test_keys_have_one_holder_and_nothing_is_lost_or_refused_for_nothing_in_memory() -> None:
    for seed in range(RUNS):
        run(seed, MemorySample())


def test_keys_have_one_holder_and_nothing_is_lost_or_refused_for_nothing_on_redis(
    redis_server: RedisServer,
) -> None:
    client = redis_server.client()
    for seed in range(RUNS):
        client.flushall()
        run(seed, RedisSample(redis_server.unix_url))
    client.close()
