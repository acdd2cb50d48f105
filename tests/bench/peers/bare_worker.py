"""Worker of the bare loop. `python -m peers.bare_worker PROCESSES`."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import msgspec
import redis
from harness import marks
from harness.peer import RESULTS_NAME, URL_NAME
from peers.bare_client import QUEUE

BATCH = 100
RESULT_TTL_MS = 86_400_000

#: KEYS: queue, processing list of this process. ARGV: batch size, ttl ms, then id, result pairs.
ACK_STORE_POP = """
redis.call('DEL', KEYS[2])
for i = 3, #ARGV, 2 do
  redis.call('SET', 'bare:result:' .. ARGV[i], ARGV[i + 1], 'PX', ARGV[2])
end
local batch = redis.call('RPOP', KEYS[1], ARGV[1])
if batch then redis.call('RPUSH', KEYS[2], unpack(batch)) end
return batch
"""


class Call(msgspec.Struct):
    """A message of the bare loop."""

    id: str
    task: str
    args: list[int]


def noop() -> None:
    """Count and return."""
    marks.count()


def add(x: int, y: int) -> int:
    """Count and add."""
    marks.count()
    return x + y


FUNCTIONS = {"noop": noop, "add": add}


def loop() -> None:
    """Pop, run, acknowledge, for ever."""
    connection = redis.Redis.from_url(os.environ[URL_NAME])
    script = connection.register_script(ACK_STORE_POP)
    decode = msgspec.json.Decoder(Call).decode
    encode = msgspec.json.Encoder().encode
    keys = [QUEUE, f"bare:processing:{os.getpid()}"]
    store = os.environ[RESULTS_NAME] == "1"
    finished: list[Any] = []  # ids and encoded results, alternating
    while True:
        batch = script(keys=keys, args=[BATCH, RESULT_TTL_MS, *finished])
        finished = []
        if not batch:
            time.sleep(0.005)
            continue
        for raw in batch:
            call = decode(raw)
            result = FUNCTIONS[call.task](*call.args)
            if store:
                finished.append(call.id)
                finished.append(encode({"status": "SUCCESS", "result": result}))


def main() -> None:
    """Fork the processes and wait."""
    children = []
    for _ in range(int(sys.argv[1])):
        child = os.fork()
        if child == 0:
            loop()
        children.append(child)

    def stop(*_: object) -> None:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.pause()


if __name__ == "__main__":
    main()
