"""What the store keeps of a body, and how often it is read."""

from __future__ import annotations

from typing import Any

import msgspec

from operator_builders import pool_body, queue_body
from windlass_operator.field_owners import taken_fields
from windlass_operator.models.resource import InvalidSpecError
from windlass_operator.models.taskqueue import TaskQueue
from windlass_operator.readings import Model, read_child, read_deployment, read_pod, read_queue
from windlass_operator.store import Store
from windlass_operator.trimming import trimmed

LABELS = {"windlass.dev/pool": "emails"}
US = "windlass-operator"


def child(version: str = "5", **fields: Any) -> dict[str, Any]:
    metadata = {"name": "emails", "namespace": "shop", "labels": LABELS, "resourceVersion": version}
    return {"metadata": {**metadata, **fields.pop("metadata", {})}, "spec": {}, **fields}


def test_what_was_told_already_is_no_news() -> None:
    store = Store()
    assert store.put("Deployment", child())
    assert not store.put("Deployment", {"apiVersion": "apps/v1", "kind": "Deployment", **child()})
    assert not store.put("Deployment", child("4", spec={"replicas": 3}))
    assert store.put("Deployment", child("6"))


def test_a_body_is_read_once_a_version() -> None:
    store, read = Store(), []

    def make(raw: bytes, before: int | None) -> int:
        read.append(before)
        return len(read)

    for version in ("5", "5", "6"):
        store.put("Deployment", child(version))
        for _ in range(3):
            store.read_children("Deployment", "shop", "emails", make)

    assert read == [None, 1]


def test_a_status_that_was_written_leaves_the_spec_as_it_was_read() -> None:
    store = Store()
    store.put("TaskQueue", queue_body(drainTarget="30s"))
    [(_, before)] = store.read_all("TaskQueue", read_queue)
    written = queue_body(drainTarget="30s") | {"status": {"backlog": 3}}
    written["metadata"]["resourceVersion"] = "8"
    store.put("TaskQueue", written)
    [(_, after)] = store.read_all("TaskQueue", read_queue)

    assert isinstance(before.value, TaskQueue)
    assert isinstance(after.value, TaskQueue)
    assert after.value.spec is before.value.spec
    assert after.value.status == {"backlog": 3}
    assert after.value.identity.resource_version == "8"


def test_a_changed_or_repaired_spec_is_read_anew() -> None:
    bodies = [queue_body(drainTarget="soon"), queue_body(drainTarget="30s"), queue_body()]
    models: list[Model[TaskQueue] | None] = [None]
    for body in bodies:
        models.append(read_queue(msgspec.json.encode(body), models[-1]))
    values = [model.value for model in models if model is not None]

    assert isinstance(values[0], InvalidSpecError)
    assert [v.spec.drain_target for v in values if isinstance(v, TaskQueue)] == [30.0, 60.0]


def test_nothing_is_kept_that_nobody_reads() -> None:
    theirs = {"manager": "kube-controller-manager", "operation": "Update", "fieldsV1": {"f:a": {}}}
    ours = {"manager": US, "operation": "Apply", "fieldsV1": {"f:spec": {}}}
    last = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "yes"}
    metadata = {"managedFields": [theirs, ours], "annotations": last}
    kept = {kind: trimmed(kind, child(metadata=metadata)) for kind in ("Pod", "Deployment")}
    pool = trimmed("WorkerPool", {**pool_body(), "metadata": {"name": "p", **metadata}})

    assert "spec" not in kept["Pod"]
    assert "managedFields" not in kept["Pod"]["metadata"]
    assert kept["Deployment"]["metadata"]["managedFields"] == [ours]
    assert pool["metadata"] == {"name": "p", "annotations": {"mine": "yes"}}


def test_a_child_that_is_all_of_others_is_seen_as_taken() -> None:
    theirs = {"manager": "somebody", "operation": "Update", "fieldsV1": {"f:data": {}}}
    body = trimmed("ServiceAccount", child(metadata={"managedFields": [theirs]}))

    assert taken_fields({"data": {"a": 1}}, body, US) == ["data"]


def test_an_object_that_lost_its_label_leaves_its_pool() -> None:
    store = Store()
    store.put("Deployment", child("5"))
    before = store.revision(("shop", "emails"))
    store.put("Deployment", child("6", metadata={"labels": {}}))

    assert list(store.children("Deployment", "shop", "emails")) == []
    assert store.get("Deployment", "shop", "emails") is not None
    assert store.revision(("shop", "emails")) != before


def test_every_change_of_a_child_is_another_revision() -> None:
    store, pool = Store(), ("shop", "emails")
    seen = [store.revision(pool)]
    store.put("Deployment", child("5"))
    seen.append(store.revision(pool))
    store.put("Pod", child("6"))
    seen.append(store.revision(pool))
    store.put("Pod", child("6"))
    assert store.revision(pool) == seen[-1]
    store.drop("Pod", child("6"))
    seen.append(store.revision(pool))

    assert len(set(seen)) == len(seen)


def test_children_are_read_as_views() -> None:
    raw = msgspec.json.encode(child(metadata={"annotations": {"windlass.dev/applied": "abc"}}))
    view, as_child = read_deployment(raw, None)

    assert (view.name, view.resource_version) == ("emails", "5")
    assert (as_child.applied, as_child.version) == ("abc", "5")
    assert read_child(raw, None) == as_child
    assert as_child.body()["metadata"]["labels"] == LABELS
    assert read_pod(raw, None).deployment == "emails"
