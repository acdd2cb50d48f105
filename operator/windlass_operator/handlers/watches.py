"""One handler for every kind that is watched; each only stores the body and calls the loop.

`kopf.on.event` leaves neither annotations nor finalizers behind and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import kopf

from windlass_operator.desired.names import MANAGED_BY, OPERATOR, POOL
from windlass_operator.handlers.watch_session import watch_session
from windlass_operator.store import Store

_GROUP, _VERSION = "windlass.dev", "v1alpha1"
_OURS = f"{POOL},{MANAGED_BY}={OPERATOR}"
#: (group, version, plural, kind, label selector): the server sends nothing else.
WATCHED: tuple[tuple[str, str, str, str, str], ...] = (
    (_GROUP, _VERSION, "taskqueues", "TaskQueue", ""),
    (_GROUP, _VERSION, "workerpools", "WorkerPool", ""),
    (_GROUP, _VERSION, "beatschedules", "BeatSchedule", ""),
    ("apps", "v1", "deployments", "Deployment", _OURS),
    ("", "v1", "pods", "Pod", _OURS),
    ("", "v1", "serviceaccounts", "ServiceAccount", _OURS),
    ("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", _OURS),
)


def register(
    registry: kopf.OperatorRegistry,
    store: Store,
    call: Callable[[], None],
    missed: Callable[[], None],
) -> None:
    """Add the handlers to a registry.

    Args:
        registry: Of kopf's.
        store: Where bodies go.
        call: Called after each event that was news.
        missed: Called when there may have been events that no watch has told.
    """
    kopf.on.login(registry=registry, id="login")(_login(missed))
    for group, version, plural, kind, _ in WATCHED:
        handler = _handler(kind, store, call)
        kopf.on.event(group, version, plural, registry=registry, id=f"watch-{plural}")(handler)


def _login(
    missed: Callable[[], None],
) -> Callable[..., Coroutine[Any, Any, kopf.AiohttpSession | None]]:
    async def login(**kwargs: Any) -> kopf.AiohttpSession | None:
        """Use the pod's service account, or a person's kubeconfig; asked again after a 401."""
        found = kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)
        return None if found is None else watch_session(found, missed)

    return login


def _handler(
    kind: str, store: Store, call: Callable[[], None]
) -> Callable[..., Coroutine[Any, Any, None]]:
    # Not a plain function: kopf would run it in a thread, beside a tick that reads the store.
    async def on_event(event: kopf.RawEvent, **_: Any) -> None:
        body: dict[str, Any] = {"kind": kind, **event["object"]}
        if event["type"] == "DELETED":
            store.drop(kind, body)
        elif not store.put(kind, body):
            return  # the answer to a write of ours told it already
        call()

    return on_event
