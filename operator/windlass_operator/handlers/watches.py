"""One handler for every kind that is watched; each only stores the body and calls the loop.

`kopf.on.event` leaves neither annotations nor finalizers behind and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kopf

from windlass_operator.desired.names import MANAGED_BY, OPERATOR, POOL
from windlass_operator.store import Store

_GROUP, _VERSION = "windlass.dev", "v1alpha1"
#: (group, version, plural, kind, only with these labels).
WATCHED: tuple[tuple[str, str, str, str, dict[str, Any]], ...] = (
    (_GROUP, _VERSION, "taskqueues", "TaskQueue", {}),
    (_GROUP, _VERSION, "workerpools", "WorkerPool", {}),
    ("apps", "v1", "deployments", "Deployment", {POOL: kopf.PRESENT, MANAGED_BY: OPERATOR}),
    ("", "v1", "pods", "Pod", {POOL: kopf.PRESENT, MANAGED_BY: OPERATOR}),
    ("", "v1", "serviceaccounts", "ServiceAccount", {POOL: kopf.PRESENT, MANAGED_BY: OPERATOR}),
    ("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget",
     {POOL: kopf.PRESENT, MANAGED_BY: OPERATOR}),
)  # fmt: skip


def register(registry: kopf.OperatorRegistry, store: Store, call: Callable[[], None]) -> None:
    """Add the handlers to a registry."""
    kopf.on.login(registry=registry, id="login")(login)
    for group, version, plural, kind, labels in WATCHED:
        handler = _handler(kind, store, call)
        kopf.on.event(
            group, version, plural, labels=labels or None, registry=registry, id=f"watch-{plural}"
        )(handler)


def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    """Use the pod's service account, or the kubeconfig of a person; asked again after a 401."""
    return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)


def _handler(kind: str, store: Store, call: Callable[[], None]) -> Callable[..., None]:
    def on_event(event: kopf.RawEvent, **_: Any) -> None:
        body: dict[str, Any] = {"kind": kind, **event["object"]}
        if event["type"] == "DELETED":
            store.drop(kind, body)
        else:
            store.put(kind, body)
        call()

    return on_event
