"""Makes the app's broker and result backend from its settings.

The Redis modules are imported on first use: `redis` takes several times as long to import as the
rest of the client, and a program that only declares tasks should not wait for it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

from windlass.brokers.base import StoredResult
from windlass.brokers.publish_retry import PublishRetry
from windlass.errors import ConfigurationError, TaskError, WorkerLostError
from windlass.log import scrub
from windlass.results import codec

if TYPE_CHECKING:
    from windlass.brokers.memory import MemoryBroker
    from windlass.brokers.redis import RedisBroker
    from windlass.results.memory import MemoryResults
    from windlass.results.redis import RedisResults
    from windlass.settings.model import Settings

    AnyBroker: TypeAlias = RedisBroker | MemoryBroker
    AnyResults: TypeAlias = RedisResults | MemoryResults

#: Address schemes of Redis: one server, Sentinels, a cluster; with an s over TLS.
REDIS_SCHEMES = (
    "redis", "rediss", "unix", "sentinel", "redis+sentinel", "rediss+sentinel", "redis+cluster",
    "rediss+cluster",
)  # fmt: skip
#: What the settings for TLS make of an address.
_OVER_TLS = {
    "redis": "rediss",
    "sentinel": "rediss+sentinel",
    "redis+sentinel": "rediss+sentinel",
    "redis+cluster": "rediss+cluster",
}
_ALIASES = {"redis+socket": "unix"}  # Celery's spelling
#: In this process: "memory://" or "memory://name"; apps with the same address share it.
_MEMORY = "memory"
_FOR_EVER = sys.maxsize


def make_broker(settings: Settings) -> AnyBroker:
    """Build the broker. It connects on first use.

    Raises:
        ConfigurationError: There is no address, or none that is supported.
    """
    address = broker_address(settings)
    if _is_memory(address):
        if settings.broker_publish_confirm == "replicated":
            msg = (
                "Setting broker_publish_confirm is 'replicated', and a broker in memory has no "
                "replica. Expected 'accepted', or a Redis with a replica."
            )
            raise ConfigurationError(msg)
        return _memory_broker(address, settings)
    from windlass.brokers.redis import RedisBroker  # noqa: PLC0415 - see the module's docstring

    policy = settings.task_publish_retry_policy
    retry = PublishRetry(
        max_retries=_FOR_EVER if policy["max_retries"] is None else int(policy["max_retries"]),
        interval_start=policy["interval_start"] or 0.0,
        interval_step=policy["interval_step"] or 0.0,
        interval_max=policy["interval_max"] or 0.0,
    )
    return RedisBroker(
        address,
        keyspace=settings.keyspace,
        retry=retry if settings.task_publish_retry else PublishRetry(max_retries=0),
        options=_options(settings, settings.broker_transport_options, settings.broker_use_ssl),
        has_outbox=settings.results_enabled and is_elsewhere(settings),
        max_deliveries=settings.max_deliveries,
        lost_result=partial(_lost_result, settings),
        confirm_ms=round(settings.broker_connection_timeout * 1000)
        if settings.broker_publish_confirm == "replicated"
        else 0,
    )


def _memory_broker(address: str, settings: Settings) -> MemoryBroker:
    from windlass.brokers.memory import (  # noqa: PLC0415 - see the module's docstring
        MemoryBroker,
        shared_store,
    )

    return MemoryBroker(
        shared_store(address, settings.keyspace),
        max_deliveries=settings.max_deliveries,
        lost_result=partial(_lost_result, settings),
    )


def _lost_result(settings: Settings, task_id: str) -> StoredResult | None:
    """Encode the outcome of a message that became a dead letter because its workers were lost."""
    error = WorkerLostError(
        f"The worker was lost {settings.max_deliveries} times while it ran this task; the message "
        "is a dead letter."
    )
    return _dead_result(settings, task_id, error)


def parked_result(settings: Settings, task_id: str) -> StoredResult | None:
    """Encode the outcome of a message that no worker knew the task of for too long."""
    error = TaskError(
        "No worker knew this task for as long as its queue allows (park_limit_s); the message is a "
        "dead letter."
    )
    return _dead_result(settings, task_id, error)


def _dead_result(settings: Settings, task_id: str, error: TaskError) -> StoredResult | None:
    kept = settings.task_store_errors_even_if_ignored or not settings.task_ignore_result
    if not settings.results_enabled or not kept:
        return None
    about = codec.About(now_ms=round(time.time() * 1000), serializer=settings.result_serializer)
    payload = codec.encode_failure(task_id, error, None, about)
    return StoredResult(payload=payload, ttl_ms=round((settings.result_expires or 0) * 1000))


def broker_address(settings: Settings) -> str:
    """Return the broker's address, one of Redis as redis-py takes it.

    Raises:
        ConfigurationError: There is none, or its scheme is not supported.
    """
    url = settings.broker_url
    if url is None:
        msg = (
            "No broker is configured. Expected Windlass(..., broker='redis://host:6379/0'), the "
            "setting broker_url, or the environment variable WINDLASS_BROKER_URL."
        )
        if os.environ.get("CELERY_BROKER_URL"):
            msg += " CELERY_BROKER_URL is set and not read here: rename it."
        raise ConfigurationError(msg)
    if _is_memory(url):
        return url
    return _redis_address(url, "broker_url", "brokers", is_tls=bool(settings.broker_use_ssl))


def _options(
    settings: Settings, given: Mapping[str, Any], tls: bool | Mapping[str, Any] | None
) -> dict[str, Any]:
    """Merge what the settings say of a connection."""
    return {
        "socket_connect_timeout": settings.broker_connection_timeout,
        **given,
        **(tls if isinstance(tls, Mapping) else {}),
    }


def make_backend(settings: Settings, broker: Callable[[], AnyBroker]) -> AnyResults | None:
    """Build the result backend, None when results are off. It shares the broker's connections.

    Args:
        settings: Say whether there is one, and where.
        broker: Gives the broker; not called when results are off.

    Raises:
        ConfigurationError: It is none that is supported.
    """
    if not settings.results_enabled:
        return None
    check_backend(settings)
    store = broker()
    from windlass.brokers.memory import MemoryBroker  # noqa: PLC0415 - see the module's docstring

    if isinstance(store, MemoryBroker):
        return store.store.results
    from windlass.results.redis import RedisResults  # noqa: PLC0415 - see the module's docstring

    if not is_elsewhere(settings):
        return RedisResults(store.links, store.async_links, store.keys)
    from windlass.results.outbox import make_outbox_results  # noqa: PLC0415 - rarely needed

    return make_outbox_results(
        store,
        _backend_address(settings),
        _options(
            settings, settings.result_backend_transport_options, settings.redis_backend_use_ssl
        ),
    )


def check_backend(settings: Settings) -> None:
    """Refuse a result backend that there is none of, or that does not fit the broker.

    Raises:
        ConfigurationError: Names both addresses, without their passwords.
    """
    is_elsewhere(settings)


def is_elsewhere(settings: Settings) -> bool:
    """Whether results are kept in another database than the broker's, so that they are copied.

    Raises:
        ConfigurationError: The backend is none that is supported, or does not fit the broker.
    """
    broker = broker_address(settings)
    backend = settings.result_backend or ""
    if _is_memory(broker) and _is_memory(backend):
        return False  # the outcomes of a broker in memory are with it, whatever follows memory://
    if _is_memory(broker) != _is_memory(backend):
        msg = (
            f"Setting result_backend is {scrub(backend)!r}, and broker_url is {scrub(broker)!r}. "
            "Expected both on the same store: set result_backend='memory://' with a broker in "
            "memory, 'redis://' with one on Redis."
        )
        raise ConfigurationError(msg)
    if backend in ("redis://", "rediss://"):
        return False  # says: the broker's own
    place = _place(_backend_address(settings), settings.result_backend_transport_options)
    return place != _place(broker, settings.broker_transport_options)


def _backend_address(settings: Settings) -> str:
    return _redis_address(
        settings.result_backend or "", "result_backend", "result backends",
        is_tls=bool(settings.redis_backend_use_ssl),
    )  # fmt: skip


def _is_memory(url: str) -> bool:
    return url.startswith(f"{_MEMORY}://")


def _redis_address(url: str, setting: str, what: str, *, is_tls: bool = False) -> str:
    scheme, separator, rest = url.partition("://")
    scheme = _ALIASES.get(scheme, scheme)
    if not separator or scheme not in REDIS_SCHEMES:
        msg = (
            f"Setting {setting} is {scrub(url)!r}. Expected an address that starts with "
            f"{', '.join(f'{name}://' for name in REDIS_SCHEMES)}, or memory:// inside one "
            f"process; other {what} come in later versions."
        )
        raise ConfigurationError(msg)
    return f"{_OVER_TLS.get(scheme, scheme) if is_tls else scheme}://{rest}"


def _place(url: str, options: Mapping[str, Any]) -> tuple[object, ...]:
    """Return what tells one Redis database from another: where the server is, and the number."""
    if "+" in url.partition("://")[0] or url.startswith("sentinel://"):
        from windlass.redis_store.topology import parse  # noqa: PLC0415 - rarely needed

        topology = parse(url, options)
        number = int(urlsplit(topology.url).path.strip("/") or 0)
        return (frozenset(topology.nodes), topology.master_name, number)
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    number_text = query.get("db", query.get("virtual_host", ["0"]))[-1]
    if parts.scheme == "unix":
        return parts.path, int(number_text or 0)
    in_path = parts.path.strip("/")
    host = (parts.hostname or "localhost").lower()
    host = "localhost" if host in ("127.0.0.1", "::1") else host
    return f"{host}:{parts.port or 6379}", int(in_path or number_text or 0)
