"""inspect and control on a real worker: shapes, effects, busy slots, nothing left on the broker."""

from __future__ import annotations

import signal
import time

import pytest

from redis_server import RedisServer
from waiting import eventually
from windlass import Windlass
from windlass.control_plane import heartbeats
from windlass.control_plane.users import user_rules
from windlass.exceptions import SoftTimeLimitExceeded, TaskRevokedError, TimeLimitExceeded
from windlass.redis_store.resp import packed

NODE = "node-1@here"


def ok(replies):
    """The text of the only worker's answer to an order."""
    assert len(replies) == 1, replies
    return replies[0][NODE]["ok"]


def slots_of(app):
    return app.control.inspect().stats()[NODE]["pool"]["max-concurrency"]


def test_busy_worker_says_what_runs_what_waits_and_what_is_scheduled(app, start_worker, marks):
    start_worker("-c", "1", "-n", NODE)
    running = app.send_task("worker_tasks.hold", ["a"])
    marks.began("a")
    later = app.send_task("worker_tasks.add", [1, 2], countdown=3600, priority=3)
    ask = app.control.inspect()

    assert ask.ping() == {NODE: {"ok": "pong"}}
    (active,) = ask.active()[NODE]
    assert (active["id"], active["name"]) == (running.id, "worker_tasks.hold")
    assert (active["args"], active["kwargs"]) == (["a"], {})
    assert active["hostname"] == NODE
    assert list(active) == [  # as Celery 5.7's
        "id", "name", "args", "kwargs", "type", "hostname", "time_start", "acknowledged",
        "delivery_info", "worker_pid",
    ]  # fmt: skip
    assert 0 <= time.time() - active["time_start"] < 60
    assert active["worker_pid"] == marks.pids("a.began")[0]
    assert active["delivery_info"]["routing_key"] == "default"
    assert ask.reserved() == {NODE: []}
    (waiting,) = ask.scheduled()[NODE]
    assert waiting["request"]["id"] == later.id
    assert waiting["request"]["args"] == [1, 2]
    assert waiting["priority"] == 3
    found = ask.query_task(running.id, later.id)[NODE]
    assert list(found) == [running.id]
    assert found[running.id][0] == "active"
    assert "worker_tasks.hold" in ask.registered()[NODE]
    assert "worker_tasks.limited [rate_limit=20/s]" in ask.registered("rate_limit")[NODE]
    assert [queue["name"] for queue in ask.active_queues()[NODE]] == ["default"]
    stats = ask.stats()[NODE]
    assert stats["pool"]["max-concurrency"] == 1
    assert stats["pool"]["processes"] == [active["worker_pid"]]
    assert "worker_concurrency: 1 (flag --concurrency)" in ask.report()[NODE]["ok"]
    app.control.revoke("never-sent")
    assert ask.revoked() == {NODE: ["never-sent"]}
    marks.go("a")


def test_message_that_waits_in_a_slot_is_reserved(app, start_worker, marks, measure):
    start_worker("-c", "1", "-n", NODE)
    measure("worker_tasks.hold")
    calls = [app.signature("worker_tasks.hold", args=[name]) for name in "ab"]
    first, second = app.send_many(calls)
    marks.began("a")

    ids = [info["id"] for info in app.control.inspect().reserved()[NODE]]
    # After a second what waits behind a long run goes back to the broker.
    assert ids in ([second.id], [])
    assert app.control.inspect().query_task([first.id])[NODE][first.id][0] == "active"
    marks.go("a")
    marks.go("b")


def test_calls_leave_nothing_on_the_broker(app, start_worker, redis_client):
    start_worker("-c", "1", "-n", NODE)

    def kept():  # the marks of a waiting worker come and go
        return {key for key in redis_client.keys("*") if not key.endswith(b":idle")}

    before = kept()
    for _ in range(20):
        app.control.inspect().stats()
    app.control.ping()

    eventually(lambda: redis_client.pubsub_channels("*answers*") == [])
    assert kept() == before


def test_remote_control_can_be_switched_off_and_revokes_are_heard_all_the_same(
    app, start_worker, marks
):
    start_worker("-c", "1", "-n", NODE, WINDLASS_WORKER_ENABLE_REMOTE_CONTROL="false")
    result = app.send_task("worker_tasks.hold", ["a"])
    marks.began("a")

    assert app.control.inspect(timeout=0.2).ping() is None
    result.revoke(terminate=True)
    with pytest.raises(TaskRevokedError):
        result.get(timeout=10)


def test_nobody_there_is_none_at_once(app, start_worker):
    assert app.control.inspect(timeout=30).ping() is None
    assert app.control.ping(timeout=30) == []
    start_worker("-c", "1", "-n", NODE)

    assert app.control.inspect(destination=["another@host"], timeout=30).ping() is None
    assert app.control.inspect(pattern="another*", timeout=30).ping() is None


def test_worker_that_stands_still_is_waited_for_no_longer_than_asked(app, start_worker):
    start_worker("-c", "1", "-n", NODE)
    frozen = start_worker("-c", "1", "-n", "node-2@here")
    frozen.send(signal.SIGSTOP)

    assert app.control.inspect(timeout=0.3).ping() == {NODE: {"ok": "pong"}}
    frozen.send(signal.SIGCONT)


def test_only_those_meant_answer(app, start_worker):
    start_worker("-c", "1", "-n", NODE)
    start_worker("-c", "1", "-n", "node-2@here")
    both = {NODE, "node-2@here"}
    ask = app.control.inspect

    assert set(ask().ping()) == both
    assert set(ask(destination=[NODE]).ping()) == {NODE}
    assert set(ask(destination=NODE).ping()) == {NODE}
    worker_id = ask().stats()[NODE]["worker_id"]
    assert set(ask(destination=[worker_id]).ping()) == {NODE}
    assert set(ask(pattern="node-?@here").ping()) == both
    assert set(ask(pattern="node-2*").ping()) == {"node-2@here"}
    assert set(ask(pattern=r"-1@", matcher="pcre").ping()) == {NODE}
    assert len(ask(limit=1).ping()) == 1
    heard = []
    ask(callback=heard.append).ping()
    assert sorted(node for each in heard for node in each) == sorted(both)
    assert sorted(node for each in app.control.ping() for node in each) == sorted(both)


def test_two_workers_of_one_name_both_answer(app, start_worker):
    start_worker("-c", "1", "-n", NODE)
    start_worker("-c", "1", "-n", NODE)

    answers = app.control.inspect(timeout=20).ping()  # ends when both have answered
    assert len(answers) == 2
    assert NODE in answers


def test_bad_commands_are_answered_in_words(app, start_worker):
    start_worker("-c", "1", "-n", NODE)

    def error(command, **arguments):
        return app.control.broadcast(command, arguments, reply=True)[0][NODE]["error"]

    assert "Did you mean 'active'" in error("activ")
    assert "Expected (task_name, rate_limit)" in error("rate_limit", task="x")
    assert "Did you mean 'worker_tasks.hold'" in error(
        "rate_limit", task_name="worker_tasks.hol", rate_limit="1/s"
    )
    assert "rate" in error("rate_limit", task_name="worker_tasks.hold", rate_limit="fast")
    assert "expected seconds" in error("time_limit", task_name="worker_tasks.hold", soft=-1)
    assert "one has to stay" in error("pool_shrink", n=1)
    assert "expected 1 to 1000" in error("pool_grow", n=0)
    assert "SIGHUP" in error("pool_restart", modules=["worker_tasks"])
    assert "queue" in error("add_consumer", queue="no spaces").lower()
    assert app.control.inspect().ping() == {NODE: {"ok": "pong"}}


def test_soft_limit_changes_for_runs_that_begin_later_in_new_slots_too(app, start_worker, marks):
    start_worker("-c", "1", "-n", NODE)
    assert ok(app.control.time_limit("worker_tasks.hold", soft=0.2, reply=True))
    with pytest.raises(SoftTimeLimitExceeded):
        app.send_task("worker_tasks.hold", ["a"]).get(timeout=10)
    pid = app.send_task("worker_tasks.pid").get(timeout=10)
    app.control.pool_restart(reply=True)
    eventually(lambda: app.send_task("worker_tasks.pid").get(timeout=10) != pid)
    with pytest.raises(SoftTimeLimitExceeded):
        app.send_task("worker_tasks.hold", ["b"]).get(timeout=10)


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_hard_limit_changes_at_once(app, start_worker, pool):
    start_worker("-c", "1", "-n", NODE, "-P", pool)
    app.send_task("worker_tasks.quick", ["a"]).get(timeout=10)
    assert ok(app.control.time_limit("worker_tasks.hold", hard=0.2, reply=True))
    with pytest.raises(TimeLimitExceeded):
        app.send_task("worker_tasks.hold", ["a"]).get(timeout=10)


@pytest.mark.parametrize(
    ("task", "put_off"), [("limited", "BLOCKED"), ("limited_here", "SCHEDULED")]
)
def test_rate_limit_is_lifted_and_set_at_once(app, start_worker, task, put_off):
    start_worker("-c", "1", "-n", NODE)
    name = f"worker_tasks.{task}"
    app.send_task(name, [0]).get(timeout=10)
    assert ok(app.control.rate_limit(name, "1/h", reply=True))
    first, second = app.send_many([app.signature(name, args=[n]) for n in (1, 2)])
    eventually(lambda: {first.stage, second.stage} == {"DONE", put_off})

    assert "disabled" in ok(app.control.rate_limit(name, 0, reply=True))
    more = app.send_many([app.signature(name, args=[n]) for n in range(30)])
    assert [each.get(timeout=10) for each in more] == list(range(30))


def test_queue_is_served_and_left_at_once(app, start_worker, depth_of):
    worker = start_worker("-c", "1", "-n", NODE)
    waiting = app.send_task("worker_tasks.add", [1, 2], queue="extra")
    assert ok(app.control.add_consumer("extra", reply=True)) == "add consumer extra"
    assert waiting.get(timeout=10) == 3
    assert "already" in ok(app.control.add_consumer("extra", reply=True))

    def served():
        (status,) = heartbeats.read_workers(app.broker)
        return status.queues

    eventually(lambda: served() == ["default", "extra"])
    assert ok(app.control.cancel_consumer("default", reply=True))
    left = app.send_task("worker_tasks.add", [1, 2])
    assert app.send_task("worker_tasks.add", [3, 4], queue="extra").get(timeout=10) == 7
    assert depth_of("default").open == 1
    assert ok(app.control.cancel_consumer("extra", reply=True))
    assert app.control.inspect().active_queues() == {NODE: []}
    assert ok(app.control.add_consumer("default", reply=True))
    assert left.get(timeout=10) == 3
    assert worker.is_alive


def test_slots_are_added_and_taken_away_and_no_running_task_ends(app, start_worker, marks):
    start_worker("-c", "1", "-n", NODE)
    results = {"a": app.send_task("worker_tasks.hold", ["a"])}
    marks.began("a")
    assert ok(app.control.pool_grow(2, reply=True)) == "pool will grow"
    results |= {name: app.send_task("worker_tasks.hold", [name]) for name in "bc"}
    marks.began("b")
    marks.began("c")
    assert slots_of(app) == 3

    assert ok(app.control.pool_shrink(2, reply=True)) == "pool will shrink"
    assert slots_of(app) == 1
    for name, result in results.items():
        marks.go(name)
        assert result.get(timeout=10) == name
    eventually(lambda: len(app.control.inspect().stats()[NODE]["pool"]["processes"]) == 1)
    assert app.send_task("worker_tasks.add", [1, 2]).get(timeout=10) == 3
    app.control.pool_grow(1)
    eventually(lambda: len(app.control.inspect().stats()[NODE]["pool"]["processes"]) == 2)


def test_pool_in_one_process_says_that_it_cannot_change_its_size(app, start_worker):
    start_worker("-c", "2", "-n", NODE, "-P", "threads")
    (answer,) = app.control.pool_grow(1, reply=True)
    assert "has its slots in one process" in answer[NODE]["error"]


def test_restarted_pool_has_new_processes_and_loses_no_task(app, start_worker, marks):
    start_worker("-c", "1", "-n", NODE)
    held = app.send_task("worker_tasks.hold", ["a"])
    pid = marks.began("a")
    assert ok(app.control.pool_restart(reply=True)) == "reload started"
    marks.go("a")

    assert held.get(timeout=10) == "a"
    assert app.send_task("worker_tasks.pid").get(timeout=10) != pid


def test_events_are_accepted_and_nothing_is_pretended(app, start_worker):
    start_worker("-c", "1", "-n", NODE)
    assert "later version" in ok(app.control.enable_events(reply=True))
    assert "later version" in ok(app.control.disable_events(reply=True))


def test_shut_down_worker_finishes_what_it_runs(app, start_worker, marks):
    worker = start_worker("-c", "1", "-n", NODE)
    held = app.send_task("worker_tasks.hold", ["a"])
    marks.began("a")
    assert ok(app.control.shutdown(destination=[NODE], reply=True)) == "shutting down"
    marks.go("a")

    assert worker.wait() == 0
    assert held.get(timeout=10) == "a"


def test_commands_need_the_credentials_of_the_keyspace(start_redis):
    server: RedisServer = start_redis()
    admin = server.client()
    for name in ("one", "two"):
        admin.execute_command("ACL", "SETUSER", name, *user_rules(name, "secret"))
    urls = {name: server.url.replace("://", f"://{name}:secret@") for name in ("one", "two")}
    with (
        Windlass("one", broker=urls["one"], keyspace="one", set_as_current=False) as own,
        Windlass("two", broker=urls["two"], keyspace="one", set_as_current=False) as foreign,
    ):
        assert own.control.ping() == []
        with pytest.raises(Exception, match="NOPERM"):
            foreign.control.ping()
        with pytest.raises(Exception, match="NOPERM"):
            foreign.control.shutdown()
        with pytest.raises(Exception, match="NOPERM"):
            foreign.broker.links.call([packed("SUBSCRIBE", own.broker.keys.control)])
    admin.close()
