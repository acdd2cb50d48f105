"""The task that `helm test` sends says what is wrong when nobody does it."""

from __future__ import annotations

import os
import subprocess
import sys

from redis_server import RedisServer


def test_without_a_worker_it_fails_and_says_of_which_queue(redis_server: RedisServer) -> None:
    argv = [sys.executable, "-m", "windlass.contrib.smoke", "lonely", "--timeout=0.1"]
    environment = {**os.environ, "WINDLASS_BROKER_URL": redis_server.url,
                   "WINDLASS_RESULT_BACKEND": redis_server.url}  # fmt: skip

    ended = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)

    assert ended.returncode == 1
    assert ended.stdout.startswith("queue lonely: no result: ")
    assert "Traceback" not in ended.stderr
