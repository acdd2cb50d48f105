"""The local driver with fake processes: what it starts, stops, restarts and reports."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Mapping
from typing import Any

import pytest

from operator_builders import make_pool
from windlass.control_plane.heartbeats import WorkerStatus
from windlass_operator.desired.worker_deployment import (
    WorkerInputs,
    desired_deployment,
    worker_template,
)
from windlass_operator.local.driver import ConflictError, Driver
from windlass_operator.store import Key, Store
from windlass_operator.views import deployment_view, pod_view

KEY = ("shop", "emails")


class FakeProcess:
    """Lives until it is told, or made, to end."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.status: int | None = None
        self.signals: list[int] = []
        self.ends_on_term = True
        self.words = "Traceback\nModuleNotFoundError: no shop"

    def poll(self) -> int | None:
        return self.status

    def send(self, number: int) -> None:
        self.signals.append(number)
        if self.ends_on_term and number == signal.SIGTERM:
            self.status = 0

    def kill(self) -> None:
        self.signals.append(signal.SIGKILL)
        self.status = -9

    def last_words(self) -> str:
        return self.words


class Bench:
    """A driver with a Deployment of one pool."""

    def __init__(self, replicas: int) -> None:
        self.store = Store()
        self.started: list[FakeProcess] = []
        self.names: list[str] = []
        self.driver = Driver(self.store, self._launch, epoch_s=1_800_000_000.0)
        template = worker_template(make_pool(), WorkerInputs(queues=("emails",), binding="b"))
        manifest = desired_deployment(make_pool(), template)
        manifest["spec"]["replicas"] = replicas
        self.driver.apply_deployment(manifest, 0.0)
        self.driver.reconcile(0.0)

    def _launch(self, pool: Key, pod: str, template: Mapping[str, Any]) -> FakeProcess:
        assert pool == KEY
        process = FakeProcess(1000 + len(self.started))
        self.started.append(process)
        self.names.append(pod)
        return process

    def beat(self, *processes: FakeProcess, **status: Any) -> None:
        """Heartbeats of these processes, and of no other."""
        workers = [
            WorkerStatus(
                worker_id=f"w{p.pid}",
                hostname=f"windlass@{self.names[self.started.index(p)]}",
                pid=p.pid,
                **status,
            )
            for p in processes
        ]
        self.driver.see_workers({"shop": workers})

    @property
    def deployment(self) -> Any:
        body = self.store.get("Deployment", *KEY)
        assert body is not None
        return deployment_view(body)

    @property
    def pods(self) -> list[Any]:
        return [pod_view(body, "emails") for body in self.store.children("Pod", *KEY)]


def test_as_many_processes_as_replicas_are_started() -> None:
    bench = Bench(3)

    assert [process.pid for process in bench.started] == [1000, 1001, 1002]
    assert (bench.deployment.replicas, bench.deployment.current, bench.deployment.ready) == (
        3,
        3,
        0,
    )
    assert all(name.startswith("emails-") for name in bench.names)
    assert len(set(bench.names)) == 3


def test_nothing_is_started_twice() -> None:
    bench = Bench(2)
    bench.driver.reconcile(1.0)

    assert len(bench.started) == 2


def test_worker_is_ready_when_its_own_process_says_that_it_takes_work() -> None:
    bench = Bench(1)
    (process,) = bench.started
    bench.beat(process)
    assert bench.deployment.ready == 1

    bench.beat(process, cordoned_since_ms=5)
    assert bench.deployment.ready == 0, "cordoned is not ready"

    bench.beat(process, draining=True)
    assert bench.deployment.ready == 0


def test_heartbeat_of_a_dead_predecessor_makes_nobody_ready() -> None:
    bench = Bench(1)
    dead = bench.started[0]
    dead.status = -9
    bench.driver.reconcile(1.0)
    bench.beat(dead)

    assert bench.deployment.ready == 0


def test_killed_worker_is_replaced_at_once_under_its_name() -> None:
    bench = Bench(1)
    bench.started[0].status = -9
    bench.driver.reconcile(40.0)

    assert len(bench.started) == 2
    assert bench.names[0] == bench.names[1]
    assert bench.deployment.current == 1


def test_worker_that_crashes_again_waits_longer_and_says_why() -> None:
    bench = Bench(1)
    starts = []
    for tenth in range(200):
        now_s = tenth / 10
        before = len(bench.started)
        bench.started[-1].status = 1
        bench.driver.reconcile(now_s)
        if len(bench.started) > before:
            starts.append(now_s)
    (pod,) = bench.pods

    gaps = [round(b - a, 1) for a, b in itertools.pairwise(starts)]
    assert gaps == sorted(gaps), "every wait is at least as long as the one before"
    assert gaps[-1] >= 4
    assert pod.waiting_reason == "CrashLoopBackOff"
    assert "ModuleNotFoundError: no shop" in pod.message
    assert pod.restarts >= 3


def test_worker_that_ran_well_for_long_has_not_crashed_again() -> None:
    bench = Bench(1)
    for round_number in range(1, 6):
        bench.started[-1].status = -9
        bench.driver.reconcile(round_number * 100.0)

    assert len(bench.started) == 6, "each was replaced at once"
    assert bench.pods[0].restarts == 1


def test_scale_down_takes_unready_then_cheap_then_young_ones() -> None:
    bench = Bench(4)
    a, b, c, d = bench.started
    bench.beat(a, b, c)
    bench.driver.set_deletion_cost("shop", bench.names[1], -1000)
    for wanted, victim in ((3, d), (2, b)):
        bench.driver.set_replicas(KEY, wanted, None)
        bench.driver.reconcile(1.0)
        assert victim.signals == [signal.SIGTERM]
    assert a.signals == c.signals == []


def test_worker_that_drains_is_gone_when_its_process_is() -> None:
    bench = Bench(1)
    (process,) = bench.started
    process.ends_on_term = False
    bench.driver.set_replicas(KEY, 0, None)
    bench.driver.reconcile(1.0)
    assert [pod.is_deleting for pod in bench.pods] == [True]
    assert bench.deployment.current == 0

    process.status = 0
    bench.driver.reconcile(2.0)
    assert bench.pods == []
    assert len(bench.started) == 1, "it is not replaced"


def test_worker_that_outstays_its_grace_is_killed_once() -> None:
    bench = Bench(1)
    (process,) = bench.started
    process.ends_on_term = False
    bench.driver.set_replicas(KEY, 0, None)
    for now_s in (1.0, 300.0, 320.0, 321.0):
        bench.driver.reconcile(now_s)

    assert process.signals == [signal.SIGTERM, signal.SIGKILL]
    assert bench.pods == []


def test_scale_of_a_deployment_that_changed_is_refused() -> None:
    bench = Bench(1)
    seen = bench.deployment.resource_version
    bench.driver.set_replicas(KEY, 2, seen)
    with pytest.raises(ConflictError):
        bench.driver.set_replicas(KEY, 0, seen)

    assert bench.deployment.replicas == 2


def test_unchanged_deployment_keeps_its_version() -> None:
    bench = Bench(1)
    bench.beat(bench.started[0])
    seen = bench.deployment.resource_version
    bench.driver.reconcile(1.0)
    bench.beat(bench.started[0])

    assert bench.deployment.resource_version == seen


def test_drain_ends_all_and_starts_nobody() -> None:
    bench = Bench(2)
    bench.started[0].ends_on_term = False
    bench.driver.drain(1.0)
    bench.driver.reconcile(2.0)
    assert bench.driver.pids == [bench.started[0].pid]

    bench.driver.stop_cold()
    assert bench.started[0].signals == [signal.SIGTERM, signal.SIGQUIT]
    bench.driver.kill()
    assert bench.driver.pids == []
    assert len(bench.started) == 2


def test_deleted_deployment_is_gone_with_its_last_worker() -> None:
    bench = Bench(1)
    bench.driver.delete_deployment(KEY, 1.0)
    bench.driver.reconcile(2.0)

    assert bench.store.get("Deployment", *KEY) is None
