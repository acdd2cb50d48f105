"""Addresses of Sentinels and clusters, and what routes make of the answers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from windlass.errors import ConfigurationError, OperationalError
from windlass.redis_store.address import Address, read_address
from windlass.redis_store.connection import Links
from windlass.redis_store.routes import ClusterRoute, SentinelRoute, redirection, route_to, slot_of
from windlass.redis_store.topology import parse
from windlass.redis_store.wire import Refusal


@pytest.mark.parametrize(
    ("url", "nodes", "plain"),
    [
        ("sentinel://a:1;b:2/3", [("a", 1), ("b", 2)], "redis://a:1/3"),
        ("sentinel://a;sentinel://b", [("a", 26379), ("b", 26379)], "redis://a:26379/0"),
        ("sentinel://u:p%40w@a/1;sentinel://u:p%40w@b/1", [("a", 26379), ("b", 26379)],
         "redis://u:p%40w@a:26379/1"),
        ("rediss+sentinel://a,b/2?socket_timeout=3", [("a", 26379), ("b", 26379)],
         "rediss://a:26379/2?socket_timeout=3"),
        ("redis+sentinel://[::1]:7", [("::1", 7)], "redis://[::1]:7/0"),
        ("redis+cluster://:pw@a,b:7000", [("a", 6379), ("b", 7000)], "redis://:pw@a:6379/0"),
        ("rediss+cluster://a?db=0", [("a", 6379)], "rediss://a:6379/0"),
    ],
)  # fmt: skip
def test_nodes_database_and_credentials_are_read(
    url: str, nodes: list[tuple[str, int]], plain: str
) -> None:
    topology = parse(url, {"master_name": "main"})

    assert list(topology.nodes) == nodes
    assert topology.url == plain


def test_options_of_sentinels_are_kept_apart_from_those_of_servers() -> None:
    options = {"master_name": "main", "sentinel_kwargs": {"password": "s"}, "client_name": "x"}

    topology = parse("sentinel://a", options)

    assert topology.master_name == "main"
    assert topology.sentinel_options == {"password": "s"}
    assert topology.options == {"client_name": "x", "socket_timeout": 5.0}


def test_sentinels_get_no_password_of_the_server_and_its_tls() -> None:
    asked: list[Address] = []

    def ask(address: Address, command: bytes) -> Any:
        asked.append(address)
        return [b"h", b"1"] if b"SENTINEL" in command else [b"master"]

    url = "rediss+sentinel://u:pw@s/1?master_name=main&ssl_ca_certs=/ca"
    found = route_to(url, None, "", ask)[1].locate()

    assert [(a.host, a.password, a.db) for a in asked] == [("s", None, 0), ("h", "pw", 1)]
    assert [a.tls and a.tls.ca_certs for a in asked] == ["/ca", "/ca"]
    assert (found.host, found.port, found.username, found.db) == ("h", 1, "u", 1)


@pytest.mark.parametrize(
    ("url", "options", "expected"),
    [
        ("sentinel://h:x", {"master_name": "m"}, "not usable: Port could not be cast"),
        ("sentinel://h/x", {"master_name": "m"}, "'x' is no number of a database"),
        ("sentinel://h", {}, "master_name"),
        ("redis+cluster://h/1", {}, "a cluster has database 0 only"),
        ("http://h", {}, "there is no scheme 'http'"),
        ("redis+cluster://h?nonsense=1", {}, "'nonsense'"),
    ],
)
def test_what_cannot_be_read_is_said(url: str, options: Mapping[str, Any], expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        Links(url, options=options)


def test_no_password_is_in_an_error_about_the_address() -> None:
    with pytest.raises(ConfigurationError) as refused:
        Links("sentinel://u:secret@a;sentinel://u:secret@b/x", options={"master_name": "m"})

    assert "secret" not in str(refused.value)


# -- routes -------------------------------------------------------------------------------------

BASE = read_address("redis://seed:6379/0")


class Network:
    """Servers by (host, port), each with its answer; an exception is raised."""

    def __init__(self, answers: Mapping[tuple[str, int], Any]) -> None:
        self.answers = dict(answers)
        self.asked: list[tuple[str, int]] = []

    def ask(self, address: Address, command: bytes) -> Any:
        node = address.host, address.port
        self.asked.append(node)
        answer = self.answers.get(node, OSError("refused"))
        if isinstance(answer, Mapping):
            answer = answer[b"ROLE" if b"ROLE" in command else b"SENTINEL"]
        if isinstance(answer, OSError):
            raise answer
        return answer


def sentinels(network: Network) -> SentinelRoute:
    topology = parse("sentinel://s1:1;s2:1;s3:1", {"master_name": "main"})
    return SentinelRoute(topology, BASE, network.ask)


def test_the_first_sentinel_whose_primary_is_one_decides_and_is_asked_first_next_time() -> None:
    network = Network(
        {
            ("s1", 1): OSError("down"),
            ("s2", 1): {b"SENTINEL": [b"old", b"9"]},
            ("old", 9): {b"ROLE": [b"slave"]},
            ("s3", 1): {b"SENTINEL": [b"new", b"9"]},
            ("new", 9): {b"ROLE": [b"master"]},
        }
    )
    route = sentinels(network)

    assert route.locate().host == "new"
    network.asked.clear()
    route.locate()
    assert network.asked == [("s3", 1), ("new", 9)]


def test_a_server_that_may_not_be_asked_for_its_role_is_taken() -> None:
    network = Network(
        {("s1", 1): {b"SENTINEL": [b"h", b"9"]}, ("h", 9): {b"ROLE": Refusal("NOPERM no role")}}
    )

    assert sentinels(network).locate().host == "h"


def test_what_each_sentinel_said_is_in_the_error() -> None:
    network = Network(
        {("s1", 1): {b"SENTINEL": None}, ("s2", 1): {b"SENTINEL": Refusal("NOAUTH who")}}
    )

    with pytest.raises(
        OperationalError,
        match=r"s1:1: it knows no primary 'main'; s2:1: NOAUTH who; s3:1: refused",
    ):
        sentinels(network).locate()


SLOTS_OF = [[0, 8191, [b"a", 1, b"id"], [b"ra", 1, b"id"]], [8192, 16383, [b"", 2, b"id"]]]


def cluster(network: Network, keyspace: str) -> ClusterRoute:
    return ClusterRoute([("seed", 6379), ("seed2", 6379)], keyspace, BASE, network.ask)


def test_the_owner_of_the_slot_is_asked_for_once_until_something_fails() -> None:
    network = Network({("seed2", 6379): SLOTS_OF})
    low = next(f"k{n}" for n in range(99) if slot_of(f"k{n}") < 8192)
    route = cluster(network, low)

    assert [(route.locate().host, route.locate().port) for _ in range(2)] == [("a", 1)] * 2
    assert network.asked == [("seed", 6379), ("seed2", 6379)]
    route.forget()
    network.answers.clear()
    with pytest.raises(OperationalError, match="who owns slot"):
        route.locate()


def test_a_node_that_does_not_know_its_host_is_the_one_that_was_asked() -> None:
    high = next(f"k{n}" for n in range(99) if slot_of(f"k{n}") >= 8192)

    address = cluster(Network({("seed", 6379): SLOTS_OF}), high).locate()

    assert (address.host, address.port) == ("seed", 2)


def test_nodes_that_were_named_are_asked_when_the_seeds_are_gone() -> None:
    network = Network({("seed", 6379): SLOTS_OF})
    low = next(f"k{n}" for n in range(99) if slot_of(f"k{n}") < 8192)
    route = cluster(network, low)
    route.locate()
    route.forget()
    network.answers = {("ra", 1): [[0, 16383, [b"ra", 1, b"id"]]]}

    assert route.locate().host == "ra"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MOVED 3 h:1", (True, ("h", 1))),
        ("ASK 3 ::1:7000", (False, ("::1", 7000))),
        ("MOVED 3 :7000", (True, ("seed", 7000))),
        ("MOVED", None),
        ("READONLY You can't write", None),
    ],
)
def test_redirections_are_read(text: str, expected: object) -> None:
    assert redirection(Refusal(text), BASE) == expected
    assert redirection(b"MOVED 3 h:1", BASE) is None


def test_a_plain_address_loads_nothing_of_other_forms() -> None:
    code = (
        "import sys; from windlass import Windlass;"
        "app = Windlass('plain', broker='redis://h', backend='redis://'); app.broker; app.backend;"
        "print(*(m for m in sys.modules if m.startswith('windlass.')))"
    )

    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()

    forms = ("routes", "topology", "credentials", "tls_errors", "outbox")
    assert "windlass.redis_store.connection" in loaded
    assert [name for name in loaded if name.rpartition(".")[2] in forms] == []
