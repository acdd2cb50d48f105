"""Resolved broker addresses of all queues, with what the API had to be asked for.

Secrets are read one by one and kept for a minute; a refused credential makes them be read anew.
Never listed, never watched.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from windlass_operator.broker_addresses import Address, resolve
from windlass_operator.desired.names import BROKER_ALLOW
from windlass_operator.kube import Kube, KubeError, Ref
from windlass_operator.models.taskqueue import TaskQueue
from windlass_operator.observed import BrokerError
from windlass_operator.settings import DefaultBrokerKind, OperatorSettings

_KEPT_S = 60.0
#: A Secret that cannot be used yet is looked at again soon: somebody is at work on it.
_KEPT_UNUSABLE_S = 5.0
#: The default broker's address may be in a file, which is read this often.
_DEFAULT_KEPT_S = 1.0


class Addresses:
    """Looks addresses up."""

    def __init__(self, kube: Kube, settings: OperatorSettings) -> None:
        self._kube = kube
        self._settings = settings
        self._cache: dict[Ref, tuple[float, dict[str, Any] | None]] = {}
        #: The default broker's address and when it was read, monotonic: not for each queue anew.
        self._default = ("", float("-inf"))
        #: Namespace -> the address there on an embedded default broker.
        self._embedded: dict[str, Address] = {}

    async def of(self, queue: TaskQueue) -> Address:
        """Resolve one queue's broker."""
        namespace, url = queue.identity.namespace, self._default_url()
        is_default = queue.spec.broker is None
        if is_default and self._settings.default_broker_kind is DefaultBrokerKind.EMBEDDED:
            if namespace not in self._embedded:
                self._embedded[namespace] = resolve(queue, self._settings, url, None, {})
            return self._embedded[namespace]
        secret: Mapping[str, Any] | None = None
        labels: Mapping[str, str] = {}
        try:
            ref = queue.spec.broker.secret_key_ref if queue.spec.broker else None
            if ref is not None:
                secret = await self._get(Ref(kind="Secret", namespace=namespace, name=ref.name))
            if self._asks_for_labels():
                body = await self._get(Ref(kind="Namespace", namespace="", name=namespace))
                labels = (body or {}).get("metadata", {}).get("labels") or {}
        except KubeError as error:
            if error.is_transient:
                return Address(error=BrokerError.UNREACHABLE, detail=f"Its address: {error}.")
            return Address(error=BrokerError.SECRET_MISSING, detail=f"It cannot be read: {error}.")
        return resolve(queue, self._settings, url, secret, labels)

    def _default_url(self) -> str:
        url, read_s = self._default
        if time.monotonic() - read_s >= _DEFAULT_KEPT_S:
            fresh = self._settings.broker_url()
            if fresh != url:
                self._embedded.clear()
            self._default = (fresh, time.monotonic())
        return self._default[0]

    def _asks_for_labels(self) -> bool:
        is_external = self._settings.default_broker_kind is DefaultBrokerKind.EXTERNAL
        return is_external and bool(self._settings.offered_labels)

    def forget_secrets(self, namespace: str) -> None:
        """Read a namespace's Secrets again: a credential was refused, so it may be rotated."""
        for ref in [ref for ref in self._cache if ref.namespace == namespace]:
            del self._cache[ref]

    async def _get(self, ref: Ref) -> dict[str, Any] | None:
        known = self._cache.get(ref)
        if known is not None:
            kept_s = _KEPT_S if _is_usable(ref, known[1]) else _KEPT_UNUSABLE_S
            if time.monotonic() - known[0] < kept_s:
                return known[1]
        body = await self._kube.get(ref)
        self._cache[ref] = (time.monotonic(), body)
        return body


def _is_usable(ref: Ref, body: Mapping[str, Any] | None) -> bool:
    if body is None or ref.kind != "Secret":
        return body is not None
    return (body["metadata"].get("labels") or {}).get(BROKER_ALLOW) == "allow"
