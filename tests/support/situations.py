"""Scale-downs to look at: workers idle, busy or cordoned, in a Deployment of as many pods."""

from __future__ import annotations

from typing import Any

from operator_builders import make_deployment, make_pod, make_worker
from windlass.control_plane.heartbeats import WorkerStatus
from windlass_operator.models.workerpool import ScaleDownPolicy
from windlass_operator.scale_down import ScaleDown, Step
from windlass_operator.victims import Situation, Victim


def situation(*workers: WorkerStatus, target: int = 1, **values: Any) -> Situation:
    pods = values.pop("pods", None)
    if pods is None:
        pods = [make_pod(w.hostname, is_ready=not w.cordoned_since_ms) for w in workers]
    ready = sum(pod.is_ready for pod in pods)
    given: dict[str, Any] = {
        "deployment": make_deployment(replicas=len(pods), ready=ready),
        "policy": ScaleDownPolicy.IDLE_ONLY,
        "cordon_timeout_s": 60.0,
        **values,
    }
    return Situation(pods=pods, workers=workers, target=target, **given)


def idle(name: str, **values: Any) -> WorkerStatus:
    return make_worker(name, **{"seen_ms": 1000, **values})


def busy(name: str, **values: Any) -> WorkerStatus:
    return idle(name, busy=1, **values)


def cordoned(name: str, seen_ms: int = 1000, **values: Any) -> WorkerStatus:
    return idle(name, cordoned_since_ms=1, seen_ms=seen_ms, **values)


def names(victims: tuple[Victim, ...]) -> list[str]:
    return [victim.pod for victim in victims]


def of_kind(result: Step, kind: type) -> list[Any]:
    return [action for action in result.actions if isinstance(action, kind)]


def under_way(*pods: str, is_confirmed: bool = False, **values: Any) -> ScaleDown:
    victims = tuple(
        Victim(pod=p, worker_id=f"{p}@1", is_confirmed=is_confirmed, beat_ms=1000) for p in pods
    )
    return ScaleDown(deployment="emails", victims=victims, **values)
