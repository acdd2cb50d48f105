"""Every example, as its README says."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest
import yaml

from operator_release import EXAMPLES
from side_by_side import Stage, side_by_side
from windlass_cluster.commands import wait_until

pytestmark = pytest.mark.e2e


def _fetch(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(url, data=data, timeout=30) as answer:
        return json.load(answer)


@pytest.mark.long
@side_by_side
def test_02_web_app_enqueues_by_its_binding(stage: Stage) -> None:
    shop = stage.example("02-web-app", "queue.yaml")
    (web, service) = yaml.safe_load_all((EXAMPLES / "02-web-app" / "web.yaml").read_text())
    web["spec"]["template"]["spec"]["containers"][0]["image"] = shop.image
    shop.namespace.apply(web, service)
    shop.namespace.rollout("deployment/web")

    with shop.namespace.forwarded("service/web", 80) as port:
        orders = f"http://127.0.0.1:{port}/orders"
        order = _fetch(orders, {"customer": "Ann", "cents": 1250})
        states = []

        def is_billed() -> bool:
            states.append(_fetch(f"{orders}/{order['id']}"))
            return "bill" in states[-1]

        wait_until(is_billed, "a bill", timeout_s=300)

    assert states[0] == {"state": "PENDING"}
    assert states[-1] == {"state": "SUCCESS", "bill": "Ann pays 12.50"}


@side_by_side
def test_03_urgent_work_and_high_priority_overtake_bulk(stage: Stage) -> None:
    letters = stage.example("03-priorities", "queue.yaml")
    letters.start(
        "send",
        """
        import json
        from tasks import alarm, newsletter

        many = newsletter.send_many([(n,) for n in range(200)])
        sooner = newsletter.apply_async((0,), priority=9)
        urgent = alarm.delay("fire").get(timeout=280)
        high = sooner.get(timeout=280)
        last = max(result.get(timeout=280) for result in many)
        print("SAID", json.dumps([urgent < last, high < last]))
        """,
        queue="bulk",
    )

    assert letters.answer("send", timeout_s=300) == [True, True]


@pytest.mark.long
@side_by_side
def test_04_scheduled_task_finds_a_worker_that_was_not_there_before(stage: Stage) -> None:
    reminders = stage.example("04-scheduled-at-zero", "queue.yaml")
    reminders.start(
        "send",
        """
        import json, time
        from tasks import remind

        result = remind.apply_async(("call Ann",), countdown=30)
        due = time.time() + 30
        print("SENT", flush=True)
        print("SAID", json.dumps(result.get(timeout=280) - due))
        """,
        queue="reminders",
    )
    wait_until(lambda: "SENT" in reminders.lines("send"), "the task to be sent", timeout_s=300)
    wait_until(
        lambda: reminders.namespace.get("taskqueue/reminders")["status"].get("scheduled") == 1,
        "the queue to say so",
        timeout_s=300,
    )
    assert reminders.workers("reminders") == []

    late_s = reminders.answer("send", timeout_s=300)

    # Never early but for the time that sending took; and the worker was there.
    assert late_s > -1
    assert len(reminders.workers("reminders")) == 1


@pytest.mark.long
@side_by_side
def test_05_release_stops_nobody_at_work(stage: Stage) -> None:
    films = stage.example("05-long-tasks-rollout", "queue.yaml")
    films.namespace.wait("workerpool/films", until="condition=Ready", timeout_s=300)
    films.start(
        "send",
        """
        import json, time
        from tasks import render

        long = render.delay(25)
        while long.state != "STARTED":
            time.sleep(0.1)
        print("STARTED", flush=True)
        print("SAID", json.dumps(long.get(timeout=280)))
        """,
        queue="films",
    )
    wait_until(lambda: "STARTED" in films.lines("send"), "the film to be begun", timeout_s=300)
    (before,) = films.workers("films")
    path = "/spec/podTemplate/spec/containers/0/env/0/value"
    patch = [{"op": "replace", "path": path, "value": "2"}]
    films.namespace.kubectl("patch", "wp/films", "--type=json", "-p", json.dumps(patch))

    assert films.answer("send", timeout_s=300) == ["1", 0, 0]

    # It went as soon as it was done and the new version was there, however long that takes here.
    films.namespace.wait(f"pod/{before['metadata']['name']}", until="delete", timeout_s=300)
    films.start(
        "again",
        """
        import json
        from tasks import render
        print("SAID", json.dumps(render.delay(0).get(timeout=280)))
        """,
        queue="films",
    )
    assert films.answer("again", timeout_s=300) == ["2", 0, 0]
    wait_until(lambda: films.events("OldVersionDrained") != [], "the event", timeout_s=300)
    deployments = films.namespace.get("deployments", "--selector=windlass.dev/pool=films")
    assert len(deployments["items"]) == 1


@pytest.mark.long
@side_by_side
def test_06_kubectl_scale_and_an_hpa_decide(stage: Stage) -> None:
    sums = stage.example("06-manual-hpa", "queue.yaml")
    sums.namespace.wait("workerpool/sums", until="condition=Ready", timeout_s=300)
    sums.wait_replicas("sums", 1, timeout_s=300)

    sums.namespace.kubectl("scale", "wp/sums", "--replicas=2")
    sums.wait_replicas("sums", 2, timeout_s=300)

    sums.apply_file(EXAMPLES / "06-manual-hpa" / "hpa.yaml")
    # Its minimum counts without any metric.
    sums.wait_replicas("sums", 3, timeout_s=300)
    sums.namespace.kubectl("delete", "hpa/sums")
    sums.namespace.kubectl("scale", "wp/sums", "--replicas=0")
    sums.wait_replicas("sums", 0, timeout_s=300)


@pytest.mark.long  # and of no use where other work leaves its pods no processor to use
@side_by_side
def test_06_hpa_scales_by_load(stage: Stage) -> None:
    """The HPA reads the CPU of the pool's pods by status.selector, and writes the scale."""
    if not stage.has_metrics:
        pytest.skip("nothing measures pods here")
    sums = stage.example("06-manual-hpa", "queue.yaml", "hpa.yaml")
    sums.wait_replicas("sums", 3, timeout_s=300)
    sums.start(
        "load",
        """
        from tasks import add
        while True:
            for result in add.send_many([(n, n) for n in range(200)]):
                result.get(timeout=280)
        """,
        queue="sums",
    )
    sums.wait_replicas("sums", 4, timeout_s=300)
    assert sums.pool("sums")["spec"]["replicas"] == 4
    status = sums.namespace.get("hpa/sums")["status"]
    (metric,) = status["currentMetrics"]
    assert metric["resource"]["current"]["averageUtilization"] > 0
    conditions = {one["type"]: one["status"] for one in status["conditions"]}
    assert conditions["ScalingActive"] == "True"
