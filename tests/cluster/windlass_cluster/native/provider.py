"""A Kubernetes built from its Go modules, running beside nothing and leaving nothing.

Node 1 is a pid, mount and network namespace with the control plane, CoreDNS and a kubelet in it;
more nodes are more of the same without the control plane. The only thing outside is a listening
socket on loopback, handed to a forwarder inside, through which everybody reaches the API server.
When a node's first process ends, the kernel ends all of the node: that is why `up` after a crash
or a reboot just works.
"""

import contextlib
import json
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from windlass_cluster import paths
from windlass_cluster.access import Access
from windlass_cluster.commands import run, wait_until
from windlass_cluster.errors import ClusterError, CommandFailedError, NotReadyError
from windlass_cluster.native import cgroups, debian, dns, images, metrics, network, programs
from windlass_cluster.native.control_plane import ControlPlane
from windlass_cluster.native.locks import locked
from windlass_cluster.native.node import KUBELET_ROOT, Node
from windlass_cluster.native.ports import listening_socket
from windlass_cluster.native.supervisors import Plan, Process, Supervisor
from windlass_cluster.progress import say, step
from windlass_cluster.providers import ImageBuild, Status, Wanted

_FORWARD = Path(__file__).with_name("forward.py")
_READY_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Native:
    """The cluster this machine runs by itself."""

    name: str = "native"
    cluster: str = "windlass"

    def why_not(self) -> str | None:
        """Why this provider cannot work here."""
        if sys.platform != "linux":
            return "needs Linux"
        if os.geteuid() != 0:
            return "needs root (for namespaces and mounts); try: sudo --preserve-env=PATH make …"
        if shutil.which("go") is None:
            return "Go is not on the PATH (https://go.dev/doc/install)"
        return None

    def prepare(self) -> None:
        """Builds the programs and, while the compiler has the machine busy, the base image."""
        debian.ensure(debian.MAKE_IMAGES)
        with ThreadPoolExecutor(max_workers=1) as beside:
            base = beside.submit(images.python_image)
            self._prepare_machine()
            base.result()
        images.redis_image()

    def up(self, wanted: Wanted) -> Access:
        """Brings up what is not up yet; builds first what was never built here."""
        self._prepare_machine()
        with locked(self._lock):
            try:
                self._bring_up(wanted)
            except (NotReadyError, CommandFailedError) as failed:
                raise ClusterError(f"{failed}\n{self._log_tails()}") from failed
        return self._access()

    def access(self) -> Access:
        """The way into the cluster, if it is up."""
        if not self.node(1).is_up():
            raise ClusterError("The native cluster is not up. Start it: make cluster-up")
        return self._access()

    def down(self) -> None:
        """Ends every node; their processes, mounts, links and rules go with their namespaces."""
        with locked(self._lock):
            self._remove()

    def status(self) -> Status:
        """The nodes as Kubernetes sees them, and the programs as their supervisors do."""
        nodes = [node for node in self._nodes() if node.is_up()]
        if not nodes:
            return Status(up=False, lines=[f"native cluster {self.cluster!r}: not up"])
        lines = [f"native cluster {self.cluster!r}, KUBECONFIG={self._access().kubeconfig}"]
        try:
            lines += self._access().kubectl("get", "nodes", "-o", "wide").splitlines()
        except CommandFailedError as failed:
            lines.append(failed.output.strip())
        for node in nodes:
            for program, facts in node.supervisor.status().items():
                state = "running" if facts["running"] else f"ended ({facts['last_code']})"
                lines.append(f"{node.name} {program}: {state}, started {facts['starts']} time(s)")
        return Status(up=True, lines=lines)

    def build(self, image: ImageBuild) -> str:
        """Builds with buildah on our own Debian with Python; the tag tells the content."""
        return images.build(
            images.Build(
                name=image.name,
                context=image.context,
                file=image.file,
                target=image.target,
                arguments={image.base_argument: images.python_image()},
            )
        )

    def load(self, reference: str) -> None:
        """Hands an image to every node, only the layers that the node lacks."""
        manifest = self._manifest(reference)
        nodes = [node for node in self._nodes() if node.is_up()]
        with step(f"loading {reference}"), ThreadPoolExecutor() as pool:
            sizes = list(
                pool.map(
                    lambda node: images.load(node, manifest=manifest, reference=reference), nodes
                )
            )
        say(f"{reference}: {max(sizes) / 1e6:.1f} MB had to travel")
        self._remember_loaded(reference, manifest)

    def python_image(self) -> str:
        """Our own Debian with Python, loaded."""
        return self._loaded(images.python_image())

    def redis_image(self) -> str:
        """Debian's Redis, loaded."""
        return self._loaded(images.redis_image())

    def _bring_up(self, wanted: Wanted) -> None:
        if not self.node(1).is_up():
            self._remove()
            self._start_first(wanted.owner_pid)
        for number in range(2, wanted.nodes + 1):
            if not self.node(number).is_up():
                self._start_another(number, wanted.owner_pid)
        self._wait_for_nodes()
        if wanted.metrics_server:
            self._add_metrics_server()

    def _log_tails(self) -> str:
        """The ends of the logs of the programs that are not as they should be, or of all."""
        parts = []
        for node in self._nodes():
            facts = node.supervisor.status()
            ended = [name for name, fact in facts.items() if not fact["running"]]
            parts += [
                f"--- {node.name} {name}\n{node.supervisor.log_tail(name)}"
                for name in ["supervise", *(ended or facts)]
            ]
        return "\n".join(parts)

    @staticmethod
    def _prepare_machine() -> None:
        """Packages and programs."""
        debian.ensure(debian.RUN_NODES)
        if not programs.RUNC.is_built():
            debian.ensure(debian.BUILD_RUNC)
        programs.build(programs.FULL_LEVEL)
        images.pause_manifest()

    def _start_first(self, owner_pid: int | None) -> None:
        node, control_plane = self.node(1), self._control_plane
        node.folder.mkdir(parents=True, mode=0o700)
        os.chmod(self._folder, 0o700)
        control_plane.issue_certificates()
        node.prepare()
        with listening_socket(self._folder / "port.json") as listening:
            port = int(listening.getsockname()[1])
            control_plane.pki.kubeconfig(
                self._access().kubeconfig, user="admin", server=f"https://127.0.0.1:{port}"
            )
            programs_of_first = [
                *control_plane.full_processes(),
                *node.processes(),
                dns.process(control_plane),
                self._forwarder(listening.fileno()),
            ]
            with step("starting the control plane and node-1"):
                self._start(node, programs_of_first, owner_pid)
        network.connect_first(self._pid(node))
        node.supervisor.open_gate()
        self._when_runtime_answers(node)
        images.load_pause(node)
        with step("waiting for the API server"):
            self._access().wait_for_api(timeout_s=_READY_S)
        self._access().apply(*dns.access_rules())
        node.mark_up()

    def _start_another(self, number: int, owner_pid: int | None) -> None:
        node = self.node(number)
        node.supervisor.remove()
        node.folder.mkdir(parents=True, mode=0o700)
        node.prepare()
        with step(f"starting {node.name}"):
            self._start(node, node.processes(), owner_pid)
        network.connect_another(self._pid(node), number, self._pid(self.node(1)))
        network.route_pods({one.number: self._pid(one) for one in self._nodes()})
        node.supervisor.open_gate()
        self._when_runtime_answers(node)
        images.load_pause(node)
        for reference, manifest in self._loaded_images().items():
            images.load(node, manifest=manifest, reference=reference)
        node.mark_up()

    @staticmethod
    def _start(node: Node, processes: list[Process], owner_pid: int | None) -> None:
        plan = Plan(processes=processes, setup=node.setup(), owner_pid=owner_pid, isolated=True)
        node.supervisor.start(plan)

    def _forwarder(self, fd: int) -> Process:
        control_plane = self._control_plane
        target = [control_plane.address, str(control_plane.api_port)]
        argv = [sys.executable, "-S", "-E", str(_FORWARD), str(fd), *target]
        return Process(name="forward", argv=argv, pass_fd=fd)

    def _when_runtime_answers(self, node: Node) -> None:
        wait_until(
            lambda: "Version" in run([*node.ctr(), "version"]),
            f"containerd on {node.name}",
            timeout_s=30,
        )

    def _wait_for_nodes(self) -> None:
        access = self._access()
        names = [f"node/{node.name}" for node in self._nodes()]
        with step("waiting for every node to be ready"):
            access.kubectl("wait", "--for=create", *names, "--timeout=60s")
            access.kubectl("wait", "--for=condition=Ready", *names, "--timeout=120s", timeout_s=150)
            access.kubectl(
                "wait", "--for=create", "serviceaccount/default", "-n", "default", "--timeout=60s"
            )

    def _add_metrics_server(self) -> None:
        programs.build([programs.METRICS_SERVER])
        supervisor = Supervisor(self._folder / "metrics-server")
        if supervisor.outer_pid() is None:
            process = metrics.process(self._control_plane)
            supervisor.start(Plan(processes=[process], inside_pid=self._pid(self.node(1))))
            supervisor.open_gate()
        metrics.register(self._access(), self._control_plane.pki.cert("ca"))

    def _remove(self) -> None:
        Supervisor(self._folder / "metrics-server").stop()
        for node in sorted(self._nodes(), key=lambda one: -one.number):
            node.supervisor.stop()
            cgroups.remove(node.cgroup)
        cgroups.remove(f"/{cgroups.PARENT}/{self.cluster}")
        shutil.rmtree(self._folder, ignore_errors=True)
        if not any(paths.state_root().glob("*/node-*")):
            # The mount point that nodes need; another cluster's nodes would need it too.
            with contextlib.suppress(OSError):
                KUBELET_ROOT.rmdir()

    @staticmethod
    def _manifest(reference: str) -> str:
        """The manifest of an image, which is exported first if it never was."""
        try:
            return images.layout().manifest_digest(reference)
        except KeyError:
            return images.export(reference)

    def _loaded(self, reference: str) -> str:
        if reference not in self._loaded_images():
            self.load(reference)
        return reference

    def _loaded_images(self) -> dict[str, str]:
        """What every node was given, so that a node which comes later gets it too."""
        try:
            known: dict[str, str] = json.loads((self._folder / "images.json").read_text())
        except (OSError, ValueError):
            return {}
        return known

    def _remember_loaded(self, reference: str, manifest: str) -> None:
        with locked(self._folder / "images.lock"):
            known = self._loaded_images() | {reference: manifest}
            (self._folder / "images.json").write_text(json.dumps(known, indent=1))

    def _access(self) -> Access:
        return Access(
            kubeconfig=self._folder / "kubeconfig",
            provider=self.name,
            cache_dir=self._folder / "kubectl",
        )

    def node(self, number: int) -> Node:
        """A node by its number, whether it is up or not."""
        return Node(
            number=number,
            cluster=self.cluster,
            folder=self._folder / f"node-{number}",
            control_plane=self._control_plane,
        )

    def _nodes(self) -> list[Node]:
        """Every node this cluster has a folder for, by number."""
        folders = self._folder.glob("node-*") if self._folder.is_dir() else []
        return [self.node(int(one.name.removeprefix("node-"))) for one in sorted(folders)]

    @staticmethod
    def _pid(node: Node) -> int:
        pid = node.supervisor.pid()
        if pid is None:
            raise ClusterError(f"{node.name} ended: {node.supervisor.log_tail('supervise')}")
        return pid

    @property
    def _control_plane(self) -> ControlPlane:
        return ControlPlane(folder=self._folder / "control-plane", address=network.node_address(1))

    @property
    def _folder(self) -> Path:
        return paths.state_root() / self.cluster

    @property
    def _lock(self) -> Path:
        return paths.cache_dir() / "locks" / f"cluster-{self.cluster}"
