"""One node: containerd, kubelet and kube-proxy, their configuration and what they need set up.

A node owns pid, mount and network namespaces (see `supervise.py`), so the usual paths such as
/run/containerd can be used without the machine seeing anything in them.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from windlass_cluster.native import cgroups
from windlass_cluster.native.control_plane import POD_CIDR, ControlPlane
from windlass_cluster.native.network import node_address, pod_subnet
from windlass_cluster.native.programs import CNI, CONTAINERD, KUBERNETES, RUNC
from windlass_cluster.native.supervisors import Process, Supervisor

PAUSE_IMAGE = "windlass.test/pause:1"
# A kubelet puts some sockets here whatever its root is; the node's own folder is mounted over it.
KUBELET_ROOT = Path("/var/lib/kubelet")
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
# What a kubelet wants the kernel to be set to. It sees these values and so changes nothing: files
# are mounted over the settings, inside the node only.
_TUNABLES = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node of a native cluster."""

    number: int
    cluster: str
    folder: Path
    control_plane: ControlPlane

    @property
    def name(self) -> str:
        """Its name in Kubernetes."""
        return f"node-{self.number}"

    @property
    def address(self) -> str:
        """Its address on the bridge between the nodes."""
        return node_address(self.number)

    @property
    def supervisor(self) -> Supervisor:
        """What keeps its programs running."""
        return Supervisor(self.folder)

    @property
    def cgroup(self) -> str:
        """The control group all its pods are in."""
        return f"/{cgroups.PARENT}/{self.cluster}/{self.name}"

    def is_up(self) -> bool:
        """Whether its start was finished and it has not ended since."""
        return self._finished.exists() and self.supervisor.pid() is not None

    def mark_up(self) -> None:
        """Says that its start is finished; one that was interrupted is begun again."""
        self._finished.touch()

    def ctr(self) -> list[str]:
        """The start of a command that speaks to this node's containerd."""
        pid = self.supervisor.pid()
        inside = ["nsenter", f"--target={pid}", "--mount", "--net", "--pid", "--"]
        return [*inside, CONTAINERD.program("ctr"), "--namespace=k8s.io"]

    def prepare(self) -> None:
        """Writes every file the node's programs read and makes its control group."""
        for name in ("log", "tunables", "cni", "kubelet", "containerd", "opt", "logs"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for tunable, value in _TUNABLES.items():
            (self.folder / "tunables" / tunable.replace("/", ".")).write_text(f"{value}\n")
        self._certificates()
        self._write("containerd.toml", self._containerd_config())
        self._write("kubelet.json", json.dumps(self._kubelet_config(), indent=1))
        self._write("kube-proxy.json", json.dumps(self._kube_proxy_config(), indent=1))
        self._write("cni/10-windlass.conflist", json.dumps(self._cni_config(), indent=1))
        cgroups.create(self.cgroup)

    def setup(self) -> list[list[str]]:
        """Commands run once inside the node's namespaces, before its programs."""
        tunables = [
            ["mount", "--bind", str(self.folder / "tunables" / key.replace("/", ".")), file]
            for key in _TUNABLES
            if Path(file := f"/proc/sys/{key}").exists()
        ]
        return [
            ["mount", "--make-rshared", "/"],
            ["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"],
            ["mount", "--bind", str(self.folder / "log"), "/var/log"],
            ["mkdir", "-p", str(KUBELET_ROOT)],
            ["mount", "--bind", str(self.folder / "kubelet"), str(KUBELET_ROOT)],
            ["mkdir", "-p", "/run/netns", "/run/lock", "/var/log/pods", "/var/log/containers"],
            *tunables,
            ["hostname", self.name],
        ]

    def processes(self) -> list[Process]:
        """The programs of the node."""
        programs = [str(CNI.folder), str(CONTAINERD.folder), str(RUNC.folder)]
        path = ":".join([*programs, "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"])
        kubelet = [
            KUBERNETES.program("kubelet"),
            f"--config={self.folder / 'kubelet.json'}",
            f"--kubeconfig={self._kubeconfig('kubelet')}",
            f"--hostname-override={self.name}",
            f"--node-ip={self.address}",
            f"--root-dir={KUBELET_ROOT}",
            f"--cert-dir={KUBELET_ROOT}",
        ]
        containerd = [
            CONTAINERD.program("containerd"),
            "--config",
            str(self.folder / "containerd.toml"),
        ]
        proxy = [KUBERNETES.program("kube-proxy"), f"--config={self.folder / 'kube-proxy.json'}"]
        api = f"tcp:{self.control_plane.address}:{self.control_plane.api_port}"
        socket = f"path:{CONTAINERD_SOCKET}"
        return [
            Process(name="containerd", argv=containerd, env={"PATH": path}),
            Process(name="kubelet", argv=kubelet, env={"PATH": path}, wait_for=socket),
            Process(name="kube-proxy", argv=proxy, env={"PATH": path}, wait_for=api),
        ]

    @property
    def _finished(self) -> Path:
        return self.folder / "up"

    def _certificates(self) -> None:
        pki = self.control_plane.pki
        self.control_plane.issue_user(
            f"kubelet-{self.number}", subject=f"/O=system:nodes/CN=system:node:{self.name}"
        )
        pki.issue(
            f"kubelet-serving-{self.number}",
            subject=f"/O=system:nodes/CN=system:node:{self.name}",
            sans=[f"DNS:{self.name}", f"IP:{self.address}"],
        )
        self.control_plane.issue_user(f"kube-proxy-{self.number}", subject="/CN=system:kube-proxy")

    def _kubeconfig(self, component: str) -> Path:
        return self.control_plane.folder / f"{component}-{self.number}.kubeconfig"

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def _kubelet_config(self) -> dict[str, object]:
        pki = self.control_plane.pki
        serving = f"kubelet-serving-{self.number}"
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.address,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(pki.cert("ca"))},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(pki.cert(serving)),
            "tlsPrivateKeyFile": str(pki.key(serving)),
            "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": self.cgroup,
            "failCgroupV1": False,
            "failSwapOn": False,
            "clusterDomain": "cluster.local",
            "clusterDNS": [node_address(1)],
            # The node's own resolver is of no use inside a namespace without a way out.
            "resolvConf": "",
            # The disk is the developer's; a nearly full one must not evict the tests' pods.
            "evictionHard": {
                "nodefs.available": "0%",
                "nodefs.inodesFree": "0%",
                "imagefs.available": "0%",
            },
            "imageGCHighThresholdPercent": 100,
            "volumePluginDir": str(KUBELET_ROOT / "volume-plugins"),
            "registryPullQPS": 50,
            "registryBurst": 100,
            "nodeStatusReportFrequency": "10s",
            "shutdownGracePeriod": "0s",
            "enableProfilingHandler": False,
        }

    def _kube_proxy_config(self) -> dict[str, object]:
        return {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "clusterCIDR": POD_CIDR,
            "hostnameOverride": self.name,
            "clientConnection": {"kubeconfig": str(self._kubeconfig("kube-proxy"))},
            # The table of connections belongs to the whole machine: leave its size alone.
            "conntrack": {"maxPerCore": 0},
        }

    def _cni_config(self) -> dict[str, object]:
        """Point-to-point links, so that every packet is routed and meets kube-proxy's rules."""
        subnet = {"subnet": pod_subnet(self.number)}
        ipam = {
            "type": "host-local",
            "ranges": [[subnet]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": str(self.folder / "cni" / "addresses"),
        }
        return {
            "cniVersion": "1.0.0",
            "name": "windlass",
            "plugins": [
                {"type": "ptp", "ipMasq": False, "ipam": ipam},
                {"type": "portmap", "backend": "nftables", "capabilities": {"portMappings": True}},
            ],
        }

    def _containerd_config(self) -> str:
        return _CONTAINERD_CONFIG.format(
            folder=self.folder,
            socket=CONTAINERD_SOCKET,
            pause=PAUSE_IMAGE,
            runc=RUNC.program("runc"),
            cni=CNI.folder,
        )


# restrict_oom_score_adj: without CAP_SYS_RESOURCE runc fails with "can't get final child's PID
# from pipe: EOF" when it lowers a score.
_CONTAINERD_CONFIG = """\
version = 3
root = "{folder}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.tracing.processor.v1.otlp", "io.containerd.nri.v1.nri"]

[grpc]
address = "{socket}"

[plugins."io.containerd.internal.v1.opt"]
path = "{folder}/opt"

[plugins."io.containerd.cri.v1.images"]
snapshotter = "overlayfs"
pinned_images = {{ sandbox = "{pause}" }}

[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{cni}"]
conf_dir = "{folder}/cni"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "{runc}"
SystemdCgroup = false
"""
