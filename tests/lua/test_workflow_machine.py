"""Random workflows, whatever happens to them: each part counts once, each step is sent once."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from broker_samples import bury, crashed, hand_back
from broker_state import LEASE_MS, NOW, at, fetch, leftovers, read
from redis_server import RedisServer
from windlass.brokers.base import Delivery, StepDone
from windlass.brokers.redis import RedisBroker
from windlass.continuations import LOST, Continuation
from windlass.control_plane.dead_letters import list_dead, purge_dead, replay
from windlass.messages import Outgoing, Then, then_of
from workflow_samples import (
    args_of,
    body_hole,
    failed,
    failure_part,
    is_failing,
    member,
    part_of,
    release,
    succeeded,
    wait_for,
)

EXAMPLES = int(os.environ.get("WINDLASS_EXAMPLES", "25"))
QUEUES = ("a", "b")
#: A step, a chain of them, or a chord: what is before its body.
TREES = st.recursive(
    st.just("step"),
    lambda inner: st.tuples(
        st.sampled_from(("chain", "chord")), st.lists(inner, min_size=1, max_size=3)
    ),
    max_leaves=6,
)


class Wait:
    """What the test knows of one continuation."""

    def __init__(self, declared: Continuation) -> None:
        self.declared = declared
        self.parts: dict[int, Any] = {}
        self.is_over = False


class WorkflowMachine(RuleBasedStateMachine):
    """A broker, and a model of what its continuations wait for."""

    def __init__(self, server: RedisServer) -> None:
        super().__init__()
        server.client().flushall()
        self.broker = RedisBroker(server.unix_url, keyspace="flow")
        self.now = NOW
        self.numbers = itertools.count()
        self.waits: dict[str, Wait] = {}
        self.held: list[Delivery] = []
        self.seen: list[Delivery] = []
        self.sent: Counter[str] = Counter()
        self.expected: dict[str, Any] = {}
        at(self.broker, NOW)

    # -- building

    def build(self, tree: Any, then: Then | None, made: list[Continuation]) -> tuple[str, str, Any]:
        """Return (id of the last message, its source, what starts it) of a tree."""
        id_ = f"m{next(self.numbers)}"
        queue = QUEUES[len(id_) % 2]
        if tree == "step":
            return id_, "", [member(id_, then, queue=queue)]
        kind, inner = tree
        if kind == "chain":
            return self.chained(inner, then, made)
        parts = [f"part{n}" for n in range(len(inner))]
        waits = wait_for(parts, release(id_, then=then, queue=queue, hole=body_hole(len(parts))))
        built = [self.build(each, waits.then(n), made) for n, each in enumerate(inner)]
        waits.members = tuple(last for last, _, _ in built)
        waits.sources = tuple(source for _, source, _ in built)
        made.append(waits)
        return id_, waits.id, [message for _, _, first in built for message in first]

    def chained(
        self, trees: list[Any], then: Then | None, made: list[Continuation]
    ) -> tuple[str, str, Any]:
        """Build the first of them, and a step that comes after it."""
        id_ = f"m{next(self.numbers)}"
        waits = wait_for(["x"], release(id_, then=then, queue="a"))
        last, source, first = self.build(trees[0], waits.then(0), made)
        waits.members, waits.sources = (last,), (source,)
        made.append(waits)
        return id_, waits.id, first

    @initialize(tree=TREES)
    def begin(self, tree: Any) -> None:
        self.start(tree, again=False)

    @rule(tree=TREES, again=st.booleans())
    def start(self, tree: Any, again: bool) -> None:
        made: list[Continuation] = []
        messages: list[Outgoing] = self.build(tree, None, made)[2]
        for _ in range(1 + again):  # the reply was lost: the client sends again
            self.broker.enqueue(messages, continuations=made)
        self.waits |= {each.id: Wait(each) for each in made}
        self.sent.update(message.id for message in messages)

    # -- the model

    def take(self, then: Then | None, value: Any, *, ok: bool) -> None:
        wait = None if then is None else self.waits.get(then.id)
        if wait is None or then is None or wait.is_over or then.index in wait.parts:
            return
        wait.parts[then.index] = value
        if ok and len(wait.parts) < wait.declared.need:
            return
        wait.is_over = True
        for each in wait.declared.releases:
            self.sent[each.id] += 1
            is_list = wait.declared.need > 1 or each.before.startswith(b"[[[")
            values = [wait.parts.get(n) for n in range(wait.declared.need)]
            self.expected[each.id] = [values if is_list else values[0]] if ok else "failing"

    # -- working

    @rule(want=st.integers(1, 6))
    def fetch(self, want: int) -> None:
        for delivery in fetch(self.broker, want, QUEUES, strict=True).deliveries:
            expected = self.expected.get(delivery.id, [])
            if expected == "failing":
                assert is_failing(delivery)
            else:
                assert args_of(delivery) == expected
            self.held.append(delivery)
            self.seen.append(delivery)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), repeat=st.booleans())
    def settle(self, data: st.DataObject, repeat: bool) -> None:
        chosen = data.draw(
            st.lists(st.sampled_from(self.held), min_size=1, unique_by=lambda each: each.id)
        )
        kinds = st.sampled_from(("ok", "ok", "ok", "failed", "bury", "crash", "back", "held"))
        ends = [self.end(delivery, data.draw(kinds)) for delivery in chosen]
        stale = set(self.broker.exchange([end for end, _, _ in ends], None)[0])
        if repeat:
            assert len(self.broker.exchange([end for end, _, _ in ends], None)[0]) == len(ends)
        for delivery, (_, ok, value) in zip(chosen, ends, strict=True):
            self.held.remove(delivery)
            if delivery.id not in stale and ok is not None:
                self.take(then_of(delivery.raw), value, ok=ok)

    def end(self, delivery: Delivery, kind: str) -> tuple[Any, bool | None, Any]:
        """Return (settlement, whether its part is a value, the value); None for no part."""
        then = then_of(delivery.raw)
        value = f"{delivery.id}:{len(self.seen)}"
        if kind == "back" or then is None:
            ended = hand_back if kind == "back" else succeeded
            return ended(delivery), None, None
        if kind in ("bury", "crash"):
            part = failure_part(delivery, LOST)
            is_dead = kind == "bury" or delivery.deliveries == 2
            end: Any = bury(delivery, part=part) if kind == "bury" else crashed(delivery, part=part)
            return end, False if is_dead else None, None
        if kind == "held":
            held: dict[str, Any] = {"holds": then, "holder": "wgone"}
            held |= {"id": delivery.id, "queue": delivery.queue, "token": delivery.token}
            return StepDone(**held), None, None
        if kind == "failed" or is_failing(delivery):
            return failed(delivery), False, None
        return succeeded(delivery, value), True, value

    @precondition(lambda self: self.seen)
    @rule(data=st.data())
    def deliver_again(self, data: st.DataObject) -> None:
        """An acknowledged member's part, or one that has come already."""
        delivery = data.draw(st.sampled_from(self.seen))
        then = then_of(delivery.raw)
        if then is not None and not is_failing(delivery):
            self.broker.deliver([part_of(delivery, "again")])
            self.take(then, "again", ok=True)

    # -- what else may happen

    @precondition(lambda self: self.waits)
    @rule(data=st.data())
    def revoke(self, data: st.DataObject) -> None:
        id_ = data.draw(st.sampled_from(sorted(self.sent)))
        raw = read(self.broker, "HGET", self.broker.keys.messages, id_)
        stage = self.broker.revoke([id_])[id_]
        if stage in ("QUEUED", "SCHEDULED", "PARKED"):
            self.take(then_of(raw), None, ok=False)

    @rule(queue=st.sampled_from(QUEUES))
    def purge(self, queue: str) -> None:
        q = self.broker.keys.queue(queue)
        condemned = read(self.broker, "SMEMBERS", q.condemned)
        ids = [
            id_ for id_ in read(self.broker, "LRANGE", q.ready[0], 0, -1) if id_ not in condemned
        ]
        raws = [read(self.broker, "HGET", self.broker.keys.messages, id_) for id_ in ids]
        self.broker.purge(queue)
        for raw in raws:
            self.take(then_of(raw), None, ok=False)

    @rule(queue=st.sampled_from(QUEUES))
    def lose_a_worker(self, queue: str) -> None:
        self.now += LEASE_MS + 1
        at(self.broker, self.now)
        lost = [each for each in self.held if each.queue == queue]
        owned = read(self.broker, "HGETALL", self.broker.keys.queue(queue).leased)
        owners = dict(zip(owned[::2], owned[1::2], strict=True))
        self.broker.reap(queue, "w2")
        for each in lost:
            is_owner = owners.get(each.id.encode()) == str(each.token).encode()
            if is_owner and each.deliveries == 2:
                self.take(then_of(each.raw), None, ok=False)

    @precondition(lambda self: self.waits)
    @rule(data=st.data())
    def vanish(self, data: st.DataObject) -> None:
        """A message is gone, as after a mistake of somebody with the keys."""
        id_ = data.draw(st.sampled_from(sorted(self.sent)))
        for queue in QUEUES:
            q = self.broker.keys.queue(queue)
            if read(self.broker, "LREM", q.ready[0], 1, id_):
                read(self.broker, "SREM", q.condemned, id_)
                read(self.broker, "HDEL", self.broker.keys.messages, id_)
                read(self.broker, "HDEL", self.broker.keys.attempts, id_)

    @rule()
    def sweep(self) -> None:
        lost = [(id_, index) for id_, wait in self.waits.items() for index in self.lost_in(wait)]
        ended = self.broker.sweep(0, 1000)
        assert ended == len({id_ for id_, _ in lost})
        for id_, index in lost:
            self.take(Then(id_, index), None, ok=False)

    def lost_in(self, wait: Wait) -> list[int]:
        """The parts of a wait that cannot come any more, as the keys have it."""
        if wait.is_over:
            return []
        keys, found = self.broker.keys, []
        for index, id_ in enumerate(wait.declared.members):
            source = wait.declared.sources[index] if wait.declared.sources else ""
            is_dead = any(read(self.broker, "ZSCORE", keys.queue(q).dead, id_) for q in QUEUES)
            is_there = read(self.broker, "HEXISTS", keys.messages, id_) and not is_dead
            is_to_come = bool(source) and not self.waits[source].is_over
            if index not in wait.parts and not is_there and not is_to_come:
                found.append(index)
        return found

    @rule(queue=st.sampled_from(QUEUES))
    def dig_up(self, queue: str) -> None:
        replay(self.broker, queue, [letter.id for letter in list_dead(self.broker, queue)][:2])

    # -- what holds after every step

    @invariant()
    def continuations_wait_for_what_the_model_has(self) -> None:
        found = self.broker.waiting(list(self.waits))
        for wait, waiting in zip(self.waits.values(), found, strict=True):
            assert (waiting is None) is wait.is_over
            if waiting is not None:
                assert waiting.arrived == tuple(sorted(wait.parts))
        thens = {id_.decode() for id_ in read(self.broker, "ZRANGE", self.broker.keys.thens, 0, -1)}
        assert thens == {id_ for id_, wait in self.waits.items() if not wait.is_over}

    @invariant()
    def every_message_was_sent_once(self) -> None:
        stats = [self.broker.keys.queue(queue).stats for queue in QUEUES]
        counts = [read(self.broker, "HGET", key, "enqueued") for key in stats]
        assert sum(int(count or 0) for count in counts) == self.sent.total()
        assert set(self.sent.values()) <= {1}

    def teardown(self) -> None:
        """Whatever the state: when all messages are gone and swept for, nothing waits any more."""
        for _ in range(20):
            self.now += LEASE_MS + 1
            at(self.broker, self.now)
            for queue in QUEUES:
                self.broker.purge(queue)
                self.broker.reap(queue, "w2")
                purge_dead(self.broker, queue)
            self.broker.sweep(0, 1000)
        fetch(self.broker, queues=QUEUES, wait_ms=5_000)
        assert leftovers(self.broker) == []
        self.broker.close()


@pytest.mark.timeout(600)  # for the shrinking of a failure
def test_each_part_counts_once_whatever_happens(each_redis_server: RedisServer) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]  # hypothesis' gap
        lambda: WorkflowMachine(each_redis_server),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
