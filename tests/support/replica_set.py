"""A Deployment with pods, workers and a broker's cordons, as far as scaling in concerns them.

Pods go in the ReplicaSet's own order: those that are not scheduled or pending first, then not
ready, then the cheapest, then the youngest. Workers lease at random, unless cordoned.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from operator_builders import make_deployment, make_pod, make_worker
from windlass.control_plane.heartbeats import WorkerStatus
from windlass_operator.models.workerpool import ScaleDownPolicy
from windlass_operator.observed import DeploymentView, PodView
from windlass_operator.plan import (
    Action,
    CordonWorker,
    SetDeletionCost,
    SetReplicas,
    UncordonWorker,
)
from windlass_operator.victims import Situation

BEAT_S = 5.0
BEAT_TTL_MS = 10_000


@dataclass(slots=True)
class Pod:
    name: str
    created_s: float
    busy: int = 0
    is_ready: bool = True
    is_started: bool = True
    cost: int = 0
    beat: WorkerStatus | None = None
    cordoned_s: float = -1.0

    @property
    def worker_id(self) -> str:
        return f"{self.name}@1"


@dataclass(slots=True)
class ReplicaSetWorld:
    """One Deployment; `pods` are the truth, `observe` is what the operator gets to see of it."""

    chance: random.Random
    replicas: int
    pods: dict[str, Pod] = field(default_factory=dict)
    cordons: dict[str, float] = field(default_factory=dict)
    killed_busy: list[str] = field(default_factory=list)
    killed: int = 0
    resource_version: int = 100
    now_s: float = 1000.0
    made: int = 0
    ready_seen: int = 0

    def __post_init__(self) -> None:
        self.settle()
        for pod in self.pods.values():
            pod.is_started = pod.is_ready = True
            self._beat(pod)
        self.ready_seen = len(self.pods)

    # -- the truth ------------------------------------------------------------------------------

    def pass_time(self, seconds: float) -> None:
        """Let workers lease, finish, beat and turn ready or unready, second by second."""
        for _ in range(int(seconds)):
            self.now_s += 1
            for pod in self.pods.values():
                self._live(pod)
            self.settle()
            self.ready_seen = sum(pod.is_ready for pod in self.pods.values())

    def _live(self, pod: Pod) -> None:
        is_cordoned = self.cordons.get(pod.worker_id, 0.0) > self.now_s
        if not pod.is_started:
            pod.is_started = self.chance.random() < 0.3
            return
        if pod.busy and self.chance.random() < 0.08:
            pod.busy = 0
        elif not pod.busy and not is_cordoned and self.chance.random() < 0.08:
            pod.busy = 1
        if (self.now_s + pod.created_s + len(pod.name)) % BEAT_S == 0:
            self._beat(pod)
            pod.is_ready = pod.cordoned_s < 0 and self.chance.random() > 0.1

    def _beat(self, pod: Pod) -> None:
        is_cordoned = self.cordons.get(pod.worker_id, 0.0) > self.now_s
        if is_cordoned != (pod.cordoned_s >= 0):
            pod.cordoned_s = self.now_s if is_cordoned else -1.0
        pod.beat = make_worker(
            pod.name,
            busy=pod.busy,
            cordoned_since_ms=int(pod.cordoned_s * 1000) if is_cordoned else 0,
            seen_ms=int(self.now_s * 1000) + BEAT_TTL_MS,
        )

    def settle(self) -> None:
        """The controller makes or removes pods until there are as many as asked for."""
        while len(self.pods) < self.replicas:
            self.made += 1
            name = f"emails-{self.made}"
            self.pods[name] = Pod(name, created_s=self.now_s, is_ready=False, is_started=False)
        while len(self.pods) > self.replicas:
            self._kill(min(self.pods.values(), key=_rank))

    def _kill(self, pod: Pod) -> None:
        del self.pods[pod.name]
        self.killed += 1
        if pod.busy:
            self.killed_busy.append(pod.name)

    def lose_a_pod(self) -> None:
        """A node dies, or somebody deletes a pod: not the operator's doing."""
        if self.pods:
            del self.pods[self.chance.choice(sorted(self.pods))]

    def flush(self) -> None:
        """The broker loses everything; workers go on with what they run."""
        self.cordons.clear()
        for pod in self.pods.values():
            pod.beat = None

    # -- what the operator sees and does ---------------------------------------------------------

    def observe(
        self, target: int, policy: ScaleDownPolicy, timeout_s: float, *, known: bool = True
    ) -> Situation:
        alive_ms = int(self.now_s * 1000)
        beats = [p.beat for p in self.pods.values() if p.beat and p.beat.seen_ms > alive_ms]
        return Situation(
            deployment=self._deployment(),
            pods=[self._pod(pod) for pod in self.pods.values()],
            workers=beats if known else [],
            target=target,
            policy=policy,
            cordon_timeout_s=timeout_s,
            workers_known=known,
        )

    def _deployment(self) -> DeploymentView:
        return make_deployment(
            replicas=self.replicas,
            current=len(self.pods),
            ready=self.ready_seen,
            resource_version=str(self.resource_version),
        )

    def _pod(self, pod: Pod) -> PodView:
        view = make_pod(
            pod.name, is_ready=pod.is_ready, deletion_cost=pod.cost, created_s=pod.created_s
        )
        return view if pod.is_started else replace(view, phase="Pending", is_ready=False)

    def edit(self) -> None:
        """Somebody changes an annotation of the Deployment."""
        self.resource_version += 1

    def apply(self, actions: Sequence[Action], stop_after: int | None = None) -> bool:
        """Carry actions out; `stop_after`: the operator dies after so many.

        Returns:
            Whether all of them were.
        """
        for done, action in enumerate(actions):
            if stop_after is not None and done >= stop_after:
                return False
            match action:
                case CordonWorker():
                    self.cordons[action.worker_id] = self.now_s + action.ttl_s
                case UncordonWorker():
                    self.cordons.pop(action.worker_id, None)
                case SetDeletionCost() if action.pod in self.pods:
                    self.pods[action.pod].cost = action.cost
                case SetReplicas():
                    guard = action.resource_version
                    if guard is not None and guard != str(self.resource_version):
                        return False
                    self.replicas = action.replicas
                    self.resource_version += 1
                    self.settle()
                case _:
                    pass
        return True


def _rank(pod: Pod) -> tuple[bool, bool, int, float]:
    return pod.is_started, pod.is_ready, pod.cost, -pod.created_s
