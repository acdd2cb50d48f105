"""What a step of a chain costs the broker, and that its trip holds up nothing."""

from __future__ import annotations

import signal

import pytest

from waiting import eventually
from windlass import chain

STEPS = 50


def run_chain(app, length=STEPS):
    steps = [app.signature("worker_tasks.add", (1,)) for _ in range(length - 1)]
    return chain(app.signature("worker_tasks.add", (0, 1)), *steps).apply_async()


def script_calls(app, client):
    """Scripts that were called while a chain ran, those of the one who waits for it included."""
    client.config_resetstat()
    assert run_chain(app).get(timeout=60) == STEPS
    return client.info("commandstats")["cmdstat_evalsha"]["calls"]


def until_within(limit, measure, most=30):
    """Yield what is measured, up to the first that is within the limit."""
    for _ in range(most):
        yield (found := measure())
        if found <= limit:
            return


@pytest.mark.parametrize("lanes", ["1", "2"])
def test_a_step_of_a_chain_is_about_one_script_call(app, start_worker, server, lanes):
    start_worker("-c", lanes, lease_s=15)
    client = server.client()

    # A look at the queues costs one more, and is due every ten milliseconds: how many of those
    # there are depends on the machine's moment, so the best of some chains counts.
    fewest = min(until_within(1.5 * STEPS, lambda: script_calls(app, client)))
    assert fewest <= 1.5 * STEPS


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
        eventually(lambda: "worker_draining" in worker.log(), timeout=4)
    finally:
        server.resume()
    assert worker.wait() == 0

    start_worker("-c", "1", lease_s=30)
    assert result.get(timeout=60) == 1000
