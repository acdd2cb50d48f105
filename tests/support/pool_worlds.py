"""Any pool in any world: strategies of hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from operator_builders import (
    make_broker,
    make_deployment,
    make_depth,
    make_observed,
    make_pod,
    make_pool,
    make_queue,
    make_view,
    make_worker,
)
from windlass_operator.observed import (
    BrokerError,
    DeploymentView,
    PodView,
    PoolObserved,
    QueueView,
)

_counts = st.integers(0, 50)
_depths = st.builds(
    lambda **values: make_depth(**values),
    open=st.integers(0, 10**9),
    scheduled=_counts,
    due_soon=_counts,
    leased=_counts,
    started=_counts,
    parked=_counts,
    oldest_ms=st.integers(0, 10**12),
)
_brokers = st.builds(
    lambda **values: make_broker(**values),
    broker_id=st.sampled_from(["", "b1", "b2"]),
    error=st.sampled_from([None, None, *BrokerError]),
    detail=st.just("words"),
    failures=st.integers(0, 10),
    stale_s=st.floats(0, 1e6),
)


@st.composite
def _pools(draw: st.DrawFn) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "queues": [{"name": "emails"}, {"name": "bulk"}],
        "paused": draw(st.booleans()),
        "rollout": {"strategy": draw(st.sampled_from(["RollingUpdate", "Drain"]))},
        "timeLimits": draw(st.sampled_from([{}, {"soft": "5m", "hard": "6m"}])),
        "podTemplate": draw(
            st.sampled_from([{}, {"metadata": {"labels": {"a": "b"}}}, {"spec": {"hostIPC": True}}])
        ),
    }
    if draw(st.booleans()):
        return {**spec, "replicas": draw(_counts)}
    low = draw(st.integers(0, 5))
    scale_down = {"policy": draw(st.sampled_from(["IdleOnly", "Drain", "Immediate"]))}
    spec["autoscaling"] = {
        "minReplicas": low,
        "maxReplicas": draw(st.integers(max(1, low), 50)),
        "scaleDown": scale_down,
    }
    return spec


@st.composite
def _views(draw: st.DrawFn, ref: str) -> QueueView:
    return make_view(
        ref,
        queue=draw(st.sampled_from([None, make_queue(ref), make_queue(ref, paused=True)])),
        broker=draw(st.none() | _brokers),
        depth=draw(st.none() | _depths),
        arrival_rate=draw(st.floats(0, 1e6)),
        service_s=draw(st.none() | st.floats(1e-6, 1e5)),
        due_soon=draw(_counts),
        conflict=draw(st.sampled_from(["", "", "older"])),
    )


@st.composite
def _pods(draw: st.DrawFn, name: str) -> PodView:
    return make_pod(
        name,
        deployment=draw(st.sampled_from(["emails", "emails-x"])),
        is_ready=draw(st.booleans()),
        phase=draw(st.sampled_from(["Pending", "Running", "Unknown", "Failed"])),
        waiting_reason=draw(st.sampled_from(["", "CrashLoopBackOff", "ErrImagePull"])),
        message=draw(st.sampled_from(["", "Traceback\n  x\nImportError: no"])),
        is_deleting=draw(st.booleans()),
    )


@st.composite
def _deployments(draw: st.DrawFn, name: str, age: int) -> DeploymentView:
    return make_deployment(
        name,
        replicas=draw(_counts),
        current=draw(_counts),
        ready=draw(_counts),
        replica_sets=draw(st.integers(1, 2)),
        created_s=float(age),
    )


@st.composite
def worlds(draw: st.DrawFn) -> PoolObserved:
    """Any pool in any world."""
    versions = draw(st.sampled_from([(), ("emails",), ("emails", "emails-x")]))
    pods = tuple(draw(_pods(f"p{n}")) for n in range(draw(st.integers(0, 4))))
    workers = tuple(
        make_worker(
            pod.name,
            busy=draw(st.integers(0, 1)),
            cordoned_since_ms=draw(st.integers(0, 1)),
            largest_time_limit_s=draw(st.sampled_from([0.0, 1e6])),
        )
        for pod in pods
        if draw(st.booleans())
    )
    return make_observed(
        make_pool(**draw(_pools())),
        queues=tuple(draw(_views(ref)) for ref in ("emails", "bulk")),
        deployments=tuple(draw(_deployments(name, age)) for age, name in enumerate(versions)),
        pods=pods,
        workers=workers,
        workers_known=draw(st.booleans()),
        shared=draw(st.sampled_from([frozenset(), frozenset({"bulk"})])),
    )
