"""An installed chart and applications that use it, for tests in a whole cluster.

`Images` builds from this tree; `Release` is the chart installed; `Application` is a namespace in
which a test applies queues and pools and runs pods that send.
"""

from __future__ import annotations

import json
import re
import textwrap
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import Any

import yaml

from windlass_cluster import paths
from windlass_cluster.commands import wait_until
from windlass_cluster.errors import ClusterError, CommandFailedError
from windlass_cluster.manifests import pod, pod_spec
from windlass_cluster.namespace import Namespace
from windlass_cluster.providers import ImageBuild, Provider

CHART = paths.TREE / "charts" / "windlass"
EXAMPLES = paths.TREE / "examples"
#: Of a pod that says what it got: the line that it ends with.
_SAID = "SAID "


#: True of a pod whose container has ended, well or badly: a wait for success alone would go on.
_ENDED = "jsonpath={.status.containerStatuses[*].state.terminated.reason}"
_LAST_WORDS = 40


class PodFailedError(Exception):
    """A pod that was to say something ended without it."""

    def __init__(self, name: str, ended: Mapping[str, Any], words: Sequence[str]) -> None:
        last = "\n".join(words[-_LAST_WORDS:])
        super().__init__(
            f"pod/{name} ended with {ended.get('exitCode')} ({ended.get('reason')}); "
            f"its last words:\n{last}"
        )


@dataclass(slots=True)
class Images:
    """Images of this tree, each built and loaded once a session."""

    provider: Provider
    _made: dict[str, str] = field(default_factory=dict)
    #: Scenes ask from threads of their own; a build uses all of the machine anyway.
    _lock: RLock = field(default_factory=RLock)

    def tree(self, target: str) -> str:
        """The operator's or the worker's own image."""
        if target not in self._made:
            built = ImageBuild(
                name=f"windlass.test/{target}",
                context=paths.TREE,
                file=paths.TREE / "Dockerfile",
                target=target,
            )
            self._made[target] = self._load(self.provider.build(built))
        return self._made[target]

    def redis(self) -> str:
        """A Redis server's image."""
        if "redis" not in self._made:
            self._made["redis"] = self._load(self.provider.redis_image())
        return self._made["redis"]

    def application(self, folder: Path, scratch: Path) -> str:
        """An application's image, by the two lines of its Dockerfile.

        Args:
            folder: The application's, with a Dockerfile that begins FROM the worker's image.
            scratch: An empty folder for the Dockerfile with the image of this tree in its place.
        """
        with self._lock:
            if str(folder) not in self._made:
                lines = (folder / "Dockerfile").read_text()
                file = scratch / "Dockerfile"
                # The base argument has to be taken, or buildah complains.
                first = f"ARG PYTHON_IMAGE\nFROM {self.tree('worker')}"
                file.write_text(re.sub(r"(?m)^FROM \S+", first, lines, count=1))
                name = "windlass.test/" + re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-")
                built = ImageBuild(name=name, context=folder, file=file)
                self._made[str(folder)] = self._load(self.provider.build(built))
            return self._made[str(folder)]

    def _load(self, reference: str) -> str:
        self.provider.load(reference)
        return reference

    def values(self) -> dict[str, Any]:
        """Values of the chart that name these images."""
        operator, redis = self.tree("operator"), self.redis()
        return {
            "image": dict(zip(("repository", "tag"), operator.rsplit(":", 1), strict=True)),
            "redis": {
                "image": dict(zip(("repository", "tag"), redis.rsplit(":", 1), strict=True)),
            },
        }


@dataclass(frozen=True, slots=True)
class Release:
    """The chart, installed."""

    namespace: Namespace
    name: str
    images: Images

    @property
    def selector(self) -> str:
        """Selects the operator's pods."""
        return f"app.kubernetes.io/instance={self.name},app.kubernetes.io/component=operator"

    def leader(self) -> str:
        """The name of the operator's pod that leads now, '' if none does."""
        lease = self.namespace.get(f"lease/{self.fullname}")
        return str(lease["spec"].get("holderIdentity") or "").rpartition("_")[0]

    @property
    def fullname(self) -> str:
        """Name of the operator's Deployment, Service, Lease and Secret."""
        return self.name if "windlass" in self.name else f"{self.name}-windlass"

    def metrics(self) -> dict[str, float]:
        """The leader's metrics: "name{labels}" -> value."""
        with self.namespace.forwarded(f"pod/{self.leader()}", 8081) as port:
            text = _fetch(f"http://127.0.0.1:{port}/metrics")
        pairs = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}


def install(
    namespace: Namespace,
    images: Images,
    *,
    name: str,
    chart: Path = CHART,
    values: Mapping[str, Any] = {},  # never changed
) -> Release:
    """Install or upgrade the chart and wait until it works."""
    merged = _merged(images.values(), values)
    argv = ["upgrade", "--install", name, str(chart), "--wait", "--timeout=180s"]
    for key, value in _flat(merged):
        argv += ["--set-json", f"{key}={json.dumps(value)}"]
    namespace.helm(*argv)
    release = Release(namespace, name, images)
    wait_until(_Seen(release).has_looked_twice, "an operator that leads and looks", timeout_s=60)
    return release


@dataclass(slots=True)
class _Seen:
    """Whether an operator has looked at everything since we began to ask.

    A Lease with a holder is no proof: it may be that of a leader on its way out.
    """

    release: Release
    _leader: str = ""
    _ticks: float = 0.0

    def has_looked_twice(self) -> bool:
        """The first look that ends may have begun before we asked."""
        try:
            leader = self.release.leader()
            if not leader:
                return False
            ticks = self.release.metrics().get("windlass_operator_tick_seconds_count", 0.0)
        except (ClusterError, OSError):  # that pod is gone
            return False
        if leader != self._leader:
            self._leader, self._ticks = leader, ticks
        return ticks >= self._ticks + 2


def _merged(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(ours)
    for key, value in theirs.items():
        old = result.get(key)
        is_deep = isinstance(old, dict) and isinstance(value, dict)
        result[key] = _merged(old, value) if is_deep else value
    return result


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        found += _flat(value, f"{name}.") if isinstance(value, dict) else [(name, value)]
    return found


def _fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:  # our own address
        text: str = answer.read().decode()
    return text


@dataclass(frozen=True, slots=True)
class Application:
    """A namespace with queues and pools."""

    namespace: Namespace
    image: str

    def apply_file(
        self,
        file: Path,
        changes: Mapping[str, Mapping[str, Any]] = {},  # never changed
    ) -> None:
        """Apply a file of YAML with our image in every pool.

        Args:
            file: As a person would apply it.
            changes: Kind -> what to change in each spec of that kind.
        """
        objects = [one for one in yaml.safe_load_all(file.read_text()) if one]
        for one in objects:
            if one["kind"] == "WorkerPool":
                one["spec"]["image"] = self.image
            one["spec"] = _merged(one.get("spec") or {}, changes.get(one["kind"], {}))
        self.namespace.apply(*objects)

    def start(self, name: str, code: str, *, queue: str) -> None:
        """Start a pod that runs Python with a queue's binding in its environment."""
        spec = pod_spec(self.image, ["python3", "-u", "-c", textwrap.dedent(code)])
        spec["restartPolicy"] = "Never"
        spec["containers"][0]["envFrom"] = [{"secretRef": {"name": f"{queue}-binding"}}]
        self.namespace.wait(f"secret/{queue}-binding", until="create", timeout_s=60)
        self.namespace.apply(pod(name, spec))

    def answer(self, name: str, *, timeout_s: float) -> Any:
        """What a pod said: it prints SAID and JSON as its last line, and ends well.

        Raises:
            NotReadyError: It did not end in time.
            PodFailedError: It ended badly; its last words are in the error.
        """
        self.namespace.wait(f"pod/{name}", until=_ENDED, timeout_s=timeout_s)
        words = self.namespace.logs(f"pod/{name}").splitlines()
        said = [line.removeprefix(_SAID) for line in words if line.startswith(_SAID)]
        ended = self.namespace.get(f"pod/{name}")["status"]["containerStatuses"][0]["state"]
        if ended["terminated"]["exitCode"] != 0 or len(said) != 1:
            raise PodFailedError(name, ended["terminated"], words)
        return json.loads(said[0])

    def pool(self, name: str) -> dict[str, Any]:
        """A WorkerPool."""
        return self.namespace.get(f"workerpool/{name}")

    def workers(self, pool: str) -> list[dict[str, Any]]:
        """The pods of a pool that are not on their way out."""
        found = self.namespace.pods(f"windlass.dev/pool={pool}")
        return [one for one in found if "deletionTimestamp" not in one["metadata"]]

    def wait_replicas(self, pool: str, count: int, *, timeout_s: float) -> None:
        """Wait until a pool has so many pods, and none that is leaving."""
        wait_until(
            lambda: len(self.namespace.pods(f"windlass.dev/pool={pool}")) == count,
            f"{pool} with {count} workers",
            timeout_s=timeout_s,
        )

    def wait_condition(
        self, what: str, kind: str, reason: str, *, timeout_s: float = 60
    ) -> dict[str, Any]:
        """Wait until a condition of an object has a reason; returns the condition."""
        found: dict[str, Any] = {}

        def has_it() -> bool:
            conditions = self.namespace.get(what).get("status", {}).get("conditions", [])
            found.update(next((c for c in conditions if c["type"] == kind), {}))
            return found.get("reason") == reason

        wait_until(has_it, f"{what}: {kind} {reason}, last {found}", timeout_s=timeout_s)
        return found

    def events(self, reason: str) -> list[dict[str, Any]]:
        """Events of a reason in the namespace."""
        items: list[dict[str, Any]] = self.namespace.get(
            "events", f"--field-selector=reason={reason}"
        )["items"]
        return items

    def lines(self, name: str) -> Sequence[str]:
        """What a pod has said so far."""
        try:
            return self.namespace.logs(f"pod/{name}").splitlines()
        except CommandFailedError:
            return ()
