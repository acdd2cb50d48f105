"""Which pods may be taken away: certainly idle ones first, unknown ones never. Pure.

A running worker that says nothing is unknown: it may have just begun a task. Only a pod whose
worker container does not run (no node, no image, between two crashes) is certainly empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from windlass.control_plane.heartbeats import WorkerStatus
from windlass_operator.models.workerpool import ScaleDownPolicy
from windlass_operator.observed import DeploymentView, PodView

#: So long a pod has its mark before replicas falls. Another victim that is busy still is not ready
#: either: only the mark tells the two apart, and a controller's view of pods may be behind.
MARKED_S = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Victim:
    """A pod that is to go, and its worker; '' for a pod whose worker never came up.

    Attributes:
        since_s: When it was chosen.
        is_confirmed: It was seen empty while cordoned, and its cordon was made final.
        confirmed_s: When that was.
        beat_ms: Heartbeat that showed so; only a later one proves that the final cordon held.
    """

    pod: str
    worker_id: str
    since_s: float = 0.0
    is_confirmed: bool = False
    confirmed_s: float = 0.0
    beat_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the protocol looks at.

    Attributes:
        target: Replicas wanted of this Deployment.
        cordon_timeout_s: How long a victim may be busy before it is let be; infinite: for ever.
        workers_known: Heartbeats could be read; without them nobody is taken away.
    """

    deployment: DeploymentView
    pods: Sequence[PodView]
    workers: Sequence[WorkerStatus]
    target: int
    policy: ScaleDownPolicy
    cordon_timeout_s: float
    workers_known: bool = True

    @property
    def alive(self) -> dict[str, PodView]:
        """Pods that nobody has told to go, by name."""
        return {pod.name: pod for pod in self.pods if not pod.is_deleting}

    @property
    def present(self) -> int:
        """Replicas that are there; fewer than asked for while the controller cannot make them."""
        return min(self.deployment.replicas, max(len(self.alive), self.deployment.current))


def has_running_worker(pod: PodView) -> bool:
    """Whether the worker container runs, as far as the kubelet has told."""
    return pod.is_ready or (pod.phase not in ("Pending", "Failed", "Succeeded")
                            and not pod.waiting_reason)  # fmt: skip


def choose_victims(
    situation: Situation, now_s: float, chosen: Sequence[Victim] = ()
) -> tuple[Victim, ...]:
    """Choose as many pods as are to go: without a worker, then idle, then the least loaded.

    Args:
        situation: What there is.
        now_s: The instant.
        chosen: Those that were chosen before; only the others are returned.
    """
    by_host = {worker.hostname: worker for worker in situation.workers}
    count = max(0, situation.present - situation.target - len(chosen))
    before = {victim.pod for victim in chosen}
    candidates = [
        pod
        for pod in situation.alive.values()
        if pod.name not in before and (pod.name in by_host or not has_running_worker(pod))
    ]

    def rank(pod: PodView) -> tuple[int, int, float]:
        worker = by_host.get(pod.name)
        if worker is None:
            return (0, 0, -pod.created_s)
        load = worker.busy + worker.held
        return (1 if load == 0 else 2, load, -pod.created_s)

    return tuple(
        Victim(
            pod=pod.name,
            worker_id=by_host[pod.name].worker_id if pod.name in by_host else "",
            since_s=now_s,
        )
        for pod in sorted(candidates, key=rank)[:count]
    )


def with_workers(victims: Sequence[Victim], workers: Sequence[WorkerStatus]) -> tuple[Victim, ...]:
    """Give victims the worker that runs in their pod now.

    One that was chosen before its worker came up, or whose worker was started anew since, would
    otherwise never be cordoned, and never be known to be empty.
    """
    known = {worker.worker_id for worker in workers}
    by_host = {worker.hostname: worker.worker_id for worker in workers}
    return tuple(
        victim
        if victim.worker_id in known or victim.pod not in by_host
        else replace(victim, worker_id=by_host[victim.pod], is_confirmed=False, beat_ms=0)
        for victim in victims
    )


def is_empty(victim: Victim, workers: Mapping[str, WorkerStatus], pod: PodView) -> bool:
    """Whether a victim certainly runs nothing and will not begin anything."""
    worker = workers.get(victim.worker_id)
    if worker is None:
        return not has_running_worker(pod)
    return worker.cordoned_since_ms > 0 and worker.busy == 0 and worker.held == 0


def is_proven(victim: Victim, workers: Mapping[str, WorkerStatus], now_s: float) -> bool:
    """Whether its worker has spoken since its cordon was made final: empty then is empty now.

    Its mark as the cheapest must have reached the ReplicaSet's controller too.
    """
    worker = workers.get(victim.worker_id)
    has_spoken = worker is None or worker.seen_ms > victim.beat_ms
    return victim.is_confirmed and has_spoken and now_s - victim.confirmed_s >= MARKED_S
