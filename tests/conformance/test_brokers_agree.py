"""The same random moves on two brokers give the same answers: memory against Redis.

The state machine of tests/lua holds Redis against a model; this holds the memory against Redis.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from broker_samples import MemorySample, RedisSample, Sample, bury, crashed, hand_back
from broker_state import FINAL, LEASE_MS, NOW, PENDING, done
from builders import make_message
from redis_server import RedisServer
from windlass.brokers.base import Again, Delivery, FetchRequest, Park, QueueDepth, Settlement
from windlass.control_plane.dead_letters import list_dead, purge_dead, replay
from windlass.control_plane.depth import list_queues, read_depths
from windlass.control_plane.limits import list_limits, set_limits, why_blocked
from windlass.control_plane.queue_record import write_record
from windlass.messages import Headers, address, encode_tail, then_of
from windlass.redis_store.resp import packed
from workflow_samples import (
    body_hole,
    chain,
    failed,
    failure_part,
    is_failing,
    member,
    release,
    succeeded,
    wait_for,
)

#: Kept for ever: the time of outcomes is the server's own, not the test's.
KEPT = msgspec.structs.replace(FINAL, ttl_ms=0)
KEPT_PENDING = msgspec.structs.replace(PENDING, ttl_ms=0)
#: More of them with WINDLASS_EXAMPLES=1000, as the nightly run does.
RUNS = int(os.environ.get("WINDLASS_EXAMPLES", "25"))
STEPS = 60
QUEUES = ("a", "b", "c")
TASKS = ("tests.one", "tests.two")


def depths(broker: Any) -> list[QueueDepth]:
    """Depths without the age: on Redis a revoked message at the head still counts in it."""
    found = read_depths(broker, QUEUES, [])
    return [msgspec.structs.replace(depth, oldest_ms=0) for depth in found]


class Driver:
    """Chooses moves, and makes each on both brokers; the answers must be the same."""

    revoked_at_once = 2
    settled_at_once = 4

    def __init__(self, seed: int, memory: Sample, redis: Sample) -> None:
        self.rng = random.Random(seed)
        self.samples = (memory, redis)
        self.now = NOW
        self.ids: list[str] = []
        self.held: list[Delivery] = []
        self.tokens: set[tuple[str, int]] = set()

    def both(self, ask: Callable[[Any], Any]) -> Any:
        memory, redis = (ask(sample.broker) for sample in self.samples)
        assert memory == redis, (memory, redis)
        return memory

    def message(self, id_: str | None = None) -> Any:
        rng = self.rng
        if id_ is None:
            id_ = f"m{len(self.ids)}"
            self.ids.append(id_)
        times = rng.choice(
            ({}, {}, {"delay_ms": rng.choice((0, 1, 20_000))}, {"eta_ms": NOW + 500}, {"ttl_ms": 9})
        )
        return make_message(
            rng.choice(TASKS), id=id_, queue=rng.choice(QUEUES), priority=rng.choice((0, 4, 9)),
            **times,
        )  # fmt: skip

    def enqueue(self) -> None:
        messages = [self.message() for _ in range(self.rng.randint(1, 4))]
        repeated = messages + messages[:1]
        assert self.both(lambda broker: broker.enqueue(repeated))[-1] is False

    def fetch(self) -> None:
        rng = self.rng
        request = FetchRequest(
            worker_id="w1", queues=tuple(rng.sample(QUEUES, rng.randint(1, 3))),
            want=rng.randint(0, 6), lease_ms=LEASE_MS, strict=rng.random() < 0.5,
        )  # fmt: skip
        fetched = self.both(lambda broker: broker.exchange([], request)[1])
        self.held += fetched.deliveries
        self.tokens |= {(d.queue, d.token) for d in fetched.deliveries}

    def settle(self) -> None:
        rng = self.rng
        chosen = rng.sample(self.held, min(len(self.held), rng.randint(1, self.settled_at_once)))
        settlements = [self.settlement(delivery) for delivery in chosen]
        # Stale ones are told in another order, and stay in hand to be tried again.
        self.both(lambda broker: sorted(broker.exchange(settlements, None)[0]))
        if rng.random() < 0.8:
            self.held = [delivery for delivery in self.held if delivery not in chosen]

    def settlement(self, delivery: Delivery) -> Settlement:
        id_, queue, token = delivery.id, delivery.queue, delivery.token
        kinds: tuple[Callable[[], Settlement], ...] = (
            lambda: done(delivery, result=KEPT, duration_ms=1.5),
            lambda: done(delivery, followups=(self.message(), self.message(id_))),
            lambda: Again(
                id=id_, queue=queue, token=token, message=self.message(id_), result=KEPT_PENDING
            ),
            lambda: hand_back(delivery, counted=self.rng.random() < 0.5),
            lambda: crashed(delivery, result=KEPT),
            lambda: bury(delivery, result=KEPT),
            lambda: Park(id=id_, queue=queue, token=token, task=self.rng.choice(TASKS)),
        )
        return self.rng.choice(kinds)()

    def pass_time(self) -> None:
        self.now += self.rng.choice((1, 400, LEASE_MS))
        for sample in self.samples:
            sample.at(self.now)

    def renew(self) -> None:
        tokens: dict[str, list[int]] = {}
        for queue, token in sorted(self.tokens):
            if self.rng.random() < 0.5:
                tokens.setdefault(queue, []).append(token)
        self.both(lambda broker: sorted(broker.renew(tokens, LEASE_MS)))

    def reap(self) -> None:
        queue = self.rng.choice(QUEUES)
        self.both(lambda broker: broker.reap(queue, "w2"))

    def unpark(self) -> None:
        queue, task = self.rng.choice(QUEUES), self.rng.choice(TASKS)
        self.both(lambda broker: broker.unpark(queue, [task]))

    def revoke(self) -> None:
        chosen = self.rng.sample(self.ids, min(len(self.ids), self.revoked_at_once))
        waiting = [id_ for id_ in chosen if self.samples[0].broker.stage(id_) != "DONE"]
        signal = self.rng.random() < 0.5
        self.both(
            lambda broker: broker.revoke(
                waiting, result_for=lambda _: KEPT, terminate=signal, signal="SIGUSR1"
            )
        )
        self.both(lambda broker: broker.revoked(chosen))

    def bury_or_dig(self) -> None:
        queue = self.rng.choice(QUEUES)
        letters = self.both(lambda broker: [letter.id for letter in list_dead(broker, queue)])
        if letters and self.rng.random() < 0.5:
            self.both(lambda broker: replay(broker, queue, letters[:1]))
        else:
            self.both(lambda broker: purge_dead(broker, queue, letters[1:2]))

    def change_record(self) -> None:
        queue = self.rng.choice(QUEUES)
        changes = self.rng.choice(({"paused": True}, {"paused": False}, {"max_deliveries": 2}))
        self.both(lambda broker: write_record(broker, queue, **changes))

    def purge(self) -> None:
        if self.rng.random() < 0.2:
            queue = self.rng.choice(QUEUES)
            self.both(lambda broker: broker.purge(queue))

    def compare(self) -> None:
        """Everything that can be seen from outside."""
        self.both(depths)
        self.both(list_queues)
        self.both(lambda broker: [broker.stage(id_) for id_ in self.ids])
        for queue in QUEUES:
            self.both(lambda broker, queue=queue: list_dead(broker, queue))
        memory, redis = (sample.results.get_many_raw(self.ids) for sample in self.samples)
        assert memory == redis, (memory, redis)

    def run(self) -> None:
        moves = (
            self.enqueue, self.enqueue, self.fetch, self.fetch, self.settle, self.settle,
            self.pass_time, self.renew, self.reap, self.unpark, self.revoke, self.bury_or_dig,
            self.change_record, self.purge,
        )  # fmt: skip
        for _ in range(STEPS):
            self.rng.choice(moves)()
        self.compare()


class WorkflowDriver(Driver):
    """The same with workflows, and without what depends on the order of a hash."""

    #: One may release another, which Redis has looked for before.
    revoked_at_once = 1
    #: In which order the ends of one trip release is not promised.
    settled_at_once = 1

    def __init__(self, seed: int, memory: Sample, redis: Sample) -> None:
        super().__init__(seed, memory, redis)
        self.waits: list[str] = []

    def enqueue(self) -> None:
        rng, n = self.rng, len(self.ids)
        kind = rng.choice(("chain", "chord", "many"))
        names = [f"m{n}.{i}" for i in range(rng.randint(2, 4))]
        queue, times = rng.choice(QUEUES), rng.choice(({}, {"delay_ms": 400}, {"priority": 9}))
        body = release(names[-1], queue=queue, hole=body_hole(len(names) - 1), **times)
        if kind == "chain":
            message, continuations = chain(*names)
            messages = [message]
        elif kind == "chord":
            continuations = [wait_for(names[:-1], body)]
            messages = [
                member(id_, continuations[0].then(i), queue=rng.choice(QUEUES), **times)
                for i, id_ in enumerate(names[:-1])
            ]
        else:
            many = [release(f"{names[0]}.{i}", i, queue=queue) for i in range(3)]
            continuations = [wait_for(names[:1], *many, id_=names[0])]
            messages = [member(names[0], continuations[0].then(0), queue=queue)]
            names += [each.id for each in many]
        self.ids += names
        self.waits += [each.id for each in continuations]
        self.both(lambda broker: broker.enqueue(messages, continuations=continuations))

    def settlement(self, delivery: Delivery) -> Settlement:
        if then_of(delivery.raw) is None:
            return done(delivery, result=KEPT)
        value, rng = {"v": [delivery.id, "ü"]}, self.rng
        kinds: tuple[Callable[[], Settlement], ...] = (
            lambda: succeeded(delivery, value, result=KEPT),
            lambda: succeeded(delivery, value, followups=(self.message(),)),
            lambda: failed(delivery),
            lambda: bury(delivery, part=failure_part(delivery)),
            lambda: crashed(delivery, part=failure_part(delivery)),
            lambda: hand_back(delivery),
            lambda: done(delivery),
        )
        return rng.choice(kinds if not is_failing(delivery) else kinds[2:])()

    def sweep(self) -> None:
        age_ms, limit = self.rng.choice((0, 400)), self.rng.choice((1, 50))
        self.both(lambda broker: broker.sweep(age_ms, limit))

    def unpark(self) -> None:
        self.sweep()

    def compare(self) -> None:
        super().compare()
        self.both(lambda broker: broker.waiting(self.waits))


class LimitsDriver(Driver):
    """The same under limits, which no moment may exceed."""

    #: In which order the ends of one trip free slots is not promised.
    settled_at_once = 3

    def __init__(self, seed: int, memory: Sample, redis: Sample) -> None:
        super().__init__(seed, memory, redis)
        self.change_limits()

    def message(self, id_: str | None = None) -> Any:
        message = super().message(id_)
        headers = Headers(key=self.rng.choice((None, "", "a", "b", "c")))
        to = address(message.queue, self.rng.choice(TASKS))
        message.tail = encode_tail(to, headers, b"[[],{},{}]")
        return message

    def fetch(self) -> None:
        rng = self.rng
        request = FetchRequest(
            worker_id="w1", queues=tuple(rng.sample(QUEUES, rng.randint(1, 3))),
            want=rng.randint(0, 6), lease_ms=LEASE_MS, strict=rng.random() < 0.5,
            idle=rng.choice((None, None, 0, 1, 2, -2)),
        )  # fmt: skip
        fetched = self.both(lambda broker: broker.exchange([], request)[1])
        self.held += fetched.deliveries
        self.tokens |= {(d.queue, d.token) for d in fetched.deliveries}
        self.check()

    def check(self) -> None:
        """No more have slots than there were when a limit was last looked at, and none leaks."""
        store = self.samples[0].broker.store
        counts = Counter(gate for hold in store.limits.holds.values() for gate in hold.gates)
        assert counts == Counter(store.limits.used)
        for gate, used in counts.items():
            assert used <= max(self.caps.get(gate[0], [0]))
        for id_, hold in store.limits.holds.items():
            assert store.queue(hold.queue).leased.get(id_) == hold.token, "a slot has leaked"

    def change_limits(self) -> None:
        rng = self.rng
        for task in TASKS:
            changes = {
                "rate_limit": rng.choice((None, "2/s", "10/s")),
                "max_concurrency": rng.choice((None, 1, 2, 3)),
                "max_concurrency_per_key": rng.choice((None, 1, 2)),
                # Between several tasks whose keys take turns the order is not promised.
                "fair_share": task == TASKS[0] and rng.random() < 0.5,
            }
            self.both(lambda broker, t=task, c=changes: set_limits(broker, t, **c))
        self.both(list_limits)
        self.caps = {"c": [3], "k": [2]}

    def change_record(self) -> None:
        queue = self.rng.choice(QUEUES)
        changes = self.rng.choice(
            ({"paused": True}, {"paused": False}, {"max_concurrency": 2}, {"rate_limit": "5/s"},
             {"max_concurrency": None, "rate_limit": None})
        )  # fmt: skip
        self.both(lambda broker: write_record(broker, queue, **changes))
        if self.rng.random() < 0.3:
            self.change_limits()

    def reap(self) -> None:
        super().reap()
        queue = self.rng.choice(QUEUES)
        self.both(lambda broker: broker.sweep_limits(queue))
        self.check()

    def compare(self) -> None:
        super().compare()
        self.both(list_limits)
        for id_ in self.ids:
            self.both(lambda broker, id_=id_: why_blocked(broker, id_))
        self.drain()

    def drain(self) -> None:
        """With time, all comes out: nothing is lost at a gate, and no slot is."""
        for sample in self.samples:
            for queue in QUEUES:
                changes = {"paused": False, "rate_limit": None, "max_concurrency": None}
                write_record(sample.broker, queue, **changes)
        request = FetchRequest(worker_id="w1", queues=QUEUES, want=50, lease_ms=LEASE_MS)
        for _ in range(400):
            self.now += 700
            for sample in self.samples:
                sample.at(self.now)
            for queue in QUEUES:
                self.both(lambda broker, queue=queue: broker.reap(queue, "w2"))
            fetched = self.both(lambda broker: broker.exchange([], request)[1])
            ends = [done(delivery) for delivery in fetched.deliveries]
            self.both(lambda broker, ends=ends: broker.exchange(ends, None)[0])
            if not any(d.open or d.blocked or d.leased or d.scheduled for d in self.both(depths)):
                break
        left = self.both(depths)
        assert [(d.open, d.blocked, d.leased, d.scheduled) for d in left] == [(0, 0, 0, 0)] * 3
        self.check()
        assert not self.samples[0].broker.store.limits.holds
        keys = self.samples[1].broker.keys
        read = self.samples[1].broker.links.call
        assert read([packed("EXISTS", keys.holds)]) == [0]
        for queue in QUEUES:
            q = keys.queue(queue)
            parts = (q.blocked, q.line, q.turns)
            assert read([packed("EXISTS", *parts)]) == [0]


@pytest.mark.parametrize("driver", [Driver, WorkflowDriver, LimitsDriver])
def test_memory_and_redis_give_the_same_answers(
    redis_server: RedisServer, driver: type[Driver]
) -> None:
    client = redis_server.client()
    for seed in range(RUNS):
        client.flushall()
        memory, redis = MemorySample(), RedisSample(redis_server.unix_url)
        try:
            driver(seed, memory, redis).run()
        except AssertionError as error:
            pytest.fail(f"seed {seed}: {error}")
        finally:
            redis.broker.close()
            redis.other.close()
    client.close()
