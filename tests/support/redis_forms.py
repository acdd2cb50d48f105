"""Every form that a Redis broker may have, for suites that run on all of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis_groups import ClusterGroup, SentinelGroup
from redis_server import RedisServer
from redis_tls import Authority, TlsServer
from windlass.control_plane.users import user_rules

KEYSPACE = "conformance"
FORMS = ("sentinel", "cluster", "tls-and-user")
_PASSWORD = "pass"


@contextmanager
def started(form: str) -> Iterator[tuple[str, dict[str, Any], list[RedisServer]]]:
    """Start one; give its address, connection options, and the servers to be emptied."""
    if form == "sentinel":
        with SentinelGroup() as sentinels:
            yield sentinels.url, sentinels.options, [sentinels.primary]
    elif form == "cluster":
        with ClusterGroup(KEYSPACE) as cluster:
            yield cluster.url, {}, cluster.nodes[:1]  # the owner of the keyspace
    else:
        with tempfile.TemporaryDirectory() as folder, _tls(Path(folder)) as found:
            yield found


@contextmanager
def _tls(folder: Path) -> Iterator[tuple[str, dict[str, Any], list[RedisServer]]]:
    """A server that wants a client certificate, and a user that has its keyspace and no more."""
    authority = Authority(folder, "ca")
    certificate, key = authority.issue("client")
    with TlsServer(authority, asks_clients=True) as server:
        client = server.client()
        client.execute_command("ACL", "SETUSER", "me", *user_rules(KEYSPACE, _PASSWORD))
        options = {
            "ssl_ca_certs": authority.certificate, "ssl_certfile": certificate, "ssl_keyfile": key,
        }  # fmt: skip
        yield server.url.replace("://", f"://me:{_PASSWORD}@"), options, [server]
