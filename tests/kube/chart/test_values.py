"""Values of the chart: a typo is an error with its place, and every switch does what it says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
import yaml

from windlass_cluster import paths
from windlass_cluster.access import Access
from windlass_cluster.commands import run
from windlass_cluster.errors import CommandFailedError
from windlass_cluster.namespace import Namespace

pytestmark = pytest.mark.kube

CHART = paths.TREE / "charts" / "windlass"
_MONITORING = "--api-versions=monitoring.coreos.com/v1"


def render(access: Access, *arguments: str) -> list[dict[str, Any]]:
    argv = ["template", "windlass", str(CHART), "--namespace=home", *arguments]
    return [one for one in yaml.safe_load_all(access.helm(*argv)) if one]


def one_of(objects: Sequence[dict[str, Any]], kind: str, name: str = "windlass") -> dict[str, Any]:
    (found,) = [
        one for one in objects if (one["kind"], one["metadata"]["name"]) == (kind, name)
    ]  # fmt: skip
    return found


def operator_environment(objects: Sequence[dict[str, Any]]) -> dict[str, Any]:
    (container,) = one_of(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one.get("value") for one in container["env"]}


def test_lint_is_clean(kube_api: Access) -> None:
    said = kube_api.helm("lint", "--strict", str(CHART))

    assert "0 chart(s) failed" in said


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("replica=3", "'replica' not allowed"),
        ("replicas=0", "minimum: got 0, want 1"),
        ("replicas=two", "got string, want integer"),
        ("image.tags=x", "'tags' not allowed"),
        ("image.digest=sha256:zz", "does not match pattern"),
        ("image.repository=", "minLength"),
        ("image.pullPolicy=Sometimes", "value must be one of"),
        ("defaultBroker.kind=kafka", "value must be one of"),
        ("defaultBroker.url=redis://x", "'url' not allowed"),
        ("defaultBroker.external.url=http://x", "does not match pattern"),
        ("defaultBroker.external.url=redis://user:pw@x", "does not match pattern"),
        ("redis.persistance.enabled=true", "'persistance' not allowed"),
        ("redis.persistence.size=8", "got number, want string"),
        ("redis.persistence.size=8GB", "does not match pattern"),
        ("operator.tickSeconds=0", "minimum"),
        ("operator.logLevel=LOUD", "value must be one of"),
        ("operator.extraEnv[0].value=x", "missing property 'name'"),
        ("crds.instal=false", "'instal' not allowed"),
        ("metrics.serviceMonitor.enable=true", "'enable' not allowed"),
        ("watchNamespaces=one", "got string, want array"),
        ("networkPolicy.enabled=yes-please", "got string, want boolean"),
    ],
)
def test_wrong_value_is_refused_with_its_place(kube_api: Access, setting: str, said: str) -> None:
    with pytest.raises(CommandFailedError) as refused:
        render(kube_api, f"--set={setting}")

    assert said in refused.value.output


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["defaultBroker.kind=external"], "defaultBroker.external needs url or existingSecret"),
        (["serviceAccount.create=false"], "serviceAccount.name is required"),
        (
            ["watchNamespaces={one}", "defaultBroker.kind=external",
             "defaultBroker.external.url=redis://x", "defaultBroker.namespaceLabels.team=a"],
            "namespaceLabels needs a cluster-wide operator",
        ),
    ],
)  # fmt: skip
def test_values_that_do_not_fit_together_are_refused(
    kube_api: Access, settings: list[str], said: str
) -> None:
    with pytest.raises(CommandFailedError) as refused:
        render(kube_api, *(f"--set={one}" for one in settings))

    assert said in refused.value.output


#: What is installed: kind and name, by scope. A change here is a change for every user.
_ALWAYS = {
    "CustomResourceDefinition/beatschedules.windlass.dev",
    "CustomResourceDefinition/taskqueues.windlass.dev",
    "CustomResourceDefinition/workerpools.windlass.dev",
    "Deployment/windlass",
    "Pod/windlass-test",
    "Pod/windlass-test-task",
    "PodDisruptionBudget/windlass",
    "Role/windlass-leader",
    "RoleBinding/windlass-leader",
    "Secret/windlass",
    "Service/windlass",
    "Service/windlass-redis",
    "ServiceAccount/windlass",
    "StatefulSet/windlass-redis",
    "TaskQueue/windlass-test",
    "WorkerPool/windlass-test",
}
#: `helm test` sends a task only where the operator has a broker for it.
_TASK = {"Pod/windlass-test-task", "TaskQueue/windlass-test", "WorkerPool/windlass-test"}
_CLUSTER = {
    "ClusterRole/windlass",
    "ClusterRole/windlass-edit",
    "ClusterRole/windlass-view",
    "ClusterRoleBinding/windlass",
}
_REDIS = {"Service/windlass-redis", "StatefulSet/windlass-redis"}
_RULED = {"Role/windlass", "RoleBinding/windlass"}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ([], _ALWAYS | _CLUSTER),
        (["watchNamespaces={one,two}"], _ALWAYS | _RULED),
        (["replicas=1"], (_ALWAYS | _CLUSTER) - {"PodDisruptionBudget/windlass"}),
        (["defaultBroker.kind=none"], (_ALWAYS | _CLUSTER) - _REDIS - _TASK),
        (
            ["defaultBroker.kind=external", "defaultBroker.external.existingSecret=mine"],
            (_ALWAYS | _CLUSTER) - _REDIS,
        ),
        (
            ["defaultBroker.kind=external", "defaultBroker.external.existingSecret=mine",
             "watchNamespaces={one}"],
            (_ALWAYS | _RULED) - _REDIS - _TASK,
        ),
        (
            ["crds.install=false", "rbac.create=false"],
            {one for one in _ALWAYS if not one.startswith(("Custom", "Role"))},
        ),
        (
            ["networkPolicy.enabled=true", "metrics.serviceMonitor.enabled=true",
             "metrics.prometheusRule.enabled=true", "metrics.dashboard.enabled=true"],
            _ALWAYS | _CLUSTER | {
                "NetworkPolicy/windlass", "NetworkPolicy/windlass-redis", "ServiceMonitor/windlass",
                "PrometheusRule/windlass", "ConfigMap/windlass-dashboard",
            },
        ),
    ],
)  # fmt: skip
def test_what_is_installed(kube_api: Access, settings: list[str], expected: set[str]) -> None:
    objects = render(kube_api, _MONITORING, *(f"--set={one}" for one in settings))

    assert {f"{one['kind']}/{one['metadata']['name']}" for one in objects} == expected


@pytest.mark.parametrize("scope", ["cluster", "namespaced"])
def test_api_server_takes_what_is_rendered(
    kube_api: Access, kube_namespace: Namespace, scope: str
) -> None:
    settings = ["--set=networkPolicy.enabled=true", "--set=metrics.dashboard.enabled=true"]
    if scope == "namespaced":
        settings.append(f"--set=watchNamespaces={{{kube_namespace.name}}}")
    text = kube_api.helm("template", "windlass", str(CHART), "--no-hooks",
                         f"--namespace={kube_namespace.name}", *settings)  # fmt: skip

    said = kube_api.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text)

    assert "deployment.apps/windlass created (server dry run)" in said


def test_service_monitor_of_a_cluster_without_its_kind_is_refused(kube_api: Access) -> None:
    with pytest.raises(CommandFailedError, match=r"monitoring\.coreos\.com"):
        render(kube_api, "--set=metrics.serviceMonitor.enabled=true")


def test_every_pod_fits_the_restricted_profile(kube_api: Access) -> None:
    pods = [
        one if one["kind"] == "Pod" else one["spec"]["template"]
        for one in render(kube_api)
        if one["kind"] in ("Pod", "Deployment", "StatefulSet")
    ]

    assert len(pods) == 4
    for one in pods:
        spec = one["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_only_the_operator_gets_a_token(kube_api: Access) -> None:
    objects = render(kube_api)

    assert one_of(objects, "ServiceAccount")["automountServiceAccountToken"] is False
    mounts = {
        one["metadata"]["name"]: one["spec"]["template"]["spec"]["automountServiceAccountToken"]
        for one in objects
        if one["kind"] in ("Deployment", "StatefulSet")
    }
    assert mounts == {"windlass": True, "windlass-redis": False}


def test_image_by_digest_wins_over_its_tag(kube_api: Access) -> None:
    digest = "sha256:" + "a" * 64
    objects = render(kube_api, f"--set=image.digest={digest},image.tag=v1")
    (container,) = one_of(objects, "Deployment")["spec"]["template"]["spec"]["containers"]

    assert container["image"] == f"windlass/operator@{digest}"


def test_operator_reads_every_setting_that_the_chart_renders(kube_api: Access) -> None:
    from windlass_operator.settings import OperatorSettings

    settings = [
        "operator.tickSeconds=2", "watchNamespaces={one,two}", "imagePullSecrets={registry}",
        "operator.extraEnv[0].name=WINDLASS_OPERATOR_BROKER_TIMEOUT_S",
        "operator.extraEnv[0].value=9", "defaultBroker.kind=external",
        "defaultBroker.external.url=redis://x", "defaultBroker.namespaces={three}",
    ]  # fmt: skip
    arguments = [f"--set-json={one}" if "=9" in one else f"--set={one}" for one in settings]
    arguments = [one.replace("value=9", 'value="9"') for one in arguments]
    environ = operator_environment(render(kube_api, *arguments))
    environ |= {"WINDLASS_OPERATOR_SECRET_KEY": "0123456789abcdef"}
    read = OperatorSettings.from_env({k: v for k, v in environ.items() if v is not None})

    assert (read.tick_s, read.broker_timeout_s) == (2.0, 9.0)
    assert read.watch_namespaces == ("one", "two")
    assert read.offered_namespaces == ("three",)
    assert read.image_pull_secrets == ("registry",)
    assert read.lease_name == "windlass"


def test_crds_are_kept_by_default_and_go_when_asked(kube_api: Access) -> None:
    def policies(*arguments: str) -> set[str | None]:
        return {
            (one["metadata"].get("annotations") or {}).get("helm.sh/resource-policy")
            for one in render(kube_api, *arguments)
            if one["kind"] == "CustomResourceDefinition"
        }

    assert policies() == {"keep"}
    assert policies("--set=crds.keep=false") == {None}


def test_notes_name_the_next_three_commands(kube_api: Access, kube_namespace: Namespace) -> None:
    said = kube_namespace.helm("install", "windlass", str(CHART), "--dry-run=server",
                               "--set=defaultBroker.kind=none")  # fmt: skip
    notes = said.partition("NOTES:")[2]

    assert notes.count("kubectl ") == 3
    assert "There is no default broker" in notes


def test_dashboard_asks_for_metrics_that_exist(kube_api: Access) -> None:
    import re

    from windlass_operator.metrics import Metrics

    objects = render(kube_api, _MONITORING, "--set=metrics.dashboard.enabled=true",
                     "--set=metrics.prometheusRule.enabled=true")  # fmt: skip
    text = json.dumps([one for one in objects if one["kind"] in ("ConfigMap", "PrometheusRule")])
    known = {family.name for family in Metrics().registry.collect()}
    asked = {
        re.sub(r"_(total|bucket|sum|count)$", "", name)
        for name in re.findall(r"windlass_(?:pool|queue|operator)_[a-z_]+", text)
    }

    assert asked
    assert asked - known == set()


def test_package_has_all_that_is_needed(kube_api: Access, tmp_path: Any) -> None:
    kube_api.helm("package", str(CHART), "--destination", str(tmp_path))
    (package,) = tmp_path.glob("windlass-*.tgz")
    listed = run(["tar", "tzf", str(package)])

    assert "windlass/files/crds/taskqueues.yaml" in listed
    assert "windlass/values.schema.json" in listed
