"""The test cluster is a real Kubernetes: pods run, find each other, and can be looked into."""

import json
import urllib.request

import pytest

from windlass_cluster.commands import wait_until
from windlass_cluster.errors import CommandFailedError
from windlass_cluster.manifests import WEB_PORT, idle_pod, pod, pod_spec, web
from windlass_cluster.namespace import Namespace
from windlass_cluster.providers import Provider

pytestmark = pytest.mark.e2e


@pytest.fixture
def image(cluster_provider: Provider, namespace: Namespace) -> str:
    """An image with Python; asked for after the cluster, which `namespace` brings up."""
    return cluster_provider.python_image()


def _fetch_from(namespace: Namespace, where: str, url: str) -> str:
    code = f"import urllib.request as u; print(u.urlopen({url!r}, timeout=5).read().decode())"
    return namespace.run_in(where, "python3", "-c", code)


def test_service_is_reached_by_its_dns_name_from_another_pod(
    namespace: Namespace, image: str
) -> None:
    namespace.apply(*web("web", image, replicas=2), idle_pod("client", image))
    namespace.rollout("deployment/web")
    namespace.wait("pod/client", until="condition=Ready")
    url = f"http://web.{namespace.name}.svc.cluster.local:{WEB_PORT}/"

    # Rules for a new Service reach the nodes a moment after its pods are ready.
    wait_until(
        lambda: "hello from web-" in _fetch_from(namespace, "pod/client", url), url, timeout_s=20
    )


def test_short_service_name_resolves_and_unknown_name_does_not(
    namespace: Namespace, image: str
) -> None:
    namespace.apply(*web("web", image), idle_pod("client", image))
    namespace.wait("pod/client", until="condition=Ready")
    address = namespace.get("service", "web")["spec"]["clusterIP"]

    def resolve(name: str) -> str:
        code = f"import socket; print(socket.gethostbyname({name!r}))"
        return namespace.run_in("pod/client", "python3", "-c", code).strip()

    wait_until(lambda: resolve("web") == address, "the Service's name", timeout_s=20)
    with pytest.raises(CommandFailedError, match="Name or service not known"):
        resolve("nobody")


def test_logs_and_exec_reach_the_container(namespace: Namespace, image: str) -> None:
    command = ["python3", "-u", "-c", "import signal; print('I am up'); signal.pause()"]
    namespace.apply(pod("talker", pod_spec(image, command)))
    namespace.wait("pod/talker", until="condition=Ready")

    wait_until(lambda: "I am up" in namespace.logs("pod/talker"), "its log", timeout_s=10)
    assert namespace.run_in("pod/talker", "hostname").strip() == "talker"


def test_port_forward_reaches_a_pod_from_outside(namespace: Namespace, image: str) -> None:
    namespace.apply(*web("web", image))
    namespace.rollout("deployment/web")

    with (
        namespace.forwarded("deployment/web", WEB_PORT) as port,
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer,
    ):
        assert "hello from web-" in answer.read().decode()


def test_deployment_scales_to_zero_and_back(namespace: Namespace, image: str) -> None:
    namespace.apply(*web("web", image, replicas=2))
    namespace.rollout("deployment/web")

    namespace.kubectl("scale", "deployment/web", "--replicas=0")
    namespace.kubectl("wait", "pods", "--selector=app=web", "--for=delete", "--timeout=60s")
    assert namespace.pods("app=web") == []

    namespace.kubectl("scale", "deployment/web", "--replicas=2")
    namespace.rollout("deployment/web")
    assert len(namespace.pods("app=web")) == 2


def test_pod_with_the_restricted_profile_runs_and_others_are_refused(
    namespace: Namespace, image: str
) -> None:
    label = "pod-security.kubernetes.io/enforce=restricted"
    namespace.access.kubectl("label", "namespace", namespace.name, label)
    namespace.apply(idle_pod("restricted", image))
    namespace.wait("pod/restricted", until="condition=Ready")

    facts = namespace.run_in("pod/restricted", "cat", "/proc/self/status")
    lines = dict(line.split(":\t", 1) for line in facts.splitlines() if ":\t" in line)
    assert lines["Uid"].split() == ["65532"] * 4
    assert int(lines["CapEff"], 16) == 0
    assert lines["NoNewPrivs"] == "1"
    assert lines["Seccomp"] == "2"
    with pytest.raises(CommandFailedError, match="Read-only file system"):
        namespace.run_in("pod/restricted", "touch", "/etc/new")
    loose = {**pod_spec(image), "securityContext": {}}
    with pytest.raises(CommandFailedError, match="violates PodSecurity"):
        namespace.apply(pod("loose", loose))


def test_pod_that_ignores_sigterm_is_killed_after_its_grace(
    namespace: Namespace, image: str
) -> None:
    spec = pod_spec(image, ["python3", "-c", "import signal; signal.pause()"])
    namespace.apply(pod("stubborn", spec))
    namespace.wait("pod/stubborn", until="condition=Ready")

    namespace.kubectl("delete", "pod", "stubborn", "--wait=false")

    namespace.wait("pod/stubborn", until="delete", timeout_s=30)


def test_service_account_may_do_what_its_role_says_and_no_more(
    namespace: Namespace, image: str
) -> None:
    """RBAC is on: a pod's own token reads what it was given and is refused the rest."""
    spec = pod_spec(image, ["python3", "-c", "import signal; signal.pause()"])
    spec["automountServiceAccountToken"] = True
    namespace.apply(pod("caller", spec))
    namespace.wait("pod/caller", until="condition=Ready")
    role = ["role", "reader", "--verb=get,list", "--resource=configmaps"]
    namespace.kubectl("create", *role)
    subject = f"--serviceaccount={namespace.name}:default"
    namespace.kubectl("create", "rolebinding", "reader", "--role=reader", subject)

    def status_of(resource: str) -> int:
        return int(namespace.run_in("pod/caller", "python3", "-c", _ASK, resource))

    wait_until(lambda: status_of("configmaps") == 200, "the role to count", timeout_s=10)
    assert status_of("secrets") == 403


def test_service_spreads_over_pods_of_all_nodes(namespace: Namespace, image: str) -> None:
    """Pods of different nodes reach each other: the network between nodes is there."""
    objects = web("web", image, replicas=2)
    rule = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname"}
    rule |= {"whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "web"}}}
    objects[0]["spec"]["template"]["spec"]["topologySpreadConstraints"] = [rule]
    namespace.apply(*objects, idle_pod("client", image))
    namespace.rollout("deployment/web")
    namespace.wait("pod/client", until="condition=Ready")
    nodes = {one["spec"]["nodeName"] for one in namespace.pods("app=web")}
    if len(json.loads(namespace.kubectl("get", "nodes", "-o", "json"))["items"]) < 2:
        pytest.skip("this cluster has one node")

    assert len(nodes) == 2
    names = {one["metadata"]["name"] for one in namespace.pods("app=web")}
    seen: set[str] = set()

    def all_answered() -> bool:
        url = f"http://web:{WEB_PORT}/"
        seen.update(_fetch_from(namespace, "pod/client", url).split()[-1:])
        return seen == names

    wait_until(all_answered, "an answer of each pod", timeout_s=30)


_ASK = """
import ssl, sys, urllib.error, urllib.request
folder = "/var/run/secrets/kubernetes.io/serviceaccount/"
read = lambda name: open(folder + name).read()
path = f"/api/v1/namespaces/{read('namespace')}/{sys.argv[1]}"
request = urllib.request.Request("https://kubernetes.default.svc" + path)
request.add_header("Authorization", "Bearer " + read("token"))
context = ssl.create_default_context(cafile=folder + "ca.crt")
try:
    print(urllib.request.urlopen(request, context=context, timeout=5).status)
except urllib.error.HTTPError as refused:
    print(refused.code)
"""
