"""An idle worker costs next to nothing, and wakes at once."""

from __future__ import annotations

import time

from waiting import eventually

#: What scripts run inside is not sent by anybody.
SENT = ("evalsha", "blpop", "publish", "get", "ping", "subscribe", "client|unblock")


def test_idle_worker_asks_the_broker_for_little(app, start_worker, server):
    start_worker("-c", "2", lease_s=15)
    assert app.send_task("worker_tasks.add", [1, 1]).get(timeout=10) == 2
    seconds = 6  # more than one wait of the worker, so that all its timers are in it
    client = server.client()
    before = sent(client)
    deadline = time.monotonic() + seconds
    eventually(lambda: time.monotonic() > deadline)

    assert 0 < sent(client) - before < 5 * seconds


def sent(client):
    stats = client.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in SENT)


def test_scheduled_message_starts_when_it_is_due_on_an_idle_worker(app, start_worker, marks):
    start_worker("-c", "1")
    app.send_task("worker_tasks.add", [1, 1]).get(timeout=10)
    result = app.send_task("worker_tasks.quick", ["a"], countdown=0.5)

    assert result.stage == "SCHEDULED"
    assert result.get(timeout=10) == "a"
