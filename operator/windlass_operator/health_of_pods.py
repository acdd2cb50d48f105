"""What is wrong with a pool's pods, in the words of a condition. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from windlass_operator.conditions import Condition
from windlass_operator.observed import PodView
from windlass_operator.reasons import ConditionReason, ConditionType

_IMAGE_REASONS = frozenset(
    {"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"}
)
_CRASH_REASONS = frozenset(
    {"CrashLoopBackOff", "CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
)
#: A pod that restarted so often, and is not ready, is crash-looping even between two back-offs.
_RESTARTS = 3
_LONGEST = 1000


def trouble(pods: Sequence[PodView]) -> Condition | None:
    """Return the worst trouble of the pods, None if there is none.

    While there is one, more replicas would not help: nothing grows.
    """
    checks = (
        (
            ConditionReason.IMAGE_PULL_FAILED,
            [p for p in pods if p.waiting_reason in _IMAGE_REASONS],
        ),
        (ConditionReason.WORKERS_CRASH_LOOPING, [p for p in pods if _crashes(p)]),
        (ConditionReason.UNSCHEDULABLE, [p for p in pods if p.unschedulable]),
    )
    for reason, found in checks:
        if found:
            pod = found[0]
            words = pod.unschedulable or last_words(pod.message) or pod.waiting_reason
            return Condition(
                type=ConditionType.DEGRADED,
                status=True,
                reason=reason,
                message=f"{len(found)} of {len(pods)} worker pod(s), e.g. {pod.name}: {words}",
            )
    return None


def _crashes(pod: PodView) -> bool:
    if pod.is_deleting or pod.is_ready:
        return False
    return pod.waiting_reason in _CRASH_REASONS or pod.restarts >= _RESTARTS


def last_words(log: str) -> str:
    """Find the line of a dying worker's output that says why: the error, not its frames."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    for line in reversed(lines):
        if line.startswith("Error:") or "Error" in line.split(":")[0]:
            return line[:_LONGEST]
    return lines[-1][:_LONGEST] if lines else ""
