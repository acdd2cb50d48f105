"""Addresses of more than one server: Sentinels that know the primary, or nodes of a cluster.

    sentinel://host:26379;host:26379/db           rediss+sentinel:// for TLS
    redis+cluster://host:6379;host:6379           rediss+cluster:// for TLS

Imported only where an address has such a scheme. What it says of a single server is read by
`windlass.redis_store.address`. Next in the walk: `windlass.redis_store.routes`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from windlass.errors import ConfigurationError
from windlass.log import scrub

#: Host and port.
Node = tuple[str, int]
#: Scheme -> default port, and the scheme of its servers.
SCHEMES: Mapping[str, tuple[int, str]] = {
    "sentinel": (26379, "redis"),
    "redis+sentinel": (26379, "redis"),
    "rediss+sentinel": (26379, "rediss"),
    "redis+cluster": (6379, "redis"),
    "rediss+cluster": (6379, "rediss"),
}
_BETWEEN_NODES = re.compile(r"[;,](?:[a-z][a-z+]*://)?")
#: A server that hangs is given up after so long, seconds: there is another one to go to.
HANGS_S = 5.0


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed address.

    Attributes:
        nodes: Sentinels, or some nodes of the cluster.
        url: As of a single server: the first node, with credentials, database and query.
        options: Connection options of servers.
        is_cluster: Else the nodes are Sentinels.
        master_name: Name of the primary that Sentinels watch.
        sentinel_options: Connection options of Sentinels.
    """

    nodes: tuple[Node, ...]
    url: str
    options: Mapping[str, Any]
    is_cluster: bool
    master_name: str = ""
    sentinel_options: Mapping[str, Any] = {}


def parse(url: str, options: Mapping[str, Any] | None = None) -> Topology:
    """Read an address.

    Args:
        url: One of the forms above; each node may carry the scheme, as in Celery. A query holds
            connection options. A password with one of "@/;,?" has it percent-encoded.
        options: `broker_transport_options`: master_name, sentinel_kwargs, connection options.

    Raises:
        ConfigurationError: It cannot be read; says what was expected, without the password.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in SCHEMES:
        raise _unusable(url, f"there is no scheme {scheme!r}")
    port, plain_scheme = SCHEMES[scheme]
    rest, _, query = rest.partition("?")
    asked = dict(parse_qsl(query))
    given = {"socket_timeout": HANGS_S, **(options or {})}
    master_name = asked.pop("master_name", "") or given.pop("master_name", "")
    sentinel_options = given.pop("sentinel_kwargs", None) or {}
    auth, nodes, database = _hosts(url, rest, port)
    number = asked.pop("db", None) or asked.pop("virtual_host", None) or database or "0"
    if not number.isdecimal():
        raise _unusable(url, f"{number!r} is no number of a database")
    is_cluster = scheme.endswith("cluster")
    if is_cluster and int(number):
        raise _unusable(url, f"it names database {number}, and a cluster has database 0 only")
    if not is_cluster and not master_name:
        raise ConfigurationError(
            f"broker_url {scrub(url)!r} names Sentinels, and not which primary they watch. Set "
            "broker_transport_options={'master_name': 'mymaster'}, or add ?master_name=mymaster."
        )
    host = f"[{nodes[0][0]}]" if ":" in nodes[0][0] else nodes[0][0]
    plain = f"{plain_scheme}://{auth}{host}:{nodes[0][1]}/{number}"
    return Topology(
        nodes=nodes,
        url=f"{plain}?{urlencode(asked)}" if asked else plain,
        options=given,
        is_cluster=is_cluster,
        master_name=master_name,
        sentinel_options=sentinel_options,
    )


def _hosts(url: str, rest: str, default_port: int) -> tuple[str, tuple[Node, ...], str]:
    """Return `user:password@` or nothing, the nodes, and the database named after them."""
    auth, database, nodes = "", "", []
    for text in _BETWEEN_NODES.split(rest):
        try:
            parts = urlsplit(f"//{text}")
            nodes.append((parts.hostname or "localhost", parts.port or default_port))
        except ValueError as error:
            raise _unusable(url, str(error)) from None
        before, at, _ = parts.netloc.rpartition("@")
        auth = auth or before + at
        database = parts.path.strip("/") or database
    return auth, tuple(nodes), database


def _unusable(url: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"broker_url {scrub(url)!r} is not usable: {why}. Expected "
        "redis://[user:password@]host[:port]/db, rediss://... for TLS, unix://path, "
        "sentinel://[user:password@]host[:port];host[:port]/db or "
        "redis+cluster://[user:password@]host[:port];host[:port], with rediss+sentinel:// or "
        "rediss+cluster:// for TLS."
    )
