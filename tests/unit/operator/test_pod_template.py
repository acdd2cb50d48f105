"""Merging a user's podTemplate: what is the operator's stays so, the rest is the user's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operator_builders import make_pool
from windlass_operator.desired.pod_template import merge
from windlass_operator.desired.worker_deployment import (
    WorkerInputs,
    desired_deployment,
    worker_template,
)

INPUTS = WorkerInputs(queues=("emails",), binding="emails-binding", credentials="c1")


def ours() -> dict[str, Any]:
    return dict(worker_template(make_pool(), INPUTS).template)


def merged(template: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    result = worker_template(make_pool(podTemplate=template), INPUTS)
    return dict(result.template), result.ignored


def worker_of(template: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any] = template["spec"]["containers"][0]
    return container


def worker(**fields: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "worker", **fields}]}}


def test_merging_nothing_changes_nothing() -> None:
    template = ours()

    assert merge(template, {}) == (template, [])
    assert merge(template, {"metadata": {}, "spec": {}}) == (template, [])


RESERVED = {
    "image": "evil:1",
    "command": ["sh"],
    "args": ["-c", "true"],
    "livenessProbe": {"exec": {"command": ["true"]}},
    "readinessProbe": {"exec": {"command": ["true"]}},
    "startupProbe": {"exec": {"command": ["true"]}},
    "terminationMessagePolicy": "File",
}
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from([*RESERVED, "stdin", "resources", "lifecycle"]), _values),
    st.lists(
        st.sampled_from(["WINDLASS_BROKER_URL", "WINDLASS_KEYSPACE", "POD_NAME", "MINE"]),
        unique=True,
    ),
    st.dictionaries(st.sampled_from(["hostNetwork", "nodeSelector", "affinity"]), _values),
)
def test_reserved_fields_are_never_overridden(
    fields: dict[str, Any], variables: list[str], spec: dict[str, Any]
) -> None:
    template = worker(**fields, env=[{"name": name, "value": "x"} for name in variables])
    template["spec"] |= spec
    before = worker_of(ours())

    result, ignored = merge(ours(), template)

    after = worker_of(result)
    for field in RESERVED:
        assert after.get(field) == before.get(field)
        assert (f"podTemplate.spec.containers[worker].{field}" in ignored) == (field in fields)
    for item in before["env"]:
        assert item in after["env"]
    assert ({"name": "MINE", "value": "x"} in after["env"]) == ("MINE" in variables)
    for key, value in spec.items():
        assert result["spec"][key] == value


def test_ours_is_not_changed_by_merging() -> None:
    template = ours()
    merge(template, {"metadata": {"labels": {"a": "b"}}, **worker(env=[{"name": "A"}])})

    assert template == ours()


def test_resources_env_and_mounts_are_added() -> None:
    template = worker(
        resources={"requests": {"cpu": "1"}},
        env=[{"name": "A", "value": "1"}],
        envFrom=[{"secretRef": {"name": "s"}}],
        volumeMounts=[{"name": "data", "mountPath": "/data"}],
    )
    template["spec"]["volumes"] = [{"name": "data", "emptyDir": {}}]

    result, ignored = merged(template)

    container = worker_of(result)
    assert container["resources"] == {"requests": {"cpu": "1"}}
    assert {"name": "A", "value": "1"} in container["env"]
    assert [m["mountPath"] for m in container["volumeMounts"]] == ["/tmp", "/data"]
    assert [v["name"] for v in result["spec"]["volumes"]] == ["tmp", "data"]
    assert ignored == ()


def test_a_users_security_context_wins_field_by_field() -> None:
    template = worker(securityContext={"readOnlyRootFilesystem": False})
    template["spec"]["securityContext"] = {"runAsUser": 1000}

    result, _ = merged(template)

    assert worker_of(result)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert result["spec"]["securityContext"]["runAsUser"] == 1000
    assert result["spec"]["securityContext"]["runAsNonRoot"] is True


@pytest.mark.parametrize("port", [{"containerPort": 8080, "name": "http"},
                                  {"containerPort": 9999, "name": "health"}])  # fmt: skip
def test_the_port_of_the_probes_stays_and_others_are_added(port: dict[str, Any]) -> None:
    result, ignored = merged(worker(ports=[port, {"containerPort": 9000}]))

    ports = worker_of(result)["ports"]
    assert [(p.get("name"), p["containerPort"]) for p in ports] == [("health", 8080), (None, 9000)]
    assert ignored == (f"podTemplate.spec.containers[worker].ports[{port['containerPort']}]",)


def test_the_drain_time_belongs_to_the_grace_period() -> None:
    result, ignored = merged(worker(env=[{"name": "WINDLASS_WORKER_DRAIN_TIMEOUT", "value": "9"}]))

    env = {item["name"]: item.get("value") for item in worker_of(result)["env"]}
    assert env["WINDLASS_WORKER_DRAIN_TIMEOUT"] == "300"
    assert ignored


def test_containers_beside_the_worker_are_the_users_and_come_after_it() -> None:
    beside = {"name": "proxy", "image": "p", "command": ["x"], "args": ["y"]}
    result, ignored = merged({"spec": {"containers": [beside]}})

    assert [c["name"] for c in result["spec"]["containers"]] == ["worker", "proxy"]
    assert result["spec"]["containers"][1] == beside
    assert ignored == ()


@pytest.mark.parametrize(("users", "expected"), [(10, 315), (1000, 1000)])
def test_the_longer_grace_counts(users: int, expected: int) -> None:
    result, _ = merged({"spec": {"terminationGracePeriodSeconds": users}})

    assert result["spec"]["terminationGracePeriodSeconds"] == expected


def test_labels_of_selectors_cannot_be_taken_over() -> None:
    labels = {"windlass.dev/pool": "other", "windlass.dev/track": "x", "team": "shop"}
    result, _ = merged({"metadata": {"labels": labels}})

    assert result["metadata"]["labels"]["windlass.dev/pool"] == "emails"
    assert result["metadata"]["labels"]["windlass.dev/track"] == "rolling"
    assert result["metadata"]["labels"]["team"] == "shop"
    selector = desired_deployment(make_pool(), worker_template(make_pool(), INPUTS))
    wanted = selector["spec"]["selector"]["matchLabels"]
    assert wanted.items() <= result["metadata"]["labels"].items()
