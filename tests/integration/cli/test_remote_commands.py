"""inspect, control, status, call, result and report, as a user runs them."""

from __future__ import annotations

import json

import pytest

from commands import Project

NODE = "w@here"


@pytest.fixture
def worker(shop: Project):
    running = shop.start("worker", "-A", "shop", "-c", "1", "-n", NODE, "-l", "INFO")
    running.says("worker_started")
    return running


def test_workers_are_inspected_changed_and_stopped(shop: Project, worker) -> None:
    assert shop.run("status").stdout == f"{NODE}: pong\n"
    registered = json.loads(shop.run("inspect", "registered", "--json").stdout)
    assert registered == {NODE: ["shop.add", "shop.fail", "shop.nap"]}
    assert shop.run("inspect", "reserved").stdout == f"{NODE}: nothing\n"
    assert "'shop.napp'" not in shop.run("inspect", "registered").stdout
    limited = shop.run("control", "rate_limit", "shop.add", "10/s")
    assert limited.stdout == f"{NODE}: new rate limit set successfully\n"
    assert "shop.add [rate_limit=10/s]" in shop.run("inspect", "registered", "rate_limit").stdout
    refused = shop.run("control", "rate_limit", "shop.napp", "10/s")
    assert refused.returncode == 1
    assert "Did you mean 'shop.nap'" in refused.stdout
    assert shop.run("control", "pool_grow", "2").stdout == f"{NODE}: pool will grow\n"
    stats = json.loads(shop.run("inspect", "stats", "-j").stdout)[NODE]
    assert stats["pool"]["max-concurrency"] == 3

    assert shop.run("control", "shutdown", "-d", NODE).returncode == 0
    assert worker.wait() == 0


def test_nobody_to_answer_is_an_exit_code_of_its_own(shop: Project) -> None:
    answer = shop.run("inspect", "ping")

    assert answer.returncode == 69
    assert "No worker answered" in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("inspect", "activ"), "Did you mean 'active'?"),
        (("control", "pool_grow", "1", "2"), "pool_grow takes [N]"),
        (("control", "time_limit", "shop.add"), "time_limit takes TASK_NAME SOFT [HARD]"),
        (("call", "shop.add", "-a", "{}"), "Expected e.g. [1, 2]"),
        (("call", "shop.add", "-k", "[1"), "is not JSON"),
        (("call", "shop.add", "--eta", "soon"), "is no time"),
    ],
)
def test_wrong_usage_says_what_is_right(shop: Project, arguments, says: str) -> None:
    answer = shop.run(*arguments)

    assert answer.returncode == 2
    assert says in answer.stderr


def test_task_is_called_and_its_result_shown(shop: Project, worker) -> None:
    added = shop.run("-A", "shop", "call", "shop.add", "-a", "[1]", "-k", '{"y": 2}').stdout.strip()
    result = shop.run("-A", "shop", "result", added)
    assert (result.returncode, result.stdout) == (0, "3\n")

    failed = shop.run("-A", "shop", "call", "shop.fail").stdout.strip()
    result = shop.run("-A", "shop", "result", failed)
    assert (result.returncode, result.stderr) == (1, "ValueError: out of paper\n")
    result = shop.run("-A", "shop", "result", failed, "--traceback")
    assert "Traceback" in result.stdout

    later = shop.run("-A", "shop", "call", "shop.add", "--countdown", "600").stdout.strip()
    result = shop.run("-A", "shop", "result", later, "--timeout", "0.1")
    assert (result.returncode, "not ready within 0.1 s" in result.stderr) == (1, True)
    result = shop.run("-A", "shop", "result", "never-sent")
    assert (result.returncode, "unknown here" in result.stderr) == (1, True)


def test_report_names_each_setting_and_its_origin_and_no_password(shop: Project) -> None:
    env = {"WINDLASS_BROKER_URL": "redis://user:hunter2@nowhere/0"}
    answer = shop.run("-A", "shop", "report", env=env)

    assert answer.returncode == 0
    assert "windlass:0." in answer.stdout
    assert "shop.add, shop.fail, shop.nap" in answer.stdout
    assert "environment WINDLASS_BROKER_URL" in answer.stdout
    assert "hunter2" not in answer.stdout
    rows = json.loads(shop.run("report", "--json", "--defaults", env=env).stdout)
    assert {"name": "worker_pool", "value": "prefork", "origin": "default"} in rows
    assert "hunter2" not in json.dumps(rows)


def test_shell_completion_knows_commands_options_and_methods(shop: Project) -> None:
    def completed(words: str, at: int) -> str:
        env = {"_WINDLASS_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(at)}
        script = "from windlass.cli.main import main; main([])"
        running = shop.start_python("-c", script, env=env)
        running.wait()
        return running.output()

    assert "plain,queues" in completed("windlass q", 1)
    assert "plain,active_queues" in completed("windlass inspect act", 2)
    assert "plain,pool_shrink" in completed("windlass control pool", 2)
    assert "--concurrency" in completed("windlass worker --con", 2)
