"""Which address a queue's broker has, and who may use it. No network: facts in, an address out.

spec.broker.url              that
spec.broker.secretKeyRef     a Secret of the namespace, if it carries windlass.dev/broker=allow
nothing, embedded default    the chart's Redis, as a user that sees this keyspace only
nothing, external default    the one address, if it is offered to this namespace
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from windlass.errors import ConfigurationError
from windlass.redis_store.topology import parse
from windlass_operator.desired.names import BROKER_ALLOW
from windlass_operator.models.taskqueue import SecretKeyRef, TaskQueue
from windlass_operator.observed import BrokerError
from windlass_operator.settings import DefaultBrokerKind, OperatorSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a queue's broker is.

    Attributes:
        url: For applications and workers, with their credentials; '' when there is none.
        operator_url: For the operator's own reads; one for all keyspaces of an embedded broker.
        broker_id: The same for equal servers, databases and credentials; derived under a secret
            key, so that it may be shown.
        user: The user that must exist on an embedded broker, with its password.
    """

    url: str = ""
    operator_url: str = ""
    broker_id: str = ""
    user: tuple[str, str] | None = None
    error: BrokerError | None = None
    detail: str = ""


def resolve(
    queue: TaskQueue,
    settings: OperatorSettings,
    default_url: str,
    secret: Mapping[str, Any] | None,
    namespace_labels: Mapping[str, str],
) -> Address:
    """Find a queue's broker.

    Args:
        queue: The object.
        settings: The operator's.
        default_url: The default broker's address now.
        secret: The Secret that the queue names, as the API has it; None if it is not there.
        namespace_labels: Of the queue's namespace.
    """
    broker, namespace = queue.spec.broker, queue.identity.namespace
    if broker is not None and broker.url is not None:
        return _own(broker.url, settings)
    if broker is not None and broker.secret_key_ref is not None:
        return _from_secret(broker.secret_key_ref, secret, settings)
    if settings.default_broker_kind is DefaultBrokerKind.EMBEDDED:
        return _embedded(namespace, settings, default_url)
    if settings.default_broker_kind is DefaultBrokerKind.EXTERNAL:
        if is_offered(namespace, settings, namespace_labels):
            return _own(default_url, settings, "The operator's default broker")
        return Address(
            error=BrokerError.NOT_OFFERED,
            detail=f"The operator's broker is not offered to namespace {namespace!r}. Name a "
            "broker in spec.broker, or have the operator's administrator add it: "
            f"defaultBroker.namespaces: [{namespace}].",
        )
    return Address(
        error=BrokerError.NOT_OFFERED,
        detail="The operator has no default broker. Name one in spec.broker.",
    )


def is_offered(
    namespace: str, settings: OperatorSettings, namespace_labels: Mapping[str, str]
) -> bool:
    """Whether an external default broker, which has one credential, is for this namespace."""
    if namespace == settings.namespace or namespace in settings.offered_namespaces:
        return True
    wanted = settings.offered_labels
    return bool(wanted) and all(namespace_labels.get(k) == v for k, v in wanted.items())


def is_address(url: str) -> bool:
    """Whether a text names a Redis server, so that a client can be made for it."""
    if "+" in url.partition("://")[0] or url.startswith("sentinel://"):
        return _is_group(url)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # brackets that do not match, a port that is no number
        return False
    has_server = parts.scheme in ("redis", "rediss") and bool(parts.hostname) and port != 0
    return has_server and (parts.path in ("", "/") or parts.path[1:].isdigit())


def _is_group(url: str) -> bool:
    """Whether a text names Sentinels or a cluster, with all that is to be known of them."""
    try:
        parse(url)
    except ConfigurationError:
        return False
    return True


def fingerprint(settings: OperatorSettings, text: str) -> str:
    """Return a short name of a secret text that tells nothing without the operator's key."""
    digest = hmac.new(settings.secret_key.encode(), text.encode(), hashlib.sha256)
    return digest.hexdigest()[:12]


def _own(url: str, settings: OperatorSettings, where: str = "spec.broker.url") -> Address:
    if not is_address(url):
        return Address(
            error=BrokerError.BAD_ADDRESS,
            detail=f"{where} is no usable address. Expected "
            "redis://[user:password@]host[:port]/db, rediss://... for TLS, "
            "sentinel://host:port;host:port/db?master_name=..., or redis+cluster://host:port.",
        )
    return Address(url=url, operator_url=url, broker_id=fingerprint(settings, url))


def _from_secret(
    ref: SecretKeyRef, secret: Mapping[str, Any] | None, settings: OperatorSettings
) -> Address:
    if secret is None:
        return Address(
            error=BrokerError.SECRET_MISSING,
            detail=f"Secret {ref.name!r} is not in this namespace. Create it with the broker's "
            f"address under the key {ref.key!r} and the label {BROKER_ALLOW}=allow.",
        )
    labels = secret.get("metadata", {}).get("labels") or {}
    if labels.get(BROKER_ALLOW) != "allow":
        return Address(
            error=BrokerError.SECRET_NOT_SHARED,
            detail=f"Secret {ref.name!r} is not shared with the operator. Label it: kubectl label "
            f"secret {ref.name} {BROKER_ALLOW}=allow",
        )
    encoded = (secret.get("data") or {}).get(ref.key)
    if encoded is None:
        return Address(
            error=BrokerError.SECRET_MISSING,
            detail=f"Secret {ref.name!r} has no key {ref.key!r}; put the broker's address there.",
        )
    url = base64.b64decode(encoded).decode(errors="replace").strip()
    return _own(url, settings, f"Key {ref.key!r} of Secret {ref.name!r}")


def _embedded(namespace: str, settings: OperatorSettings, default_url: str) -> Address:
    user = f"ks-{namespace}"
    raw = hmac.new(
        settings.secret_key.encode(), f"user:{namespace}".encode(), hashlib.sha256
    ).digest()
    password = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    parts = urlsplit(default_url)
    host = settings.default_broker_host or parts.netloc.rpartition("@")[2]
    url = urlunsplit(parts._replace(netloc=f"{quote(user)}:{password}@{host}"))
    return Address(
        url=url,
        operator_url=default_url,
        broker_id=fingerprint(settings, url),
        user=(user, password),
    )
