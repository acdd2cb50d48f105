"""Where a queue's broker is on a laptop: as it says, else the one broker of this run. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from windlass.errors import ConfigurationError
from windlass_operator.broker_addresses import Address
from windlass_operator.local.files import Resources
from windlass_operator.models.taskqueue import TaskQueue


def local_address(queue: TaskQueue, default_url: str) -> Address:
    """Return spec.broker.url, else the default broker."""
    broker = queue.spec.broker
    url = broker.url if broker is not None and broker.url is not None else default_url
    broker_id = hashlib.sha256(url.encode()).hexdigest()[:12]
    return Address(url=url, operator_url=url, broker_id=broker_id)


def needs_default(bodies: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a queue lives on the default broker."""
    queues = [body for body in bodies if body["kind"] == "TaskQueue"]
    return not queues or any("url" not in (body["spec"].get("broker") or {}) for body in queues)


def refuse_secrets(resources: Resources) -> None:
    """Refuse brokers that are in a Secret, unless another one was named.

    Raises:
        ConfigurationError: With the place of each.
    """
    places = [
        resources.places["TaskQueue", body["metadata"]["namespace"], body["metadata"]["name"]]
        for body in resources.bodies
        if body["kind"] == "TaskQueue" and "secretKeyRef" in (body["spec"].get("broker") or {})
    ]
    if places:
        raise ConfigurationError(
            f"{', '.join(places)}: spec.broker.secretKeyRef names a Secret, and there are none "
            "outside a cluster. Name the broker to use instead: windlass up -b redis://..., or "
            "the environment variable WINDLASS_BROKER_URL."
        )
