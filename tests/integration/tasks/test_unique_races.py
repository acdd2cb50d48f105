"""Processes that call a unique task at the same moment, on a real Redis."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

import pytest

from redis_server import RedisServer
from windlass import Windlass
from windlass.contrib.testing.worker import start_worker

PROGRAM = """
import json, sys
from windlass import Windlass
from windlass.exceptions import DuplicateTaskError
url, how, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
app = Windlass("race", broker=url, backend=url)

@app.task(name="race.once", unique="done", on_duplicate=how)
def once(n): ...

app.broker.ping()
print("ready", flush=True)
sys.stdin.readline()
won = []
for n in range(rounds):
    try:
        won.append(once.delay(n).id)
    except DuplicateTaskError as error:
        won.append("not:" + error.task_id)
print(json.dumps(won))
app.close()
"""
ROUNDS = 200


def race(url: str, how: str, racers: int = 2) -> list[list[str]]:
    """Let processes make the same calls at the same time; return what each call came to."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, url, how, str(ROUNDS)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(racers)
    ]  # fmt: skip
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        outputs = [process.communicate("go\n", timeout=60)[0] for process in _released(processes)]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [json.loads(output) for output in outputs]


def _released(processes: list[subprocess.Popen[str]]) -> list[subprocess.Popen[str]]:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return processes


@pytest.mark.parametrize("how", ["reject", "return"])
def test_exactly_one_of_two_processes_wins_each_key(redis_server: RedisServer, how: str) -> None:
    mine, theirs = race(redis_server.url, how)

    app = Windlass("race", broker=redis_server.url, backend=redis_server.url)
    for pair in zip(mine, theirs, strict=True):
        assert len({id_.removeprefix("not:") for id_ in pair}) == 1
        assert sum(id_.startswith("not:") for id_ in pair) == (1 if how == "reject" else 0)
    ran: Counter[int] = Counter()

    @app.task(name="race.once")
    def once(n: int) -> None:
        ran[n] += 1

    with start_worker(app):
        for id_ in mine:
            app.AsyncResult(id_.removeprefix("not:")).get(timeout=20)
    assert ran == Counter(range(ROUNDS))
    app.close()
