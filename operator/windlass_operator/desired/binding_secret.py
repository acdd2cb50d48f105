"""The Secret by which applications of a namespace reach a queue: an `envFrom` and they can send.

Source: the Service Binding specification (type, provider and uri; type servicebinding.io/...).
"""

from __future__ import annotations

from typing import Any

from windlass_operator.desired import names
from windlass_operator.models.taskqueue import TaskQueue


def desired_binding_secret(queue: TaskQueue, url: str, keyspace: str) -> dict[str, Any]:
    """Build it. It holds the credentials of this keyspace and of nothing else."""
    name = queue.identity.name
    labels = {**names.common_labels(name, "binding"), names.QUEUE: name, names.BINDING: "true"}
    manifest = names.child("v1", "Secret", names.binding_name(name), queue.identity, labels)
    manifest["type"] = "servicebinding.io/redis"
    manifest["stringData"] = {
        "type": "redis",
        "provider": "windlass",
        "uri": url,
        "queue": queue.queue_name,
        "WINDLASS_BROKER_URL": url,
        "WINDLASS_RESULT_BACKEND": url,
        "WINDLASS_KEYSPACE": keyspace,
    }
    return manifest
