"""Deployments whose pods are worker processes of this machine.

Plays the parts of the API server (objects with a resource version), of the Deployment controller
(as many pods as replicas, those go first that a ReplicaSet would take) and of the kubelet (starts,
restarts with back-off, TERM and then KILL after the grace period). Decides nothing else.
"""

from __future__ import annotations

import secrets
import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from windlass.control_plane.heartbeats import WorkerStatus
from windlass_operator.conditions import timestamp
from windlass_operator.desired.names import POOL
from windlass_operator.local.pods import Pod, Process
from windlass_operator.store import Key, Store

#: Starts a worker: (namespace, pool), pod name, pod template -> its process.
Launch = Callable[[Key, str, Mapping[str, Any]], Process]


@dataclass(slots=True, kw_only=True)
class _Deployment:
    manifest: Mapping[str, Any]
    pool: Key
    created_s: float
    replicas: int = 0
    generation: int = 1
    version: int = 1
    is_doomed: bool = False
    pods: list[Pod] = field(default_factory=list)

    @property
    def template(self) -> Mapping[str, Any]:
        template: Mapping[str, Any] = self.manifest["spec"]["template"]
        return template

    @property
    def staying(self) -> list[Pod]:
        return [pod for pod in self.pods if not pod.is_deleting]


class ConflictError(Exception):
    """The Deployment was changed since it was looked at; the next tick looks again."""


class Driver:
    """All worker processes of `windlass up`, by the Deployment that wants them.

    Args:
        store: Filled with Deployments and Pods in the API's form, for `observe`.
        launch: Starts a worker.
        epoch_s: The wall clock's time at 0 of the clock that `now_s` is of: a laptop that wakes up
            must not find its workers' time over.
    """

    def __init__(self, store: Store, launch: Launch, epoch_s: float = 0.0) -> None:
        self._store = store
        self._launch = launch
        self._epoch_s = epoch_s
        self._deployments: dict[Key, _Deployment] = {}
        self._is_draining = False

    # -- what the operator asks for --------------------------------------------------------------

    def apply_deployment(self, manifest: Mapping[str, Any], now_s: float) -> None:
        """Create a Deployment, or take its new template for workers that are started later."""
        metadata = manifest["metadata"]
        key = (metadata["namespace"], metadata["name"])
        known = self._deployments.get(key)
        if known is None:
            pool = (metadata["namespace"], metadata["labels"][POOL])
            known = _Deployment(manifest=manifest, pool=pool, created_s=now_s)
            known.replicas = manifest["spec"].get("replicas", 1)
            self._deployments[key] = known
        else:
            known.manifest = manifest
            known.generation += 1
        self._publish(known)

    def set_replicas(self, key: Key, replicas: int, resource_version: str | None) -> None:
        """Scale a Deployment.

        Raises:
            ConflictError: It is not at `resource_version` any more.
        """
        deployment = self._deployments[key]
        if resource_version and resource_version != str(deployment.version):
            raise ConflictError(f"Deployment {key[1]} was changed meanwhile.")
        if deployment.replicas != replicas:
            deployment.replicas = replicas
            deployment.generation += 1
            self._publish(deployment)

    def delete_deployment(self, key: Key, now_s: float) -> None:
        """Have all workers of a Deployment end; it is gone with the last of them."""
        self._deployments[key].replicas = 0
        self._deployments[key].is_doomed = True
        self.reconcile(now_s)

    def set_deletion_cost(self, namespace: str, pod_name: str, cost: int) -> None:
        """Mark a pod as an early victim."""
        for pod in self._all_pods():
            if (pod.namespace, pod.name) == (namespace, pod_name):
                pod.deletion_cost = cost

    # -- what happens by itself ------------------------------------------------------------------

    def see_workers(self, workers: Mapping[str, Iterable[WorkerStatus]]) -> None:
        """Take heartbeats (by namespace) in: a pod is ready if its process says it takes work."""
        taking = {
            (namespace, worker.host, worker.pid)
            for namespace, statuses in workers.items()
            for worker in statuses
            if not worker.draining and not worker.cordoned_since_ms
        }
        for pod in self._all_pods():
            pod.is_ready = (pod.namespace, pod.name, pod.pid) in taking
        for deployment in self._deployments.values():
            self._publish(deployment)

    def reconcile(self, now_s: float) -> None:
        """Note who ended, start who is missing, stop who is too many, and publish all of it."""
        for key, deployment in list(self._deployments.items()):
            self._reap(deployment, now_s)
            if deployment.is_doomed and not deployment.pods:
                self._store.drop("Deployment", self._body(deployment))
                del self._deployments[key]
                continue
            surplus = len(deployment.staying) - deployment.replicas
            if surplus > 0:
                for pod in sorted(deployment.staying, key=Pod.stop_rank)[:surplus]:
                    self._stop(deployment, pod, now_s)
            if not self._is_draining:
                self._start(deployment, -surplus, now_s)
            self._publish(deployment)

    def _reap(self, deployment: _Deployment, now_s: float) -> None:
        grace_s = deployment.template["spec"]["terminationGracePeriodSeconds"]
        for pod in list(deployment.pods):
            is_over = pod.process is None or pod.process.poll() is not None
            if pod.deleted_s is not None:
                if is_over:
                    deployment.pods.remove(pod)
                    self._store.drop("Pod", pod.body())
                elif pod.process and now_s - pod.deleted_s > grace_s and not pod.is_killed:
                    pod.is_killed = True
                    pod.process.kill()
            elif is_over and pod.process is not None:
                pod.crashed(now_s, pod.process.last_words())

    def _start(self, deployment: _Deployment, missing: int, now_s: float) -> None:
        for _ in range(missing):
            name = f"{deployment.manifest['metadata']['name']}-{secrets.token_hex(3)[:5]}"
            labels = deployment.template["metadata"]["labels"]
            pod = Pod(name=name, namespace=deployment.pool[0], labels=labels)
            pod.created_s = self._epoch_s + now_s
            deployment.pods.append(pod)
            self._run(deployment, pod, now_s)
        for pod in deployment.staying:
            if pod.restart_at_s is not None and now_s >= pod.restart_at_s:
                self._run(deployment, pod, now_s)

    def _run(self, deployment: _Deployment, pod: Pod, now_s: float) -> None:
        pod.process = self._launch(deployment.pool, pod.name, deployment.template)
        pod.pid, pod.started_s, pod.restart_at_s = pod.process.pid, now_s, None

    def _stop(self, deployment: _Deployment, pod: Pod, now_s: float) -> None:
        pod.deleted_s = now_s
        if pod.process is None:
            deployment.pods.remove(pod)
            self._store.drop("Pod", pod.body())
        else:
            pod.process.send(signal.SIGTERM)

    # -- the end ---------------------------------------------------------------------------------

    def drain(self, now_s: float) -> None:
        """Have every worker finish what it runs and end; nobody is started any more."""
        self._is_draining = True
        for deployment in self._deployments.values():
            deployment.replicas = 0
        self.reconcile(now_s)

    def stop_cold(self) -> None:
        """Have every worker hand back what it runs and end at once."""
        for process in self._processes():
            process.send(signal.SIGQUIT)

    def kill(self) -> None:
        """End every worker that is still there."""
        for process in self._processes():
            process.kill()

    @property
    def pids(self) -> list[int]:
        """Workers that run."""
        return [process.pid for process in self._processes()]

    def _processes(self) -> list[Process]:
        running = (pod.process for pod in self._all_pods())
        return [process for process in running if process and process.poll() is None]

    def _all_pods(self) -> Iterable[Pod]:
        return (pod for deployment in self._deployments.values() for pod in deployment.pods)

    # -- in the API's form -----------------------------------------------------------------------

    def _publish(self, deployment: _Deployment) -> None:
        for pod in deployment.pods:
            self._store.put("Pod", pod.body())
        body = self._body(deployment)
        metadata = deployment.manifest["metadata"]
        known = self._store.get("Deployment", metadata["namespace"], metadata["name"])
        if known is not None:
            if _without_version(known) == _without_version(body):
                return
            deployment.version += 1
            body = self._body(deployment)
        self._store.put("Deployment", body)

    def _body(self, deployment: _Deployment) -> dict[str, Any]:
        staying = deployment.staying
        metadata = {
            **deployment.manifest["metadata"],
            "generation": deployment.generation,
            "resourceVersion": str(deployment.version),
            "creationTimestamp": timestamp(self._epoch_s + deployment.created_s),
        }
        return {
            **deployment.manifest,
            "metadata": metadata,
            "spec": {**deployment.manifest["spec"], "replicas": deployment.replicas},
            "status": {
                "observedGeneration": deployment.generation,
                "replicas": len(staying),
                "updatedReplicas": len(staying),
                "readyReplicas": sum(pod.is_ready for pod in staying),
            },
        }


def _without_version(body: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {k: v for k, v in body["metadata"].items() if k != "resourceVersion"}
    rest = {k: v for k, v in body.items() if k != "apiVersion"}  # the store keeps none
    return {**rest, "metadata": metadata}
