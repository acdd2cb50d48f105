"""The control plane's programs and their flags, for the light and the full level alike.

The light level is etcd, the API server and the controller manager on loopback; the full level adds
the scheduler and, through `node.py`, everything a node runs.
"""

from dataclasses import dataclass
from pathlib import Path

from windlass_cluster.native.pki import Pki
from windlass_cluster.native.programs import ETCD, KUBERNETES
from windlass_cluster.native.supervisors import Process

SERVICE_CIDR = "10.96.0.0/16"
API_SERVICE_IP = "10.96.0.1"
POD_CIDR = "10.244.0.0/16"
_SANS = [
    "DNS:kubernetes",
    "DNS:kubernetes.default",
    "DNS:kubernetes.default.svc",
    "DNS:kubernetes.default.svc.cluster.local",
    "DNS:localhost",
    "IP:127.0.0.1",
    f"IP:{API_SERVICE_IP}",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlane:
    """Where a control plane lives and listens."""

    folder: Path
    address: str
    api_port: int = 6443
    etcd_port: int = 2379
    etcd_peer_port: int = 2380
    manager_port: int = 10257
    on_loopback: bool = False

    @property
    def pki(self) -> Pki:
        """Its certificates."""
        return Pki(self.folder / "pki")

    @property
    def server(self) -> str:
        """The API server's base URL, for the components beside it."""
        return f"https://{self.address}:{self.api_port}"

    def issue_certificates(self) -> None:
        """Makes the certificates and kubeconfigs of every control plane component."""
        pki = self.pki
        pki.create()
        pki.issue("apiserver", subject="/CN=kube-apiserver", sans=[*_SANS, f"IP:{self.address}"])
        pki.issue("admin", subject="/O=system:masters/CN=windlass-test-admin")
        pki.issue("apiserver-kubelet", subject="/O=system:masters/CN=kube-apiserver-kubelet")
        pki.issue("front-proxy", subject="/CN=front-proxy-client", authority="front-proxy-ca")
        for component in ("kube-controller-manager", "kube-scheduler"):
            self.issue_user(component, subject=f"/CN=system:{component}")

    def issue_user(self, name: str, *, subject: str) -> Path:
        """Makes a client certificate and the kubeconfig that uses it; returns the latter."""
        self.pki.issue(name, subject=subject)
        kubeconfig = self.folder / f"{name}.kubeconfig"
        self.pki.kubeconfig(kubeconfig, user=name, server=self.server)
        return kubeconfig

    def light_processes(self) -> list[Process]:
        """The programs that make an API and nothing else."""
        return [self._etcd(), self._apiserver(), self._controller_manager()]

    def full_processes(self) -> list[Process]:
        """The programs of a control plane that also places pods."""
        return [*self.light_processes(), self._scheduler()]

    def _etcd(self) -> Process:
        client = f"http://127.0.0.1:{self.etcd_port}"
        peer = f"http://127.0.0.1:{self.etcd_peer_port}"
        argv = [
            ETCD.program("etcd"),
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--log-level=warn",
            # The data of a test cluster need not survive a power cut, and a disk's fsync is slow.
            "--unsafe-no-fsync",
        ]
        return Process(name="etcd", argv=argv)

    def _apiserver(self) -> Process:
        pki = self.pki
        argv = [
            KUBERNETES.program("kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{self.etcd_port}",
            f"--bind-address={self.address}",
            f"--advertise-address={self.address}",
            f"--secure-port={self.api_port}",
            f"--tls-cert-file={pki.cert('apiserver')}",
            f"--tls-private-key-file={pki.key('apiserver')}",
            f"--client-ca-file={pki.cert('ca')}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            f"--service-cluster-ip-range={SERVICE_CIDR}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki.cert('service-accounts')}",
            f"--service-account-signing-key-file={pki.key('service-accounts')}",
            f"--kubelet-certificate-authority={pki.cert('ca')}",
            f"--kubelet-client-certificate={pki.cert('apiserver-kubelet')}",
            f"--kubelet-client-key={pki.key('apiserver-kubelet')}",
            # Otherwise logs and exec look a node's name up in DNS.
            "--kubelet-preferred-address-types=InternalIP",
            *self._aggregation(),
            "--profiling=false",
            # A loopback address is refused as the endpoint of the kubernetes Service.
            *(["--endpoint-reconciler-type=none"] if self.on_loopback else []),
        ]
        return Process(name="kube-apiserver", argv=argv, wait_for=f"tcp:127.0.0.1:{self.etcd_port}")

    def _aggregation(self) -> list[str]:
        """How the API server speaks to extension API servers (metrics-server is one)."""
        pki = self.pki
        return [
            f"--requestheader-client-ca-file={pki.cert('front-proxy-ca')}",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User",
            f"--proxy-client-cert-file={pki.cert('front-proxy')}",
            f"--proxy-client-key-file={pki.key('front-proxy')}",
        ]

    def _controller_manager(self) -> Process:
        pki = self.pki
        kubeconfig = self.folder / "kube-controller-manager.kubeconfig"
        argv = [
            KUBERNETES.program("kube-controller-manager"),
            "--bind-address=127.0.0.1",
            f"--secure-port={self.manager_port}",
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--use-service-account-credentials=true",
            f"--root-ca-file={pki.cert('ca')}",
            f"--service-account-private-key-file={pki.key('service-accounts')}",
            f"--cluster-signing-cert-file={pki.cert('ca')}",
            f"--cluster-signing-key-file={pki.key('ca')}",
            "--leader-elect=false",
            # A test that kills a node must not wait five minutes to see its pods move.
            "--node-monitor-grace-period=20s",
            # 20 requests a second, the default, make a thousand Deployments take minutes.
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
            f"--cert-dir={self.folder / 'generated'}",
            # It makes this folder, whose usual place is the machine's own /usr/libexec.
            f"--flex-volume-plugin-dir={self.folder / 'generated'}",
            "--profiling=false",
        ]
        return Process(name="kube-controller-manager", argv=argv, wait_for=self._api_is_open)

    def _scheduler(self) -> Process:
        kubeconfig = self.folder / "kube-scheduler.kubeconfig"
        argv = [
            KUBERNETES.program("kube-scheduler"),
            "--bind-address=127.0.0.1",
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--leader-elect=false",
            f"--cert-dir={self.folder / 'generated'}",
            "--profiling=false",
        ]
        return Process(name="kube-scheduler", argv=argv, wait_for=self._api_is_open)

    @property
    def _api_is_open(self) -> str:
        return f"tcp:{self.address}:{self.api_port}"
