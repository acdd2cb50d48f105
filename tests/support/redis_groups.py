"""Redis servers that work together: a primary with a replica under Sentinels, and a cluster.

Real servers on 127.0.0.1, each in a folder of its own; tests kill and move what they like.
"""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import redis

from redis_server import RedisServer
from waiting import eventually
from windlass.embedded_redis import ServerBinary, find_server
from windlass.redis_store.routes import SLOTS, slot_of

SOON = 40  # seconds: bounds a failing test, never slows a passing one
#: A server that does not answer for so long counts as down, milliseconds.
DOWN_AFTER_MS = 500
#: A replica's first copy is not put off for others that may come.
_AT_ONCE = {"repl-diskless-sync-delay": "0"}


class Sentinel:
    """One Sentinel process."""

    def __init__(self, binary: ServerBinary, lines: Sequence[str]) -> None:
        self.port = free_port()
        self.folder = tempfile.TemporaryDirectory(prefix="windlass-sentinel-")
        config = Path(self.folder.name) / "sentinel.conf"
        settings = (
            f"port {self.port}", "bind 127.0.0.1", f"dir {self.folder.name}", "daemonize no",
        )  # fmt: skip
        config.write_text("\n".join((*settings, *lines)) + "\n")
        self._log = (Path(self.folder.name) / "log").open("wb")
        self._process = subprocess.Popen(
            [str(binary.path), str(config), "--sentinel"],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True,
        )  # fmt: skip

    def client(self, **options: Any) -> redis.Redis:
        return redis.Redis(port=self.port, **options)

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)

    def stop(self) -> None:
        self.kill()
        self._log.close()
        self.folder.cleanup()


class _Group:
    """Things with a `stop`, stopped in the opposite order."""

    def __init__(self) -> None:
        self._running: list[Any] = []

    def _keep(self, one: Any) -> Any:
        self._running.append(one)
        return one

    def stop(self) -> None:
        while self._running:
            self._running.pop().stop()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType
    ) -> None:
        self.stop()


class SentinelGroup(_Group):
    """A primary, a replica that has caught up, and three Sentinels that agree on them.

    Args:
        config: Directives of both servers.
        sentinel_password: That Sentinels ask of clients.
    """

    NAME = "mymaster"

    def __init__(
        self,
        binary: ServerBinary | None = None,
        config: dict[str, str] | None = None,
        sentinel_password: str = "",
    ) -> None:
        super().__init__()
        self._binary = binary or find_server()
        self._config = {**_AT_ONCE, **(config or {})}
        self._password = sentinel_password

    def __enter__(self) -> SentinelGroup:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def _start(self) -> None:
        self.primary: RedisServer = self._keep(RedisServer(self._binary, self._config)).start()
        follow = {"replicaof": f"127.0.0.1 {self.primary.port}", **self._config}
        self.replica: RedisServer = self._keep(RedisServer(self._binary, follow)).start()
        replica = self.replica.client()
        eventually(lambda: replica.info("replication")["master_link_status"] == "up", SOON)
        lines = (
            f"sentinel monitor {self.NAME} 127.0.0.1 {self.primary.port} 2",
            f"sentinel down-after-milliseconds {self.NAME} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {self.NAME} 3000",
            *([f"requirepass {self._password}"] if self._password else []),
        )
        self.sentinels: list[Sentinel] = [
            self._keep(Sentinel(self._binary, lines)) for _ in range(3)
        ]
        for sentinel in self.sentinels:
            eventually(lambda one=sentinel: self._knows_all(one), SOON)

    def _knows_all(self, sentinel: Sentinel) -> bool:
        try:
            with sentinel.client(password=self._password or None) as client:
                state = client.sentinel_master(self.NAME)
        except redis.RedisError:
            return False
        return bool(state["num-other-sentinels"] == 2 and state["num-slaves"] == 1)

    @property
    def url(self) -> str:
        """As Celery writes it."""
        hosts = ";".join(f"sentinel://127.0.0.1:{one.port}" for one in self.sentinels)
        return f"{hosts}/0"

    @property
    def options(self) -> dict[str, Any]:
        """broker_transport_options."""
        own = {"sentinel_kwargs": {"password": self._password}} if self._password else {}
        return {"master_name": self.NAME, **own}

    def wait_for_failover(self) -> None:
        """Return when the replica has been made the primary."""
        client = self.replica.client()
        eventually(lambda: client.info("replication")["role"] == "master", SOON)


class ClusterGroup(_Group):
    """Three primaries with a third of the slots each, and one replica of the first's.

    `first` owns the slot of `keyspace`.
    """

    def __init__(self, keyspace: str, binary: ServerBinary | None = None) -> None:
        super().__init__()
        self._keyspace = keyspace
        self._binary = binary or find_server()

    def __enter__(self) -> ClusterGroup:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def _start(self) -> None:
        config = {
            "cluster-enabled": "yes",
            "cluster-node-timeout": "1000",
            "cluster-replica-validity-factor": "0",
            **_AT_ONCE,
        }
        self.nodes: list[RedisServer] = []
        for _ in range(4):
            server = self._keep(RedisServer(self._binary, config))
            server.port = free_port(also=10_000)
            self.nodes.append(server.start())
        first, replica = self.nodes[0], self.nodes[3]
        clients = [node.client() for node in self.nodes]
        for epoch, client in enumerate(clients, start=1):
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", epoch)
            client.execute_command("CLUSTER MEET", "127.0.0.1", first.port)
        for client, part in zip(clients, self._thirds(), strict=False):
            client.execute_command("CLUSTER ADDSLOTS", *part)
        eventually(lambda: all(len(ids_of(client)) == 4 for client in clients), SOON)
        replica_client = replica.client()
        eventually(lambda: _follows(replica_client, id_of(clients[0])), SOON)
        eventually(lambda: all(_is_ok(client) for client in clients), SOON)
        eventually(lambda: replica_client.info("replication")["master_link_status"] == "up", SOON)

    def _thirds(self) -> list[list[int]]:
        start = slot_of(self._keyspace)
        third = SLOTS // 3
        slots = [(start + offset) % SLOTS for offset in range(SLOTS)]
        return [slots[:third], slots[third : 2 * third], slots[2 * third :]]

    @property
    def url(self) -> str:
        hosts = ";".join(f"127.0.0.1:{node.port}" for node in self.nodes[:3])
        return f"redis+cluster://{hosts}"

    def owner_of(self, keyspace: str) -> RedisServer:
        """The node that owns a keyspace's slot."""
        slot = slot_of(keyspace)
        for first, last, primary, *_ in self._any().execute_command("CLUSTER SLOTS", raw=True):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == primary[1])
        raise AssertionError("nobody owns it")

    def _any(self) -> redis.Redis:
        return next(node for node in self.nodes if node.pid).client()

    def move_slot(
        self, keyspace: str, target: RedisServer, while_moving: Callable[[], None] = lambda: None
    ) -> None:
        """Give a slot to another node with all its keys, as redis-cli --cluster reshard does.

        Args:
            keyspace: Whose slot.
            target: The node that gets it.
            while_moving: Called when it is being moved, before and after half of the keys.
        """
        slot, source = slot_of(keyspace), self.owner_of(keyspace)
        giver, taker = source.client(), target.client()
        giver_id, taker_id = id_of(giver), id_of(taker)
        taker.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", giver_id)
        giver.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", taker_id)
        while_moving()
        half = int(giver.execute_command("CLUSTER COUNTKEYSINSLOT", slot)) // 2
        self._migrate(giver, target, slot, half)
        while_moving()
        while self._migrate(giver, target, slot, 100):
            pass
        for client in (taker, giver):
            client.execute_command("CLUSTER SETSLOT", slot, "NODE", taker_id)

    def _migrate(self, giver: redis.Redis, target: RedisServer, slot: int, count: int) -> int:
        keys = giver.execute_command("CLUSTER GETKEYSINSLOT", slot, count) if count else []
        if keys:
            giver.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
        return len(keys)


def free_port(also: int = 0) -> int:
    """Return a port that is free, and so is the one `also` above it."""
    while True:
        port = random.randint(20_000, 31_000)
        try:
            for wanted in {port, port + also}:
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", wanted))
        except OSError:
            continue
        return port


def id_of(client: redis.Redis) -> str:
    """A cluster node's own id."""
    return bytes(client.execute_command("CLUSTER MYID")).decode()


def ids_of(client: redis.Redis) -> list[bytes]:
    """The nodes that it knows."""
    text = client.execute_command("CLUSTER NODES")
    return list(text if isinstance(text, dict) else text.splitlines())


def _follows(client: redis.Redis, primary_id: str) -> bool:
    try:
        client.execute_command("CLUSTER REPLICATE", primary_id)
    except redis.ResponseError:  # it has not heard of it yet
        return False
    return True


def _is_ok(client: redis.Redis) -> bool:
    return client.cluster("INFO")["cluster_state"] == "ok"
