"""What a failover under Sentinel loses and doubles: measured, not promised away.

Redis acknowledges before it replicates. Senders send one message after another and note what was
acknowledged; a worker leases and settles, and notes what was settled. The primary is killed, or
hangs and comes back, and what was acknowledged is looked for on the server that took over:

    sends lost      acknowledged, and neither there nor settled: nobody will run them
    ends undone     settled and acknowledged, and there again: they run once more
Next in the walk: `failover.py`, which prints the table.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from dataclasses import dataclass, field

import redis

from builders import make_message
from redis_groups import SentinelGroup
from redis_server import RedisServer
from waiting import eventually
from windlass.brokers.base import Done, FetchRequest
from windlass.brokers.publish_retry import PublishRetry
from windlass.brokers.redis import RedisBroker
from windlass.errors import BrokerError
from windlass.redis_store.resp import packed

#: How long a replica hears nothing before its primary dies, where it lags.
LAG_S = 0.3
_SENDERS = 4
_SOON = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One way to lose a primary.

    Attributes:
        confirm: broker_publish_confirm, "accepted" or "replicated".
        lags: The replica hears nothing for LAG_S before.
        hangs: The primary is stopped until another has taken over, then goes on; else it is killed.
        at_once: The killed primary is started again before all Sentinels know of the new one.
        config: Of the servers.
    """

    confirm: str
    lags: bool = False
    hangs: bool = False
    at_once: bool = False
    config: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Measure:
    """What came of it."""

    acknowledged: int = 0
    raised: int = 0
    raised_and_there: int = 0
    sends_lost: int = 0
    settled: int = 0
    ends_undone: int = 0
    away_s: list[float] = field(default_factory=list)

    def add(self, other: Measure) -> None:
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class _Load:
    """Senders and a worker, and what they were told."""

    def __init__(self, group: SentinelGroup, confirm_ms: int) -> None:
        options = {**group.options, "socket_timeout": 1}
        self._over = threading.Event()
        self._numbers = itertools.count()
        self.acknowledged: list[str] = []
        self.raised: list[str] = []
        self.settled: list[str] = []
        self.last_ok = self.first_ok_after = 0.0
        self._brokers = [
            RedisBroker(
                group.url, options=options, confirm_ms=confirm_ms, retry=PublishRetry(max_retries=0)
            )
            for _ in range(_SENDERS + 1)
        ]
        work = [(self._send, broker) for broker in self._brokers[1:]]
        self._threads = [
            threading.Thread(target=target, args=(broker,), daemon=True)
            for target, broker in [*work, (self._settle, self._brokers[0])]
        ]
        for thread in self._threads:
            thread.start()

    def _send(self, broker: RedisBroker) -> None:
        while not self._over.is_set():
            message = make_message(id=f"m{next(self._numbers)}", queue="failover")
            try:
                broker.enqueue([message])
            except BrokerError:
                self.raised.append(message.id)
                self._over.wait(0.01)
            else:
                self.acknowledged.append(message.id)

    def _settle(self, broker: RedisBroker) -> None:
        request = FetchRequest(worker_id="w", queues=("failover",), want=5, lease_ms=60_000)
        held: list[Done] = []
        while not self._over.is_set():
            try:
                stale, fetched = broker.exchange(held, request)
            except BrokerError:
                self._over.wait(0.01)
                continue
            gone = set(stale)
            self.settled += [item.id for item in held if item.id not in gone]
            assert fetched is not None
            held = [Done(id=d.id, queue=d.queue, token=d.token) for d in fetched.deliveries]
            self._over.wait(0.002)

    def close(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(_SOON)
        for broker in self._brokers:
            broker.close()


def measure(case: Case) -> Measure:
    """Lose one primary under load, and count."""
    with SentinelGroup(config={"appendonly": "no", **dict(case.config)}) as group:
        load = _Load(group, 2_000 if case.confirm == "replicated" else 0)
        try:
            eventually(lambda: len(load.acknowledged) > 500, _SOON, "work is under way")
            if case.lags:
                _keep_away_from_its_primary(group)
                time.sleep(LAG_S)
            began = time.monotonic()
            (group.primary.pause if case.hangs else group.primary.kill)()
            if case.lags:
                group.replica.resume()
            eventually(lambda: _role(group.replica) == "master", _SOON, "another takes over")
            away_s = time.monotonic() - began
            if case.hangs:
                group.primary.resume()
            else:
                if not case.at_once:
                    eventually(lambda: _all_agree(group), _SOON, "all Sentinels know")
                group.primary.start()  # it becomes a replica: confirmed calls wait for one
            before = len(load.acknowledged)
            eventually(lambda: len(load.acknowledged) > before + 200, _SOON, "work goes on")
        finally:
            load.close()
        if case.hangs:
            _wait_until_it_follows(group)
        return _count(group, load, away_s)


def _keep_away_from_its_primary(group: SentinelGroup) -> None:
    """Let the replica hear nothing more: what is on its way to one that is stopped arrives."""
    group.replica.pause()
    with contextlib.closing(group.primary.client()) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "replica")


def _all_agree(group: SentinelGroup) -> bool:
    """Whether every Sentinel names the new primary."""
    named = set()
    for sentinel in group.sentinels:
        with sentinel.client() as client:
            named.add(client.sentinel_get_master_addr_by_name(group.NAME)[1])
    return named == {group.replica.port}


def _wait_until_it_follows(group: SentinelGroup) -> None:
    eventually(lambda: _role(group.primary) == "slave", _SOON, "it follows")


def _role(server: RedisServer) -> str:
    """What a server says that it is; it drops its connections when that changes."""
    try:
        with redis.Redis(port=server.port) as client:
            return str(client.info("replication")["role"])
    except redis.RedisError:
        return ""


def _count(group: SentinelGroup, load: _Load, away_s: float) -> Measure:
    broker = RedisBroker(group.url, options=group.options)
    with contextlib.closing(broker):
        (found,) = broker.links.call([packed("HKEYS", broker.keys.messages)])
    there = {id_.decode() for id_ in found}
    settled = set(load.settled)
    return Measure(
        acknowledged=len(load.acknowledged),
        raised=len(load.raised),
        raised_and_there=len(there.intersection(load.raised)),
        sends_lost=len(set(load.acknowledged) - there - settled),
        settled=len(load.settled),
        ends_undone=len(settled & there),
        away_s=[away_s],
    )
