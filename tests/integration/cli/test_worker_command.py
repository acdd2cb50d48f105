"""`windlass worker` as a process: flags, banner, probes, errors, signals."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket

import pytest

from commands import Project, Running
from waiting import eventually
from windlass import Windlass

JSON = {"WINDLASS_LOG_STYLE": "json"}
HUMAN = {"WINDLASS_LOG_STYLE": "human"}


@pytest.fixture
def client(shop: Project):
    app = Windlass("client", broker=shop.broker, backend=shop.broker, set_as_current=False)
    yield app
    app.close()


def records(running: Running) -> list[dict]:
    return [json.loads(line) for line in running.output().splitlines() if line.startswith("{")]


def record(running: Running, event: str) -> dict:
    running.says(f'"event":"{event}"')
    return next(entry for entry in records(running) if entry["event"] == event)


def ask(running: Running, path: str) -> tuple[int, str]:
    probes = record(running, "probes_started")
    link = http.client.HTTPConnection(probes["host"], probes["port"], timeout=10)
    link.request("GET", path)
    answer = link.getresponse()
    body = answer.read().decode()
    link.close()
    return answer.status, body


@pytest.mark.parametrize(
    "order",
    [("-A", "shop", "worker"), ("worker", "-A", "shop")],
    ids=["app before", "app after"],
)
def test_worker_runs_tasks_and_stops_on_term(shop: Project, client: Windlass, order) -> None:
    worker = shop.start(*order, "-c", "1", env=JSON)
    worker.says("worker_started")

    assert client.send_task("shop.add", (1, 2)).get(timeout=20) == 3
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    worker.says("worker_stopped")


def test_app_may_come_from_the_environment(shop: Project) -> None:
    worker = shop.start("worker", "-c", "1", env={**JSON, "WINDLASS_APP": "shop:app"})

    assert record(worker, "worker_configured")["app"] == "shop:app"


def test_banner_says_where_each_value_came_from(shop: Project) -> None:
    env = {**HUMAN, "WINDLASS_KEYSPACE": "team-a"}
    worker = shop.start("worker", "-A", "shop", "-c", "1", "-Q", "mail,bulk", env=env)
    banner = worker.says("worker_started")

    assert re.search(r"broker +redis://127\.\S+ +\[environment WINDLASS_BROKER_URL\]", banner)
    assert re.search(r"results +redis:// +\[argument backend=\]", banner)
    assert re.search(r"keyspace +team-a +\[environment WINDLASS_KEYSPACE\]", banner)
    assert re.search(r"queues +mail, bulk +\[flag --queues\]", banner)
    assert re.search(r"concurrency +1 +\[flag --concurrency\]", banner)
    assert re.search(r"pool +prefork +\[default\]", banner)
    assert "3 tasks\n    shop.add\n" in banner


def test_banner_shows_no_password(shop: Project) -> None:
    url = "redis://:s3cret@127.0.0.1:1/0"
    worker = shop.start("worker", "-A", "shop", "-c", "1", "-b", url, env=HUMAN)
    output = worker.says("broker_connection_lost")

    assert "redis://:***@127.0.0.1:1/0" in output
    assert "s3cret" not in output


def test_in_a_pod_every_line_is_json(shop: Project, client: Windlass) -> None:
    worker = shop.start("worker", "-A", "shop", "-c", "1", "-l", "info", "-E")
    sent = client.send_task("shop.add", (1, 2))
    assert sent.get(timeout=20) == 3
    worker.signal(signal.SIGTERM)
    worker.wait()

    entries = [json.loads(line) for line in worker.output().splitlines()]
    by_event = {entry["event"]: entry for entry in entries}
    assert by_event["adding 1"]["message_id"] == sent.id
    assert by_event["adding 1"]["task"] == "shop.add"
    assert by_event["task_succeeded"]["message_id"] == sent.id
    assert by_event["flag_ignored"]["reason"].startswith("--task-events means nothing here")
    assert "flag --concurrency" in by_event["worker_configured"]["concurrency"]


def test_without_a_level_tasks_that_succeed_are_not_logged(shop: Project, client: Windlass) -> None:
    worker = shop.start("worker", "-A", "shop", "-c", "1", env=JSON)
    assert client.send_task("shop.add", (1, 2)).get(timeout=20) == 3
    failed = client.send_task("shop.fail")
    with pytest.raises(ValueError, match="out of paper"):
        failed.get(timeout=20)

    entry = record(worker, "task_failed")
    assert entry["message_id"] == failed.id
    assert "ValueError: out of paper" in entry["exception"]
    assert "task_succeeded" not in worker.output()


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--without-gossip", "--without-mingle"), ["do not gossip", "do not mingle"]),
        (("--prefetch-multiplier", "1", "-O", "fair"), ["leases what it can", "gets its work"]),
        (("-S", "x.db"), ["kept on the broker"]),
    ],
)
def test_celerys_other_flags_are_accepted_with_a_word(shop: Project, flags, says) -> None:
    worker = shop.start("worker", "-A", "shop", "-c", "1", *flags, env=JSON)
    worker.says("worker_started")

    for words in says:
        assert words in worker.output()


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("-D",), "systemd"),
        (("--detach",), "Kubernetes"),
        (("--autoscale", "10,3"), "WorkerPool"),
        (("-P", "gevent"), "Expected: -P asyncio"),
        (("-P", "eventlet"), "or -P threads"),
        (("-P", "forks"), "Expected one of: prefork, threads, asyncio, solo"),
        (("-c", "0"), "x>=1"),
        (("-l", "LOUD"), "debug"),
        (("--health-port", "70000"), "0<=x<=65535"),
    ],
)
def test_what_cannot_be_done_is_refused_with_what_to_use(shop: Project, flags, says: str) -> None:
    answer = shop.run("worker", "-A", "shop", *flags)

    assert answer.returncode == 2
    assert says in answer.stderr
    assert "Traceback" not in answer.stderr


def test_worker_without_an_app_says_what_to_do(shop: Project) -> None:
    answer = shop.run("worker")

    assert answer.returncode == 2
    assert "-A shop.tasks" in answer.stderr


def test_app_that_fails_to_import_shows_the_line(shop: Project) -> None:
    shop.write("broken.py", "from windlass import Windlass\nimport no_such_library\n")
    answer = shop.run("worker", "-A", "broken")

    assert answer.returncode == 1
    assert "No module named 'no_such_library'" in answer.stderr
    where, first, *_ = answer.stderr.splitlines()
    assert where == "Traceback (most recent call last):"
    assert first.endswith('broken.py", line 2, in <module>')
    assert "/windlass/" not in answer.stderr
    assert "importlib" not in answer.stderr


def test_task_module_that_fails_to_import_shows_its_traceback_alone(shop: Project) -> None:
    shop.write("more.py", "def load():\n    raise KeyError('paper')\n\n\nload()\n")
    answer = shop.run("worker", "-A", "shop", "-I", "more")

    assert answer.returncode == 1
    assert 'more.py", line 5, in <module>' in answer.stderr
    assert 'more.py", line 2, in load' in answer.stderr
    assert answer.stderr.splitlines()[-1] == "KeyError: 'paper'"
    assert "/windlass/" not in answer.stderr


def test_wrong_setting_is_one_message(shop: Project) -> None:
    shop.write(
        "wrong.py", "from windlass import Windlass\napp = Windlass('w', task_serialiser='x')"
    )
    answer = shop.run("worker", "-A", "wrong")

    assert answer.returncode == 1
    assert "task_serializer" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_solo_pool_refuses_a_hard_limit(shop: Project) -> None:
    answer = shop.run("worker", "-A", "shop", "-P", "solo", "--time-limit", "5")

    assert answer.returncode == 1
    assert "solo cannot honour a hard time limit" in answer.stderr


def test_excluding_every_queue_is_refused(shop: Project) -> None:
    answer = shop.run("worker", "-A", "shop", "-X", "default")

    assert answer.returncode == 1
    assert "No queue is left to serve" in answer.stderr


def test_worker_serves_only_the_queues_that_are_left(shop: Project, client: Windlass) -> None:
    worker = shop.start("worker", "-A", "shop", "-c", "1", "-Q", "a,b", "-X", "b", env=JSON)
    worker.says("worker_started")
    other = client.send_task("shop.add", (1, 1), queue="b")
    assert client.send_task("shop.add", (2, 2), queue="a").get(timeout=20) == 4

    assert str(other.stage) == "QUEUED"


@pytest.mark.parametrize("pool", ["prefork", "processes", "threads", "asyncio", "solo"])
def test_every_pool_runs_tasks(shop: Project, client: Windlass, pool: str) -> None:
    shop.start("worker", "-A", "shop", "-c", "2", "-P", pool, env=JSON)
    sent = [client.send_task("shop.add", (n, n)) for n in range(5)]

    assert [each.get(timeout=20) for each in sent] == [0, 2, 4, 6, 8]


def test_purge_flag_drops_what_waits_before_it_starts(shop: Project, client: Windlass) -> None:
    old = client.send_task("shop.add", (1, 2))
    worker = shop.start("worker", "-A", "shop", "-c", "1", "--purge", env=JSON)

    assert record(worker, "messages_purged")["count"] == 1
    assert client.send_task("shop.add", (2, 2)).get(timeout=20) == 4
    assert str(old.stage) == "UNKNOWN"


def test_include_imports_more_tasks(shop: Project, client: Windlass) -> None:
    shop.write("more.py", "from shop import app\n\n@app.task\ndef twice(x):\n    return 2 * x\n")
    shop.start("worker", "-A", "shop", "-c", "1", "-I", "more", env=JSON)

    assert client.send_task("more.twice", (4,)).get(timeout=20) == 8


def test_probes_and_metrics_are_served_on_request(shop: Project, client: Windlass) -> None:
    worker = shop.start("worker", "-A", "shop", "-c", "1", "--health-port", "0", env=JSON)
    assert client.send_task("shop.add", (1, 2)).get(timeout=20) == 3

    assert record(worker, "probes_started")["host"] == "127.0.0.1"
    assert ask(worker, "/livez") == (200, "ok\n")
    eventually(lambda: ask(worker, "/readyz") == (200, "ok\n"))
    wanted = 'windlass_tasks_total{queue="default",state="succeeded",task="shop.add"} 1.0'
    eventually(lambda: wanted in ask(worker, "/metrics")[1])


def test_draining_worker_is_alive_and_not_ready(shop: Project, client: Windlass) -> None:
    worker = shop.start("worker", "-A", "shop", "-c", "1", "--health-port", "0", env=JSON)
    slow = client.send_task("shop.nap", (2,))
    eventually(lambda: "windlass_worker_slots_busy 1.0" in ask(worker, "/metrics")[1])
    worker.signal(signal.SIGTERM)
    worker.says("worker_draining")

    assert ask(worker, "/readyz") == (503, "draining\n")
    assert ask(worker, "/livez")[0] == 200
    assert worker.wait() == 0
    assert slow.state == "SUCCESS"


def test_broker_that_is_away_makes_it_unready_and_never_dead(shop: Project) -> None:
    worker = shop.start(
        "worker", "-A", "shop", "-c", "1", "--health-port", "0", "-b", "redis://127.0.0.1:1/0",
        env=JSON,
    )  # fmt: skip

    assert ask(worker, "/livez")[0] == 200
    assert ask(worker, "/readyz")[0] == 503


def test_taken_health_port_is_one_message_and_leaves_no_process(shop: Project) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        worker = shop.start("worker", "-A", "shop", "-c", "1", "--health-port", port)
        code = worker.wait()

    assert code == 1
    assert "Choose another --health-port" in worker.output()
    assert "Traceback" not in worker.output()
    eventually(lambda: not group_is_alive(worker.process.pid))


def group_is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_pidfile_is_held_while_it_runs(shop: Project) -> None:
    path = shop.folder / "w.pid"
    worker = shop.start("worker", "-A", "shop", "-c", "1", "--pidfile", str(path), env=JSON)
    worker.says("worker_started")
    second = shop.run("worker", "-A", "shop", "--pidfile", str(path))

    assert int(path.read_text()) == worker.process.pid
    assert second.returncode == 1
    assert "holds it and is alive" in second.stderr
    worker.signal(signal.SIGTERM)
    worker.wait()
    assert not path.exists()


def test_logfile_takes_the_log(shop: Project) -> None:
    path = shop.folder / "worker.log"
    worker = shop.start("worker", "-A", "shop", "-c", "1", "-q", "-f", str(path))
    eventually(lambda: path.exists() and "worker_started" in path.read_text())

    assert worker.output() == ""


def test_name_of_the_worker_is_expanded(shop: Project) -> None:
    worker = shop.start("worker", "-A", "shop", "-c", "1", "-n", "w1@%h", env=JSON)

    assert f"w1@{socket.gethostname()}" in record(worker, "worker_started")["worker_id"]


def test_app_runs_its_own_worker_from_python(shop: Project, client: Windlass) -> None:
    shop.write(
        "run.py",
        "import sys\nfrom shop import app\nsys.exit(app.worker_main(['worker', '-c', '1']))",
    )
    worker = shop.start_python("run.py", env=JSON)
    worker.says("worker_started")

    assert client.send_task("shop.add", (1, 2)).get(timeout=20) == 3
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
