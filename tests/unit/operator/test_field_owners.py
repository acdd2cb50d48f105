"""Whose a field is says who changed it last; what values look like says nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from windlass_operator.field_owners import taken_fields

US = "windlass-operator"
MANIFEST: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "emails", "namespace": "shop", "labels": {"a": "b"}, "annotations": {}},
    "spec": {
        "selector": {"matchLabels": {"a": "b"}},
        "paused": None,
        "template": {
            "containers": [
                {
                    "name": "worker",
                    "image": "shop:1",
                    "args": ["worker", "--app=shop"],
                    "cpu": "0.5",
                    "ports": [{"containerPort": 8080}],
                    "tmp": {},
                    "env": [],
                }
            ],
            "finalizers": ["one"],
        },
    },
}
WORKER = 'k:{"name":"worker"}'
PORT = 'k:{"containerPort":8080,"protocol":"TCP"}'
OWNED: dict[str, Any] = {
    "f:metadata": {"f:labels": {"f:a": {}}},
    "f:spec": {
        "f:selector": {},
        "f:template": {
            "f:containers": {
                WORKER: {
                    ".": {},
                    "f:name": {},
                    "f:image": {},
                    "f:args": {},
                    "f:cpu": {},
                    "f:tmp": {},
                    "f:ports": {PORT: {".": {}, "f:containerPort": {}}},
                }
            },
            "f:finalizers": {'v:"one"': {}},
        },
    },
}


def body(change: Callable[[dict[str, Any], dict[str, Any]], Any] | None = None) -> dict[str, Any]:
    """The object as the server has it: defaults added, numbers written its own way."""
    live, owned = copy.deepcopy(MANIFEST), copy.deepcopy(OWNED)
    worker = live["spec"]["template"]["containers"][0]
    worker |= {"cpu": "500m", "imagePullPolicy": "Always"}
    worker["ports"][0]["protocol"] = "TCP"
    if change is not None:
        change(worker, owned["f:spec"]["f:template"]["f:containers"][WORKER])
    live["metadata"]["managedFields"] = [
        {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {}},
        {"manager": US, "operation": "Apply", "subresource": "status", "fieldsV1": {}},
        {"manager": US, "operation": "Apply", "fieldsV1": owned},
    ]
    return live


def test_nothing_is_taken_of_an_object_as_it_was_applied() -> None:
    assert taken_fields(MANIFEST, body(), US) == []


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda _, owned: owned.pop("f:image"), "image"),
        (lambda worker, _: worker.update(args=["sleep"]), "args"),
        (lambda worker, _: worker.update(args=["worker", "--app=shop", "-v"]), "args"),
        (lambda _, owned: owned.pop("f:tmp"), "tmp"),
        (lambda _, owned: owned["f:ports"][PORT].pop("f:containerPort"),
         "ports[8080].containerPort"),
        (lambda _, owned: owned["f:ports"].clear() or owned["f:ports"].update(x={}), "ports[]"),
    ],
)  # fmt: skip
def test_a_field_that_somebody_took_is_named(
    change: Callable[[dict[str, Any], dict[str, Any]], Any], path: str
) -> None:
    assert taken_fields(MANIFEST, body(change), US) == [f"spec.template.containers[worker].{path}"]


def test_a_map_whose_last_field_was_taken_looks_like_a_whole_and_is_told_by_its_values() -> None:
    live = body()
    live["metadata"]["labels"] = {"a": "other"}
    live["metadata"]["managedFields"][2]["fieldsV1"]["f:metadata"] = {"f:labels": {}}

    assert taken_fields(MANIFEST, live, US) == ["metadata.labels"]


def test_a_value_of_a_set_that_somebody_took_is_named() -> None:
    live = body()
    live["metadata"]["managedFields"][2]["fieldsV1"]["f:spec"]["f:template"]["f:finalizers"] = {
        'v:"two"': {}
    }

    assert taken_fields(MANIFEST, live, US) == ["spec.template.finalizers[one]"]


def test_everything_is_taken_when_we_own_nothing() -> None:
    live = body()
    del live["metadata"]["managedFields"][2]

    assert taken_fields(MANIFEST, live, US) == ["metadata", "spec"]


def test_nothing_is_known_of_an_object_without_owners() -> None:
    live = body()
    live["metadata"]["managedFields"] = []

    assert taken_fields(MANIFEST, live, US) == []
