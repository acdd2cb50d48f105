"""The operator's conversation with brokers: one survey a server and tick, changes on request.

Blocking client calls run in threads, each bounded by a time-out; a server that hangs delays
nobody but its own queues.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from windlass import log as logs
from windlass.brokers.redis import RedisBroker
from windlass.control_plane import cordon, queue_record
from windlass.control_plane.set_aside import SetAside, survey_set_aside
from windlass.control_plane.survey import KeyspaceView, survey
from windlass.control_plane.users import ensure_users, server_start
from windlass.errors import BrokerError as ClientError
from windlass_operator.broker_addresses import Address
from windlass_operator.observed import BrokerError

log = logs.get_logger(__name__)

T = TypeVar("T")

#: What is set aside is read again after so long, seconds, though its counts are the same.
_ASIDE_S = 60.0


@dataclass(frozen=True, slots=True)
class _Aside:
    """What was set aside of a queue, and at which counts that was read when."""

    what: SetAside
    counts: tuple[int, int]
    read_s: float


@dataclass(slots=True)
class Reading:
    """What is known of one server: the newest survey, and how reading goes.

    Attributes:
        views: Keyspace -> what was last read of it.
        read_s: When that was, monotonic.
        failures: Failed reads since then.
        took_s: Duration of the last read.
        users: Keyspaces whose users were made since the server's last start.
        start: Which start of the server that was.
        aside: (keyspace, queue) -> what is set aside, where something is.
    """

    views: dict[str, KeyspaceView] = field(default_factory=dict)
    read_s: float = 0.0
    failures: int = 0
    error: BrokerError | None = None
    detail: str = ""
    took_s: float = 0.0
    users: set[str] = field(default_factory=set)
    start: str = ""
    aside: dict[tuple[str, str], _Aside] = field(default_factory=dict)

    def set_aside(self, keyspace: str, queue: str) -> SetAside | None:
        """What of a queue is set aside, None if nothing is known of it."""
        known = self.aside.get((keyspace, queue))
        return None if known is None else known.what


class Brokers:
    """All servers that queues live on, by the address that the operator reads them with."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._clients: dict[tuple[str, str], RedisBroker] = {}
        self.readings: defaultdict[str, Reading] = defaultdict(Reading)

    async def survey(self, wanted: Mapping[str, Mapping[str, Mapping[str, int]]]) -> None:
        """Read all servers at once: address -> keyspace -> queue -> horizon, milliseconds."""
        await asyncio.gather(*(self._read(url, spaces) for url, spaces in wanted.items()))
        for url in [url for url in self.readings if url not in wanted]:
            del self.readings[url]

    async def _read(self, url: str, keyspaces: Mapping[str, Mapping[str, int]]) -> None:
        reading, started = self.readings[url], time.monotonic()
        try:
            views = []
            for group in _on_one_server(url, keyspaces):
                client = self.client(url, next(iter(group), "default"))
                news = await self._in_thread(partial(survey, client.links, group))
                await self._read_set_aside(client, reading, news)
                views += news
        except Exception as error:  # whatever one broker brings out, the others are read
            if not isinstance(error, (ClientError, TimeoutError)):
                log.exception("broker_read_failed_unexpectedly")
            reading.failures += 1
            reading.error, reading.detail = classify(error)
            reading.users.clear()  # it may come back empty
            return
        reading.took_s = time.monotonic() - started
        reading.views = {view.keyspace: view for view in views}
        reading.read_s, reading.failures, reading.error = time.monotonic(), 0, None

    async def _read_set_aside(
        self, client: RedisBroker, reading: Reading, views: Sequence[KeyspaceView]
    ) -> None:
        """Read what is set aside where that changed: most queues have nothing."""
        now_s, outdated = time.monotonic(), {}
        for view in views:
            for queue, depth in view.depths.items():
                key, counts = (view.keyspace, queue), (depth.parked, depth.dead)
                known = reading.aside.get(key)
                if counts == (0, 0):
                    reading.aside.pop(key, None)
                elif known is None or known.counts != counts or now_s - known.read_s >= _ASIDE_S:
                    outdated[key] = counts
        if outdated:
            read = partial(survey_set_aside, client.links, tuple(outdated))
            try:
                found = await self._in_thread(read)
            except (ClientError, TimeoutError) as error:
                # For people, and for what is parked; depths are known, and scaling goes on.
                log.warning("set_aside_not_read", error=str(error))
                return
            for key, what in found.items():
                reading.aside[key] = _Aside(what, outdated[key], now_s)

    async def ensure_users(self, addresses: Mapping[str, Address]) -> None:
        """Make sure that the users of keyspaces exist on embedded servers: keyspace -> address."""
        missing: defaultdict[str, dict[str, tuple[str, str]]] = defaultdict(dict)
        for url in {address.operator_url for address in addresses.values()}:
            await self._notice_restart(url)
        for keyspace, address in addresses.items():
            known = self.readings[address.operator_url].users
            if address.user is not None and keyspace not in known:
                missing[address.operator_url][keyspace] = address.user
        for url, users in missing.items():
            links = self.client(url, "default").links
            try:
                await self._in_thread(partial(ensure_users, links, users))
            except Exception as error:  # the survey says it too, and the next tick tries again
                log.warning("users_not_made", error=str(error))
            else:
                self.readings[url].users |= set(users)

    async def _notice_restart(self, url: str) -> None:
        """A server that started anew may have forgotten its users."""
        reading = self.readings[url]
        try:
            start = await self._in_thread(partial(server_start, self.client(url, "default").links))
        except Exception:
            return  # the survey says what is wrong
        if start != reading.start:
            reading.users.clear()
            reading.start = start

    async def cordon(self, url: str, keyspace: str, worker_id: str, ttl_s: float) -> None:
        """Cordon a worker."""
        broker = self.client(url, keyspace)
        await self._in_thread(lambda: cordon.cordon(broker, worker_id, int(ttl_s * 1000)))

    async def uncordon(self, url: str, keyspace: str, worker_id: str) -> None:
        """Un-cordon a worker."""
        broker = self.client(url, keyspace)
        await self._in_thread(lambda: cordon.uncordon(broker, worker_id))

    async def write_record(
        self, url: str, keyspace: str, queue: str, changes: Mapping[str, Any]
    ) -> None:
        """Change a queue's record."""
        broker = self.client(url, keyspace)
        await self._in_thread(lambda: queue_record.write_record(broker, queue, **changes))

    async def purge(self, url: str, keyspace: str, queue: str) -> int:
        """Delete what waits in a queue."""
        broker = self.client(url, keyspace)
        return await self._in_thread(lambda: broker.purge(queue))

    async def call(self, url: str, keyspace: str, do: Callable[[RedisBroker], T]) -> T:
        """Return what something that is done with the client of a keyspace returns."""
        broker = self.client(url, keyspace)
        return await self._in_thread(lambda: do(broker))

    def connect(self, url: str, keyspace: str) -> RedisBroker:
        """Make a client that is the caller's own."""
        options = {"socket_timeout": self._timeout_s, "socket_connect_timeout": self._timeout_s}
        return RedisBroker(url, keyspace=keyspace, options=options)

    def client(self, url: str, keyspace: str) -> RedisBroker:
        """Return the client of one keyspace on one server; they share nothing but the address."""
        key = (url, keyspace)
        if key not in self._clients:
            self._clients[key] = self.connect(url, keyspace)
        return self._clients[key]

    async def _in_thread(self, call: Callable[[], T]) -> T:
        async with asyncio.timeout(self._timeout_s + 1):
            return await asyncio.to_thread(call)

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            client.close()


#: Parts of what a client says of a server that is not there now.
_AWAY = (
    "cannot be reached", "not ready", "No Sentinel", "No node of the cluster", "looked for again",
    "certificate",
)  # fmt: skip


def _on_one_server(
    url: str, keyspaces: Mapping[str, Mapping[str, int]]
) -> list[Mapping[str, Mapping[str, int]]]:
    """Part keyspaces so that each part is on one server: a cluster has them here and there."""
    if not url.partition("://")[0].endswith("cluster"):
        return [keyspaces]
    return [{name: queues} for name, queues in keyspaces.items()]


def classify(error: Exception) -> tuple[BrokerError, str]:
    """Say what a failed call means, without secrets (the client's texts have none)."""
    text = str(error) or "no answer in time"
    if "credentials" in text or "ACL" in text:
        return BrokerError.AUTH_FAILED, text
    if isinstance(error, TimeoutError) or any(part in text for part in _AWAY):
        return BrokerError.UNREACHABLE, text
    return BrokerError.BAD_REPLY, text
