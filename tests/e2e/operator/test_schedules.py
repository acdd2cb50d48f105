"""Schedules on a real cluster: a pool at zero is there in time, and no time is lost or doubled."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from killing import kill_process_one
from operator_release import Application, Release
from side_by_side import Stage, side_by_side
from windlass_cluster.access import Access
from windlass_cluster.commands import wait_until
from windlass_cluster.providers import Provider

pytestmark = pytest.mark.e2e

API = "windlass.dev/v1alpha1"
#: Times that are fired before the operator is killed, and all of them.
_BEFORE, _ALL = 8, 40
_READER = """
    import json
    from job import app
    from windlass.redis_store.resp import packed

    found = app.broker.links.call([packed("HGETALL", f"{app.broker.keys.base}counts")])[0]
    words = [word.decode() for word in found]
    print("SAID", json.dumps(dict(zip(words[::2], words[1::2]))))
"""


def status_of(application: Application, name: str) -> dict[str, Any]:
    status: dict[str, Any] = application.namespace.get(f"bs/{name}").get("status", {})
    return status


@side_by_side
def test_08_schedule_wakes_its_pool_in_time_and_is_fired_by_hand(stage: Stage) -> None:
    reports = stage.example("08-beat-schedule", "queue.yaml")
    # As in the example but for the waiting: a minute, of which the pool is to sleep the most.
    patch = {"spec": {"every": "60s", "jitter": "0s"}}
    reports.namespace.kubectl("patch", "bs/pulse", "--type=merge", "-p", json.dumps(patch))
    reports.wait_condition("bs/pulse", "Ready", "AsExpected")
    # Not at three o'clock either, if it is that now.
    suspended = json.dumps({"spec": {"suspend": True}})
    reports.namespace.kubectl("patch", "bs/nightly", "--type=merge", "-p", suspended)
    reports.wait_condition("bs/nightly", "Suspended", "SuspendedByUser")
    assert reports.workers("reports") == []
    assert status_of(reports, "nightly")["schedule"] == "0 3 * * mon-fri"

    wait_until(lambda: reports.workers("reports") != [], "a worker", timeout_s=90)
    (worker,) = reports.workers("reports")
    made = datetime.fromisoformat(worker["metadata"]["creationTimestamp"])
    wait_until(
        lambda: status_of(reports, "pulse").get("lastRun", {}).get("state") == "SUCCESS",
        "the report",
        timeout_s=120,
    )
    run = status_of(reports, "pulse")["lastRun"]
    assert made < datetime.fromisoformat(run["scheduledTime"]), "it was woken by the message only"

    reports.namespace.kubectl("annotate", "bs/nightly", "windlass.dev/trigger=now")
    wait_until(
        lambda: status_of(reports, "nightly").get("lastRun", {}).get("state") == "SUCCESS",
        "the report by hand",
        timeout_s=120,
    )
    status = status_of(reports, "nightly")
    assert (status["triggered"], status["lastTrigger"]) == (1, "now")
    assert len(reports.events("ScheduleTriggered")) == 1


@pytest.mark.long
def test_every_time_is_run_once_while_the_leader_is_killed(
    cluster: Access,
    cluster_provider: Provider,
    operator_release: Release,
    application: Application,
) -> None:
    application.namespace.apply(
        {"apiVersion": API, "kind": "TaskQueue", "metadata": {"name": "counts"}},
        {
            "apiVersion": API, "kind": "WorkerPool", "metadata": {"name": "counts"},
            "spec": {"app": "job", "image": application.image, "queues": [{"name": "counts"}],
                     "replicas": 1},
        },
        {
            "apiVersion": API, "kind": "BeatSchedule", "metadata": {"name": "each-second"},
            "spec": {"every": "1s", "catchUp": "All", "maxRuns": _ALL, "task": "job.count",
                     "queueRef": {"name": "counts"}},
        },
    )  # fmt: skip
    wait_until(
        lambda: status_of(application, "each-second").get("fired", 0) >= _BEFORE,
        "the first times",
        timeout_s=90,
    )
    leader = operator_release.leader()
    body = operator_release.namespace.get(f"pod/{leader}")
    kill_process_one(operator_release.namespace, body, cluster_provider.python_image())

    def is_over() -> bool:
        status = status_of(application, "each-second")
        return status.get("fired") == _ALL and status.get("active") == 0

    wait_until(is_over, "all times, and all runs", timeout_s=180)
    application.start("reader", _READER, queue="counts")
    counts = application.answer("reader", timeout_s=60)

    assert set(counts.values()) == {"1"}
    times = sorted(map(datetime.fromisoformat, counts))
    gaps = {later - earlier for earlier, later in pairwise(times)}
    assert len(times) == _ALL
    assert gaps == {timedelta(seconds=1)}
    assert status_of(application, "each-second")["missed"] == 0
