"""Where the server is now: asked of Sentinels, or of the nodes of a cluster, before each connect.

A route answers with an address; a connection that fails makes it forget what it knew. All keys of a
keyspace are in one slot, so a cluster is one server too: the node that owns that slot. Imported
only where an address asks for it.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import hiredis

from windlass.errors import BrokerError, ConfigurationError, OperationalError
from windlass.redis_store.address import Address, read_address
from windlass.redis_store.connection import our_errors
from windlass.redis_store.resending import is_missing_script
from windlass.redis_store.resp import packed
from windlass.redis_store.scripts import load_commands
from windlass.redis_store.topology import Node, Topology, parse
from windlass.redis_store.wire import AccessRefusedError, Refusal, Reply, Wire

SLOTS = 16384
#: A Sentinel or node that takes longer to say where the server is, is passed over, seconds.
ASK_S = 2.0
#: Refusals of a server that is not the primary now, or not in contact with it.
_ELSEWHERE = ("READONLY", "MASTERDOWN", "CLUSTERDOWN", "LOADING", "UNBLOCKED", "MOVED")
Ask = Callable[[Address, bytes], Reply]
_ASK_TROUBLES = (OSError, hiredis.ProtocolError, AccessRefusedError, Refusal)


class Route:
    """Finds the server that takes the commands of one keyspace. Thread-safe."""

    def locate(self) -> Address:
        """Return where it is.

        Raises:
            OperationalError: Nobody can say.
        """
        raise AssertionError  # each route has its own

    def forget(self) -> None:
        """Ask again next time: a connection to it failed."""

    def turned_away(
        self, address: Address, commands: Sequence[bytes], replies: list[Reply]
    ) -> list[int]:
        """Take note of what a server sent elsewhere.

        Args:
            address: Of the server.
            commands: What it was sent.
            replies: Its answers; one for a command that was done elsewhere is put in.

        Returns:
            The indexes of commands that have done nothing and are to be sent to the new place.
        """
        return []

    def is_elsewhere(self, address: Address, reply: Refusal) -> bool:
        """Whether a refusal means that another server is, or will be, the one that counts."""
        text = str(reply)
        return any(text.startswith(code) or f"-{code}" in text for code in _ELSEWHERE)


def ask(address: Address, command: bytes) -> Reply:
    """Ask one server one thing over a connection of its own; a refusal is returned."""
    wire = Wire(address, ASK_S)
    try:
        wire.send(command)
        return wire.try_read()
    finally:
        wire.close()


def route_to(
    url: str, options: Mapping[str, Any] | None, keyspace: str, ask: Ask = ask
) -> tuple[Address, Route]:
    """Read an address of Sentinels or a cluster.

    Returns:
        What all its servers have in common, and the way to the one that counts.

    Raises:
        ConfigurationError: It cannot be read.
    """
    topology = parse(url, options)
    address = replace(read_address(topology.url, topology.options), url=url)
    if topology.is_cluster:
        return address, ClusterRoute(topology.nodes, keyspace, address, ask)
    return address, SentinelRoute(topology, address, ask)


class SentinelRoute(Route):
    """The primary that Sentinels agree on.

    Args:
        topology: Names the Sentinels: asked in turn, the one that answered last first.
        address: What the primary and its replicas have in common.
        ask: Asks a server.
    """

    def __init__(self, topology: Topology, address: Address, ask: Ask = ask) -> None:
        # Sentinels have users of their own, and the same TLS unless they are given another.
        bare = replace(
            address, username=None, password=None, credential_provider=None,
            username_file=None, password_file=None, db=0, client_name=None,
        )  # fmt: skip
        if topology.sentinel_options:
            has_tls = any(name.startswith("ssl_") for name in topology.sentinel_options)
            own = read_address(f"redis{'s' * has_tls}://sentinel", topology.sentinel_options)
            bare = replace(own, tls=own.tls or address.tls, url=address.url)
        self._sentinels = tuple(
            replace(bare, host=host, port=port) for host, port in topology.nodes
        )
        self._name = topology.master_name
        self._address = address
        self._ask = ask

    def locate(self) -> Address:
        """Return the primary's address, once it says itself that it is one."""
        troubles = []
        for sentinel in self._sentinels:
            try:
                address = self._named_by(sentinel)
                self._check_role(address)
            except (*_ASK_TROUBLES, OperationalError) as error:
                troubles.append(f"{_text(sentinel)}: {_clause(error)}")
                continue
            self._sentinels = (sentinel, *(s for s in self._sentinels if s != sentinel))
            return address
        raise OperationalError(
            f"No Sentinel could name a primary {self._name!r} that works ({'; '.join(troubles)}). "
            "They are asked again: a failover may be under way. If not, check the Sentinels in "
            "broker_url and master_name in broker_transport_options."
        )

    def _named_by(self, sentinel: Address) -> Address:
        call = packed("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name)
        reply = self._ask(sentinel, call)
        if isinstance(reply, Refusal):
            raise reply
        if reply is None:
            raise OperationalError(f"it knows no primary {self._name!r}")
        host, port = reply
        return _placed(self._address, (bytes(host).decode(), int(port)))

    def _check_role(self, address: Address) -> None:
        """A primary that was demoted, or does not know yet that it is one, takes no writes."""
        named = f"it names {_text(address)}, which"
        try:
            reply = self._ask(address, packed("ROLE"))
        except _ASK_TROUBLES as error:
            raise OperationalError(f"{named} cannot be asked: {_clause(error)}") from error
        if isinstance(reply, Refusal):
            if str(reply).startswith("NOPERM"):
                return  # then a write will tell
            raise OperationalError(f"{named} says: {reply}")
        if reply[0] != b"master":
            raise OperationalError(f"{named} is not a primary now")


class ClusterRoute(Route):
    """The node that owns a keyspace's slot.

    Args:
        nodes: Some nodes of the cluster; it names the others.
        keyspace: Hash tag of all keys.
        address: What all nodes have in common.
        ask: Asks a node.
    """

    def __init__(
        self, nodes: Sequence[Node], keyspace: str, address: Address, ask: Ask = ask
    ) -> None:
        self._seeds = tuple(nodes)
        self._known = tuple(nodes)
        self._slot = slot_of(keyspace)
        self._address = address
        self._ask = ask
        self._owner: Address | None = None

    def locate(self) -> Address:
        """Return the owner, from memory until something fails."""
        owner = self._owner
        if owner is None:
            owner = self._owner = self._find()
        return owner

    def _find(self) -> Address:
        troubles = []
        for node in dict.fromkeys((*self._known, *self._seeds)):
            address = self._at(node)
            try:
                reply = self._ask(address, packed("CLUSTER", "SLOTS"))
            except _ASK_TROUBLES as error:
                troubles.append(f"{_text(address)}: {_clause(error)}")
                continue
            if isinstance(reply, Refusal):
                if str(reply).startswith("NOPERM"):
                    return address  # it will say where to go
                _refuse_single(address, reply)
                troubles.append(f"{_text(address)}: {reply}")
            elif (owner := self._owner_in(reply, node)) is not None:
                return self._at(owner)
            else:
                troubles.append(f"{_text(address)}: nobody owns slot {self._slot}")
        raise OperationalError(
            f"No node of the cluster could say who owns slot {self._slot} ({'; '.join(troubles)}). "
            "They are asked again. Check that the nodes in broker_url run and that the cluster is "
            "complete (redis-cli --cluster check)."
        )

    def _at(self, node: Node) -> Address:
        return _placed(self._address, node)

    def _owner_in(self, slots: Reply, asked: Node) -> Node | None:
        """Read CLUSTER SLOTS: [first, last, [host, port, ...] of the primary, replicas ...]."""
        owner, known = None, []
        for first, last, *places in slots:
            nodes = [_node(place, asked) for place in places]
            known += nodes
            if first <= self._slot <= last and nodes:
                owner = nodes[0]
        self._known = tuple(dict.fromkeys(known))
        return owner

    def forget(self) -> None:
        """Ask the nodes again before the next connect."""
        self._owner = None

    def turned_away(
        self, address: Address, commands: Sequence[bytes], replies: list[Reply]
    ) -> list[int]:
        """Follow MOVED; do what ASK says for that one command."""
        moved = []
        for index, reply in enumerate(replies):
            if (way := redirection(reply, address)) is None:
                continue
            is_for_good, node = way
            if is_for_good:
                self._owner = self._at(node)
                moved.append(index)
            else:
                replies[index] = _ask_for(self._at(node), commands[index])
        return moved

    def is_elsewhere(self, address: Address, reply: Refusal) -> bool:
        """Whether another node is the one that counts; a node that says which is believed."""
        if (way := redirection(reply, address)) is not None and way[0]:
            self._owner = self._at(way[1])
            return True
        return super().is_elsewhere(address, reply)


def _clause(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).rstrip(". ")


def _placed(address: Address, node: Node) -> Address:
    """Return an address of the same kind elsewhere; errors name that server."""
    host, port = node
    placed = replace(address, host=host, port=port)
    scheme = "redis" if address.tls is None else "rediss"
    return replace(placed, url=f"{scheme}://{_text(placed)}/{address.db}")


def slot_of(keyspace: str) -> int:
    """Return the slot that a cluster keeps all keys of a keyspace in."""
    return binascii.crc_hqx(keyspace.encode(), 0) % SLOTS


def redirection(reply: Reply, asked: Address) -> tuple[bool, Node] | None:
    """Read `MOVED slot host:port` or ASK: (whether for good, where to go); None for all else."""
    if not isinstance(reply, Refusal):
        return None
    code, *words = str(reply).split(" ")
    if code not in ("MOVED", "ASK") or len(words) != 2:
        return None
    host, _, port = words[1].rpartition(":")
    return code == "MOVED", (host.strip("[]") or asked.host, int(port))


def _ask_for(address: Address, command: bytes) -> Reply:
    """Have one command done by a node that is taking over its slot; a refusal is returned."""
    ask = (packed("ASKING"), command)
    try:
        with our_errors(address.url, address):
            wire = Wire(address)
            try:
                reply = _last_reply(wire, ask)
                if is_missing_script(reply):
                    reply = _last_reply(wire, (*load_commands(), *ask))
                return reply
            finally:
                wire.close()
    except BrokerError as error:
        return Refusal(f"TRYAGAIN {error}")


def _last_reply(wire: Wire, commands: Sequence[bytes]) -> Reply:
    wire.send(b"".join(commands))
    return [wire.try_read() for _ in commands][-1]


def _refuse_single(address: Address, reply: Refusal) -> None:
    if "cluster support disabled" in str(reply):
        raise ConfigurationError(
            f"broker_url names a cluster, and {_text(address)} is a Redis server of its own. Use "
            f"redis://{_text(address)}/0."
        )


def _node(place: Sequence[Any], asked: Node) -> Node:
    host, port = place[0], place[1]
    # A node that does not know its own host leaves it out: it is the one that was asked.
    return (bytes(host).decode() if host else asked[0]), int(port)


def _text(address: Address) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host}:{address.port}"
