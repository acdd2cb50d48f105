"""The children of a pool and a queue: what the promises of security and draining rest on."""

from __future__ import annotations

import re
from typing import Any

import click
import pytest

from operator_builders import make_pool, make_queue
from windlass.cli.worker import worker as worker_command
from windlass.settings import Settings
from windlass_operator.desired import names
from windlass_operator.desired.accompanying import (
    desired_disruption_budget,
    desired_service_account,
)
from windlass_operator.desired.binding_secret import desired_binding_secret
from windlass_operator.desired.worker_deployment import (
    WorkerInputs,
    desired_deployment,
    worker_args,
    worker_template,
)
from windlass_operator.models.workerpool import WorkerPool

INPUTS = WorkerInputs(queues=("emails", "bulk"), binding="emails-binding", credentials="c1")


def deployment(pool: WorkerPool | None = None, inputs: WorkerInputs = INPUTS) -> dict[str, Any]:
    pool = pool or make_pool()
    return desired_deployment(pool, worker_template(pool, inputs))


def pod(pool: WorkerPool | None = None) -> dict[str, Any]:
    spec: dict[str, Any] = deployment(pool)["spec"]["template"]["spec"]
    return spec


def container(pool: WorkerPool | None = None) -> dict[str, Any]:
    first: dict[str, Any] = pod(pool)["containers"][0]
    return first


def version(pool: WorkerPool | None = None, inputs: WorkerInputs = INPUTS) -> str:
    return worker_template(pool or make_pool(), inputs).version


def test_workers_fit_the_restricted_pod_security_standard() -> None:
    assert pod()["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod()["volumes"] == [{"name": "tmp", "emptyDir": {}}]
    assert pod()["automountServiceAccountToken"] is False


def test_probes_ask_the_worker_and_never_the_broker() -> None:
    probes = {k: v["httpGet"]["path"] for k, v in container().items() if k.endswith("Probe")}

    assert probes == {
        "startupProbe": "/livez",
        "livenessProbe": "/livez",
        "readinessProbe": "/readyz",
    }
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
    assert container()["readinessProbe"]["httpGet"]["port"] in ports


@pytest.mark.parametrize(
    ("spec", "drain", "grace"),
    [
        ({}, "300", 315),
        ({"timeLimits": {"hard": "6m"}}, "375", 390),
        ({"drainTimeout": "168h"}, "604800", 604_815),
        ({"autoscaling": {"maxReplicas": 1, "scaleDown": {"policy": "Immediate"}}}, "0", 15),
    ],
)
def test_the_kubelet_waits_longer_than_the_worker_drains(
    spec: dict[str, Any], drain: str, grace: int
) -> None:
    pool = make_pool(**spec)
    env = {item["name"]: item.get("value") for item in container(pool)["env"]}

    assert env["WINDLASS_WORKER_DRAIN_TIMEOUT"] == drain
    assert pod(pool)["terminationGracePeriodSeconds"] == grace


def test_credentials_come_from_the_binding_secret_only() -> None:
    env = {item["name"]: item for item in container()["env"]}

    for name in ("WINDLASS_BROKER_URL", "WINDLASS_RESULT_BACKEND", "WINDLASS_KEYSPACE"):
        assert env[name]["valueFrom"]["secretKeyRef"]["name"] == "emails-binding"
        assert "value" not in env[name]
    assert env["POD_NAME"]["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}


def test_every_variable_is_a_setting_that_the_worker_reads() -> None:
    known = {f"WINDLASS_{name.upper()}" for name in Settings.model_fields}
    known |= {"WINDLASS_KEYSPACE", "POD_NAME"}

    assert {item["name"] for item in container()["env"]} <= known


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"pool": "threads", "concurrency": 8, "timeLimits": {"soft": "5m", "hard": "168h"}},
        {"maxTasksPerChild": 10, "maxMemoryPerChild": "512Mi", "app": "shop.tasks:app"},
        {"pool": "solo"},
    ],
)
def test_the_command_line_is_one_that_the_worker_takes(spec: dict[str, Any]) -> None:
    name, *flags = worker_args(make_pool(**spec), ("emails", "E/b:c"))
    context = worker_command.make_context(name, list(flags), resilient_parsing=False)

    assert isinstance(context, click.Context)
    assert context.params["hostname"] == "$(POD_NAME)"
    assert list(context.params["queues"]) == ["emails", "E/b:c"]


def test_the_worker_is_process_one_and_its_last_words_are_kept() -> None:
    assert container()["command"] == ["windlass"]
    assert container()["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert "lifecycle" not in container()


def test_replicas_are_another_managers() -> None:
    assert "replicas" not in deployment()["spec"]


def test_children_belong_to_their_pool_and_carry_the_recommended_labels() -> None:
    pool = make_pool()
    for manifest in (
        deployment(), desired_service_account(pool), desired_disruption_budget(pool)
    ):  # fmt: skip
        metadata = manifest["metadata"]
        assert metadata["ownerReferences"][0]["uid"] == pool.identity.uid
        assert metadata["ownerReferences"][0]["controller"] is True
        assert metadata["namespace"] == "shop"
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "windlass-operator"
        assert metadata["labels"]["app.kubernetes.io/part-of"] == "windlass"


def test_a_pool_may_lose_a_tenth_of_its_workers_at_a_time() -> None:
    budget = desired_disruption_budget(make_pool())

    assert budget["spec"]["maxUnavailable"] == "10%"
    assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


CHANGES: dict[str, dict[str, Any]] = {
    "image": {"image": "shop:2"},
    "app": {"app": "shop.other"},
    "slots": {"concurrency": 2},
    "limits": {"timeLimits": {"hard": "1m"}},
    "template": {"podTemplate": {"metadata": {"annotations": {"a": "b"}}}},
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_version_changes_with_what_workers_are_started_with(change: str) -> None:
    assert version(make_pool(**CHANGES[change])) != version()


def test_the_version_changes_with_rotated_credentials_and_other_queues() -> None:
    other = WorkerInputs(queues=("emails",), binding="emails-binding", credentials="c1")
    rotated = WorkerInputs(queues=INPUTS.queues, binding=INPUTS.binding, credentials="c2")

    assert len({version(), version(inputs=other), version(inputs=rotated)}) == 3


@pytest.mark.parametrize(
    "spec",
    [
        {"replicas": 5},
        {"autoscaling": {"maxReplicas": 99}},
        {"paused": True},
        {"rollout": {"strategy": "Drain"}},
    ],
)
def test_the_version_does_not_change_with_what_workers_do_not_see(spec: dict[str, Any]) -> None:
    assert version(make_pool(**spec)) == version()


def test_the_version_says_nothing_of_the_operators_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Upgrading the operator restarts nobody."""
    before = version()
    monkeypatch.setattr("windlass._version.__version__", "99.0.0")

    assert version() == before
    assert "app.kubernetes.io/version" not in str(deployment())


def test_the_order_of_a_users_fields_is_no_new_version() -> None:
    one = {"metadata": {"labels": {"a": "1", "b": "2"}}}
    two = {"metadata": {"labels": {"b": "2", "a": "1"}}}

    assert version(make_pool(podTemplate=one)) == version(make_pool(podTemplate=two))


def test_a_drain_rollout_makes_a_deployment_for_each_version() -> None:
    first = make_pool(rollout={"strategy": "Drain"})
    second = make_pool(rollout={"strategy": "Drain"}, image="shop:2")

    names_of = {deployment(pool)["metadata"]["name"] for pool in (first, second)}
    selectors = {
        str(deployment(pool)["spec"]["selector"]["matchLabels"]) for pool in (first, second)
    }
    assert len(names_of) == len(selectors) == 2


def test_the_longest_pool_name_gives_names_and_labels_that_fit() -> None:
    pool = make_pool("a" * 47, rollout={"strategy": "Drain"})
    manifest = deployment(pool)

    assert len(manifest["metadata"]["name"]) <= 63
    values = manifest["spec"]["template"]["metadata"]["labels"].values()
    assert all(re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", v) for v in values)


def test_a_rollout_never_goes_below_the_wanted_count() -> None:
    for strategy in ("RollingUpdate", "Drain"):
        pool = make_pool(rollout={"strategy": strategy})
        assert deployment(pool)["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_the_binding_secret_is_all_that_an_application_needs() -> None:
    secret = desired_binding_secret(make_queue(queueName="E-Mails"), "redis://u:p@r/0", "shop")

    assert secret["metadata"]["name"] == names.binding_name("emails")
    assert secret["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "windlass-operator"
    assert secret["metadata"]["labels"][names.QUEUE] == "emails"
    assert secret["stringData"] == {
        "type": "redis",
        "provider": "windlass",
        "uri": "redis://u:p@r/0",
        "queue": "E-Mails",
        "WINDLASS_BROKER_URL": "redis://u:p@r/0",
        "WINDLASS_RESULT_BACKEND": "redis://u:p@r/0",
        "WINDLASS_KEYSPACE": "shop",
    }
