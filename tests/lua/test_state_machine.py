"""All operations in any order against a model: every message is in exactly one place, or gone."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
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

from broker_model import Model, look
from broker_state import FINAL, LEASE_MS, NOW, PENDING, at, fetch, leftovers, read
from builders import make_message
from redis_server import RedisServer
from windlass.attempts import read_counters
from windlass.brokers.base import (
    Again,
    Bury,
    Crashed,
    Done,
    FetchRequest,
    HandBack,
    Park,
    Settlement,
)
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.cordon import cordon, uncordon
from windlass.control_plane.dead_letters import enforce_retention, purge_dead, replay
from windlass.control_plane.depth import read_depths
from windlass.control_plane.queue_record import write_record
from windlass.messages import Outgoing

#: More of them with WINDLASS_EXAMPLES=1000, as the nightly run does.
EXAMPLES = int(os.environ.get("WINDLASS_EXAMPLES", "25"))
QUEUES = ("a", "b", "c")
TASKS = ("tests.one", "tests.two")
WORKERS = ("w1", "w2")
KINDS = ("done", "followed", "again", "back", "counted", "crashed", "bury", "park")
queues = st.sampled_from(QUEUES)
times = st.one_of(
    st.just({}),
    st.just({}),
    st.builds(lambda ms: {"delay_ms": ms}, st.sampled_from((0, 1, 500, 20_000))),
    st.builds(lambda ms: {"eta_ms": NOW + ms}, st.integers(-5_000, 60_000)),
    st.builds(lambda ms: {"ttl_ms": ms}, st.integers(1, 20_000)),
)
specs = st.tuples(queues, st.sampled_from((0, 0, 4, 9)), times)


class BrokerMachine(RuleBasedStateMachine):
    """One broker and its model, driven together."""

    def __init__(self, server: RedisServer) -> None:
        super().__init__()
        server.client().flushall()
        self.broker = RedisBroker(server.unix_url, keyspace="machine")
        self.model = Model(NOW)
        self.ids = (f"m{n}" for n in itertools.count())
        self.used: list[str] = []
        self.old_tokens: list[int] = [0]
        at(self.broker, NOW)

    def new_message(self, spec: tuple[str, int, dict[str, int]]) -> Outgoing:
        queue, priority, options = spec
        id_ = next(self.ids)
        self.used.append(id_)
        return make_message(id=id_, queue=queue, priority=priority, **options)

    # -- sending

    @initialize(parts=st.lists(specs, min_size=4, max_size=8))
    def start_with_work(self, parts: list[Any]) -> None:
        self.enqueue(parts, repeat=False)

    @rule(parts=st.lists(specs, min_size=1, max_size=6), repeat=st.booleans())
    def enqueue(self, parts: list[Any], repeat: bool) -> None:
        messages = [self.new_message(spec) for spec in parts]
        fresh = [self.model.enqueue(message) for message in messages]
        if repeat:  # the reply was lost: the client sends again
            self.broker.enqueue(messages)
            fresh = [False] * len(messages)

        assert fresh == self.broker.enqueue(messages)

    @precondition(lambda self: self.used)
    @rule(data=st.data(), spec=specs)
    def enqueue_an_id_again(self, data: st.DataObject, spec: Any) -> None:
        queue, priority, options = spec
        id_ = data.draw(st.sampled_from(self.used))
        message = make_message(id=id_, queue=queue, priority=priority, **options)

        assert [self.model.enqueue(message)] == self.broker.enqueue([message])

    # -- working

    @rule(
        names=st.permutations(QUEUES),
        many=st.integers(1, 3),
        want=st.integers(0, 6),
        strict=st.booleans(),
        worker=st.sampled_from(WORKERS),
        wait_ms=st.sampled_from((0, 5_000)),
    )
    def fetch(
        self, names: list[str], many: int, want: int, strict: bool, worker: str, wait_ms: int
    ) -> None:
        request = FetchRequest(
            worker_id=worker,
            queues=tuple(names[:many]),
            want=want,
            lease_ms=LEASE_MS,
            wait_ms=wait_ms,
            strict=strict,
        )
        fetched = self.broker.exchange([], request)[1]
        assert fetched is not None

        turn = 0 if strict or many == 1 else self.broker._turn
        expected = self.model.fetch(request, turn)
        got: dict[str, list[str]] = {}
        for item in fetched.deliveries:
            assert self.model.token_of(item.id) is None, "leased twice"
            assert (item.deliveries, item.handbacks) == self.model.attempts.get(item.id, (0, 0))
            assert item.generation == self.model.generations.get(item.id, 0)
            assert item.revoked == (self.model.tombstones.get(item.id, 0) > self.model.now)
            got.setdefault(item.queue, []).append(item.id)
        assert expected == got
        self.model.lease(fetched, LEASE_MS)
        self._check_the_rest(request, fetched)

    @rule(data=st.data(), kind=st.sampled_from(KINDS), names=st.permutations(QUEUES))
    def work(self, data: st.DataObject, kind: str, names: list[str]) -> None:
        """What a worker does: fetch, and all of it ends the same way."""
        known = set(self.model.grants)
        self.fetch(names, many=3, want=6, strict=True, worker="w1", wait_ms=0)
        ids = [id_ for t, g in self.model.grants.items() if t not in known for id_ in g.owned]
        self._settle(data, ids, repeat=False, kinds=(kind,))

    def _check_the_rest(self, request: FetchRequest, fetched: Any) -> None:
        model = self.model
        assert fetched.cordoned == (model.cordons.get(request.worker_id, 0) > model.now)
        if fetched.cordoned:
            return
        names = request.queues
        deadlines = [g.deadline for g in model.grants.values() if g.queue in names]
        dues = [
            due
            for name in names
            if not model.queues[name].paused
            for due in model.queues[name].scheduled.values()
        ]
        is_short = len(fetched.deliveries) < request.want
        assert fetched.next_due_ms == (min([*deadlines, *dues], default=0) if is_short else 0)
        assert set(fetched.paused) == {name for name in names if model.queues[name].paused}
        assert fetched.parked == {
            name: model.queues[name].parks for name in names if model.queues[name].parked
        }
        expired = {g.queue for g in model.grants.values() if g.deadline <= model.now}
        assert set(fetched.expired_leases) == expired & set(names)

    @precondition(lambda self: self.model.grants)
    @rule(data=st.data(), repeat=st.booleans())
    def settle(self, data: st.DataObject, repeat: bool) -> None:
        owned = sorted(id_ for grant in self.model.grants.values() for id_ in grant.owned)
        ids = data.draw(st.lists(st.sampled_from(owned), min_size=1, max_size=6, unique=True))
        self._settle(data, ids, repeat=repeat, kinds=KINDS)

    def _settle(
        self, data: st.DataObject, ids: list[str], *, repeat: bool, kinds: tuple[str, ...]
    ) -> None:
        batch = [self._settlement(data, id_, kinds) for id_ in ids]
        if repeat:  # the reply was lost: all of it is settled again
            self.broker.exchange(batch, None)
        stale = self.model.settle(batch)

        expected = sorted(ids) if repeat else stale
        assert expected == sorted(self.broker.exchange(batch, None)[0])

    def _settlement(self, data: st.DataObject, id_: str, kinds: tuple[str, ...]) -> Settlement:
        token = self.model.token_of(id_)
        assert token is not None
        queue = self.model.messages[id_].queue
        self.old_tokens.append(token)
        is_stale = data.draw(st.integers(0, 9)) == 9
        base: dict[str, Any] = {
            "id": id_,
            "queue": queue,
            "token": data.draw(st.sampled_from(self.old_tokens)) if is_stale else token,
        }
        result = data.draw(st.sampled_from((None, FINAL)))
        kind = data.draw(st.sampled_from(kinds))
        if kind == "followed":
            parts = data.draw(st.lists(specs, min_size=1, max_size=3))
            followups = tuple(self.new_message(spec) for spec in parts)
            return Done(**base, result=result, followups=followups)
        if kind == "again":
            to, priority, options = data.draw(specs)
            message = make_message(id=id_, queue=to, priority=priority, **options)
            return Again(**base, message=message, result=result and PENDING)
        plain: dict[str, Callable[[], Settlement]] = {
            "done": lambda: Done(**base, result=result, duration_ms=2.0),
            "back": lambda: HandBack(**base),
            "counted": lambda: HandBack(**base, counted=True),
            "crashed": lambda: Crashed(**base, reason="signal 9", worker="w1"),
            "bury": lambda: Bury(**base, reason="rejected", detail="", worker="w1", result=result),
            "park": lambda: Park(**base, task=data.draw(st.sampled_from(TASKS))),
        }
        return plain[kind]()

    @precondition(lambda self: self.model.grants)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        tokens = sorted({*self.model.grants, *self.old_tokens})
        drawn = data.draw(st.lists(st.sampled_from(tokens), min_size=1, unique=True))
        name = data.draw(queues)
        lost = [t for t in drawn if t not in self.model.grants or self._queue_of(t) != name]
        for token in set(drawn) - set(lost):
            self.model.grants[token].deadline = self.model.now + LEASE_MS

        assert lost == self.broker.renew({name: drawn}, LEASE_MS)

    def _queue_of(self, token: int) -> str:
        return self.model.grants[token].queue

    # -- chores and people

    @rule(ms=st.sampled_from((1, 500, 5_000, LEASE_MS, 20_000)))
    def advance(self, ms: int) -> None:
        self.model.now += ms
        at(self.broker, self.model.now)

    @precondition(lambda self: self.model.grants)
    @rule(name=queues)
    def reap(self, name: str) -> None:
        assert self.model.reap(name) == self.broker.reap(name, "w2")

    @precondition(lambda self: any(queue.parked for queue in self.model.queues.values()))
    @rule(name=queues, tasks=st.lists(st.sampled_from(TASKS), unique=True))
    def unpark(self, name: str, tasks: list[str]) -> None:
        moved = self.model.unpark(name, tasks)
        assert len(moved) == self.broker.unpark(name, tasks)
        # Behind what is ready already; their order among themselves is not promised.
        for priority, ids in look(self.broker, name)["ready"].items():
            before = self.model.queues[name].ready[priority]
            assert ids[: len(before)] == before
            before += [id_ for id_ in ids if id_ in moved]

    @precondition(lambda self: self.used)
    @rule(data=st.data(), terminate=st.booleans())
    def revoke(self, data: st.DataObject, terminate: bool) -> None:
        known = st.sampled_from([*self.used, "never.sent"])
        ids = data.draw(st.lists(known, min_size=1, max_size=3, unique=True))
        stages = {id_: self.model.revoke(id_) for id_ in ids}

        assert stages == self.broker.revoke(ids, result_for=lambda _: FINAL, terminate=terminate)

    @precondition(lambda self: len(self.model.messages) > 8)
    @rule(name=queues)
    def purge(self, name: str) -> None:
        assert self.model.purge(name) == self.broker.purge(name)

    @precondition(lambda self: any(queue.dead for queue in self.model.queues.values()))
    @rule(data=st.data(), again=st.booleans())
    def act_on_dead_letters(self, data: st.DataObject, again: bool) -> None:
        name = data.draw(st.sampled_from([n for n in QUEUES if self.model.queues[n].dead]))
        known = st.sampled_from([*self.model.queues[name].dead, "m0", "never.sent"])
        ids = data.draw(st.lists(known, min_size=1, unique=True))
        keep_s = data.draw(st.sampled_from((0, 0, 1, 30)))
        if keep_s:
            self._retain(name, keep_s)
        elif again:
            assert self.model.replay(name, ids) == replay(self.broker, name, ids)
        else:
            assert self.model.purge_dead(name, ids) == purge_dead(self.broker, name, ids)

    def _retain(self, name: str, keep_s: int) -> None:
        write_record(self.broker, name, dead_retention_s=keep_s)
        before = self.model.now - keep_s * 1000
        old = [id_ for id_, died in self.model.queues[name].dead.items() if died <= before]

        gone = enforce_retention(self.broker, name, self.model.now)
        assert gone == self.model.purge_dead(name, old)

    @rule(
        name=queues,
        paused=st.sampled_from((False, False, False, True)),
        cap=st.sampled_from((None, None, 1, 2)),
        worker=st.sampled_from(WORKERS),
        ttl_ms=st.sampled_from((0, 0, 0, 3_000)),
    )
    def set_record_and_cordon(
        self, name: str, paused: bool, cap: int | None, worker: str, ttl_ms: int
    ) -> None:
        write_record(self.broker, name, paused=paused, max_deliveries=cap)
        self.model.queues[name].paused, self.model.queues[name].cap = paused, cap
        if ttl_ms:
            cordon(self.broker, worker, ttl_ms)
        else:
            uncordon(self.broker, worker)
        self.model.cordons[worker] = self.model.now + ttl_ms

    # -- what holds after every step

    @invariant()
    def every_message_is_where_the_model_has_it_and_nowhere_else(self) -> None:
        model = self.model
        for name in QUEUES:
            assert model.expected(name) == look(self.broker, name)
        keys = self.broker.keys
        assert {id_.encode() for id_ in model.messages} == set(
            read(self.broker, "HKEYS", keys.messages)
        )
        attempts = read(self.broker, "HGETALL", keys.attempts)
        found = {
            id_.decode(): read_counters(value)
            for id_, value in zip(attempts[::2], attempts[1::2], strict=True)
        }
        both = {id_: (each.deliveries, each.handbacks) for id_, each in found.items()}
        assert {id_: each for id_, each in both.items() if any(each)} == model.attempts
        generations = {id_: each.generation for id_, each in found.items() if each.generation}
        assert model.generations == generations

    @invariant()
    def depth_and_stage_tell_the_truth(self) -> None:
        for depth in read_depths(self.broker, QUEUES):
            expected = self.model.depth(depth.queue)
            assert expected == {name: getattr(depth, name) for name in expected}
        for id_ in self.used[-2:]:
            assert self.model.stage(id_) == self.broker.stage(id_)

    def teardown(self) -> None:
        """End everything; then nothing of it may be left."""
        for token, grant in list(self.model.grants.items()):
            ends = [Done(id=id_, queue=grant.queue, token=token) for id_ in grant.owned]
            assert self.broker.exchange(ends, None)[0] == []
        for name in QUEUES:
            self.broker.purge(name)
            purge_dead(self.broker, name)
        for worker in WORKERS:
            uncordon(self.broker, worker)
        fetched = fetch(self.broker, queues=QUEUES, wait_ms=5_000)  # takes unused wake tokens away
        assert fetched.deliveries == []
        assert leftovers(self.broker) == []
        self.broker.close()


@pytest.mark.timeout(600)  # for the shrinking of a failure
def test_each_message_is_in_one_place_whatever_happens(each_redis_server: RedisServer) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]  # hypothesis' gap
        lambda: BrokerMachine(each_redis_server),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
