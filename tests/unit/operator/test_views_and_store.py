"""From API bodies to views, and what the store keeps."""

from __future__ import annotations

from typing import Any

from windlass_operator.store import Store
from windlass_operator.views import deployment_view, pod_view

LABELS = {
    "windlass.dev/pool": "emails",
    "windlass.dev/track": "rolling",
    "windlass.dev/version": "v1",
}


def body(name: str = "emails-0", version: str = "1", **fields: Any) -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": "shop",
        "labels": dict(LABELS),
        "resourceVersion": version,
        "creationTimestamp": "2026-11-24T07:00:00Z",
        **fields.pop("metadata", {}),
    }
    return {"metadata": metadata, "spec": {}, **fields}


def worker_container(**fields: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "sidecar"}, {"name": "worker", **fields}]}


def test_a_new_pod_has_said_nothing_yet() -> None:
    view = pod_view(body(), "emails")

    assert (view.phase, view.is_ready, view.restarts) == ("Pending", False, 0)
    assert (view.deployment, view.version) == ("emails", "v1")


def test_a_pod_of_a_drain_rollout_belongs_to_its_versions_deployment() -> None:
    labels = {**LABELS, "windlass.dev/track": "abc"}

    assert pod_view(body(metadata={"labels": labels}), "emails").deployment == "emails-abc"


def test_last_words_of_the_worker_and_not_of_a_container_beside_it() -> None:
    status = worker_container(
        restartCount=4,
        state={"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
        lastState={"terminated": {"message": "ImportError: no"}},
    )
    view = pod_view(body(status=status), "emails")

    assert view.restarts == 4
    assert view.waiting_reason == "CrashLoopBackOff"
    assert view.message == "ImportError: no"


def test_why_an_image_cannot_be_pulled() -> None:
    status = worker_container(state={"waiting": {"reason": "ErrImagePull", "message": "404"}})

    assert pod_view(body(status=status), "emails").message == "404"


def test_readiness_scheduling_deletion_and_cost() -> None:
    status = {
        "phase": "Pending",
        "conditions": [
            {"type": "Ready", "status": "True"},
            {"type": "PodScheduled", "status": "False", "message": "no room"},
        ],
    }
    annotations = {"controller.kubernetes.io/pod-deletion-cost": "-1000"}
    metadata = {"annotations": annotations, "deletionTimestamp": "2026-11-24T07:01:00Z"}
    view = pod_view(body(status=status, metadata=metadata), "emails")

    assert view.is_ready
    assert view.is_deleting
    assert view.unschedulable == "no room"
    assert view.deletion_cost == -1000


def test_a_cost_that_is_no_number_is_none() -> None:
    annotations = {"controller.kubernetes.io/pod-deletion-cost": "cheap"}

    assert pod_view(body(metadata={"annotations": annotations}), "emails").deletion_cost == 0


def deployment(generation: int = 1, observed: int = 1, **status: int) -> Any:
    return deployment_view(
        body(
            metadata={"generation": generation},
            spec={"replicas": 3},
            status={"observedGeneration": observed, **status},
        )
    )


def test_a_deployment_without_a_status() -> None:
    view = deployment_view(body(spec={}))

    assert (view.replicas, view.current, view.ready) == (1, 0, 0)


def test_a_rollout_shows_in_pods_of_another_version_or_a_status_that_is_behind() -> None:
    assert deployment(replicas=3, updatedReplicas=3).replica_sets == 1
    assert deployment(replicas=4, updatedReplicas=1).replica_sets == 2
    assert deployment(generation=2, replicas=3, updatedReplicas=3).replica_sets == 2


def test_a_deadline_that_passed_is_told() -> None:
    status = {
        "conditions": [
            {"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "too long"}
        ]
    }
    assert deployment_view(body(status=status)).progress_failed == "too long"


def test_the_store_finds_children_by_their_pool() -> None:
    store = Store()
    store.put("Pod", body("a"))
    store.put("Pod", body("b", metadata={"labels": {}}))

    assert [b["metadata"]["name"] for b in store.children("Pod", "shop", "emails")] == ["a"]
    assert len(store.all("Pod")) == 2

    store.drop("Pod", body("a"))
    assert list(store.children("Pod", "shop", "emails")) == []
    assert store.get("Pod", "shop", "a") is None


def test_a_watch_that_is_behind_does_not_undo_what_we_were_answered() -> None:
    store = Store()
    store.put("Deployment", body(version="10", spec={"replicas": 5}))
    store.put("Deployment", body(version="9", spec={"replicas": 2}))
    assert store.all("Deployment")[0]["spec"] == {"replicas": 5}

    store.put("Deployment", body(version="11", spec={"replicas": 7}))
    assert store.all("Deployment")[0]["spec"] == {"replicas": 7}
