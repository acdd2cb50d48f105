"""The cluster's DNS: CoreDNS as a program on node 1, at the node's own address.

It answers for cluster.local from the API; every other name does not exist, at once, because there
is no way out of the cluster's network and a time-out would only look like a hang.
"""

from pathlib import Path

from windlass_cluster.native.control_plane import ControlPlane
from windlass_cluster.native.network import node_address
from windlass_cluster.native.programs import COREDNS
from windlass_cluster.native.supervisors import Process

USER = "windlass-test-dns"

_COREFILE = """\
cluster.local:53 in-addr.arpa:53 ip6.arpa:53 {{
    bind {address}
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        ttl 5
    }}
}}
.:53 {{
    bind {address}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


def process(control_plane: ControlPlane) -> Process:
    """Writes CoreDNS's configuration and says how to run it."""
    kubeconfig = control_plane.issue_user(USER, subject=f"/CN={USER}")
    corefile = control_plane.folder / "Corefile"
    corefile.write_text(_corefile(kubeconfig))
    return Process(
        name="coredns",
        argv=[COREDNS.program("coredns"), f"-conf={corefile}"],
        wait_for=f"tcp:{control_plane.address}:{control_plane.api_port}",
    )


def access_rules() -> list[dict[str, object]]:
    """What CoreDNS may read; cluster-admin applies it once the API is there."""
    watch = ["list", "watch"]
    rules = [
        {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": watch},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": watch},
    ]
    group = "rbac.authorization.k8s.io"
    return [
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": USER},
            "rules": rules,
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": USER},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": USER},
            "subjects": [{"apiGroup": group, "kind": "User", "name": USER}],
        },
    ]


def _corefile(kubeconfig: Path) -> str:
    return _COREFILE.format(address=node_address(1), kubeconfig=kubeconfig)
