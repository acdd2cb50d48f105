"""kopf watches for us, and neither limits, compares nor keeps anything."""

from __future__ import annotations

from typing import Any

import kopf

from windlass_operator.handlers.watch_settings import watch_settings
from windlass_operator.handlers.watches import WATCHED, register
from windlass_operator.store import Store

CHILDREN = {"deployments", "pods", "serviceaccounts", "poddisruptionbudgets"}


def test_however_many_objects_changed_all_are_heard_of_at_once() -> None:
    assert watch_settings().queueing.worker_limit is None


def test_only_our_children_are_sent_by_the_server() -> None:
    selectors = watch_settings().watching.label_selectors
    selected = {plural for group, version, plural, *_ in WATCHED
                if (group, version, plural) in selectors}  # fmt: skip

    assert selected == CHILDREN
    assert set(selectors.values()) == {
        "windlass.dev/pool,app.kubernetes.io/managed-by=windlass-operator"
    }


def test_a_body_is_neither_copied_nor_changed() -> None:
    persistence, patch = watch_settings().persistence, kopf.Patch()
    body = kopf.Body({"metadata": {"name": "a"}, "spec": {"large": 1}})
    diffbase, progress = persistence.diffbase_storage, persistence.progress_storage
    essence = diffbase.build(body=body)
    diffbase.store(body=body, patch=patch, essence=essence)
    progress.touch(body=body, patch=patch, value="now")
    progress.purge(key="a", body=body, patch=patch)

    assert essence == {}
    assert diffbase.fetch(body=body) is None
    assert progress.fetch(key="a", body=body) is None
    assert not patch


async def test_an_event_calls_the_loop_when_it_tells_anything_new() -> None:
    registry, store, calls = kopf.OperatorRegistry(), Store(), []
    register(registry, store, lambda: calls.append(1), lambda: None)
    handlers: list[Any] = registry._watching._handlers
    on_event = next(h.fn for h in handlers if h.id == "watch-pods")
    pod = {"metadata": {"name": "a", "namespace": "shop", "resourceVersion": "1",
                        "labels": {"windlass.dev/pool": "emails"}}}  # fmt: skip

    counts = []
    for kind in ("ADDED", "MODIFIED", "DELETED"):
        await on_event(event={"type": kind, "object": pod})
        counts.append(len(calls))

    assert counts == [1, 1, 2]
    assert store.all("Pod") == []
