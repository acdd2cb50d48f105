"""What a step of a chain costs the broker, and that its trip holds up nothing."""

from __future__ import annotations

import signal

from waiting import eventually
from windlass import Windlass, chain
from windlass.contrib.testing.worker import start_worker
from windlass.runtime import traffic

STEPS = 100


def run_chain(app, length=STEPS):
    steps = [app.signature("worker_tasks.add", (1,)) for _ in range(length - 1)]
    return chain(app.signature("worker_tasks.add", (0, 1)), *steps).apply_async()


def test_a_step_of_a_chain_is_one_script_call(redis_server, monkeypatch):
    # Every ten milliseconds a fetch looks at the queues instead: how many that are depends on the
    # machine, so here it comes once.
    monkeypatch.setattr(traffic, "STEPS_S", 600.0)
    monkeypatch.setattr(traffic, "FEW_STEPS_S", 600.0)
    url = redis_server.url
    with Windlass("steps", broker=url, backend=url, set_as_current=False) as app:
        add = app.task(name="add")(lambda x, y: x + y)
        client = redis_server.client()
        with start_worker(app):
            assert add.delay(1, 1).get(timeout=60) == 2
            client.config_resetstat()
            steps = [add.s(1) for _ in range(STEPS - 1)]
            assert chain(add.s(0, 1), *steps).delay().get(timeout=60) == STEPS
            calls = client.info("commandstats")

    # With those of who sends and waits, and of a worker that has nothing to do.
    assert calls["cmdstat_evalsha"]["calls"] < STEPS + 20
    assert sum(each["calls"] for each in calls.values()) < 40 * STEPS, "what scripts do, too"


def test_chains_beside_each_other_and_beside_other_work_all_end(app, start_worker):
    start_worker("-c", "2", lease_s=15)
    chains = [run_chain(app, 20) for _ in range(5)]
    others = [app.send_task("worker_tasks.add", [n, n]) for n in range(50)]

    assert [each.get(timeout=60) for each in chains] == [20] * 5
    assert [each.get(timeout=60) for each in others] == [2 * n for n in range(50)]


def test_a_chain_does_not_hold_up_what_other_queues_have(app, start_worker):
    start_worker("-c", "1", "-Q", "default,other", lease_s=15)
    long = run_chain(app, 400)
    other = app.send_task("worker_tasks.add", [1, 1], queue="other")
    later = app.send_task("worker_tasks.add", [2, 2], queue="other", countdown=0.1)

    assert other.get(timeout=60) == 2
    assert later.get(timeout=60) == 4
    assert long.get(timeout=60) == 400


def test_a_broker_that_hangs_in_the_middle_of_a_chain_holds_up_no_signal(app, start_worker, server):
    worker = start_worker("-c", "1", lease_s=30)
    result = run_chain(app, 1000)
    client = server.client()
    eventually(lambda: client.info("commandstats")["cmdstat_evalsha"]["calls"] > 100)
    server.pause()
    try:
        worker.send(signal.SIGTERM)
        eventually(lambda: "worker_draining" in worker.log())
    finally:
        server.resume()
    assert worker.wait() == 0

    start_worker("-c", "1", lease_s=30)
    assert result.get(timeout=60) == 1000
