"""What signing and encryption cost a message: `python tests/bench/micro_sealing.py`.

Prints microseconds of CPU (the best of many short rounds, the garbage collector off) for building
and for running a message, without a broker; and what the sealed body adds to its size.
"""

from __future__ import annotations

import base64
import gc
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import process_time as clock

from windlass import Windlass, sending
from windlass.messages import Outgoing
from windlass.runtime.executor import Executor, RunRequest

ROUNDS = 20
MODES = (
    ("off", "off"), ("verify", "decrypt"), ("sign", "off"), ("off", "encrypt"),
    ("require", "require"),
)  # fmt: skip


def measure(call: Callable[[], object], calls: int) -> float:
    """Return the microseconds of one call."""
    rounds = []
    for _ in range(ROUNDS):
        started = clock()
        for _ in range(calls):
            call()
        rounds.append((clock() - started) / calls * 1e6)
    return min(rounds)


def request_of(message: Outgoing) -> RunRequest:
    """Return what a worker gets."""
    raw = b"\x010" + bytes(18) + message.tail
    return RunRequest(id=message.id, queue=message.queue, token=1, raw=raw)


def show(path: Path, signing: str, encryption: str, size: int) -> None:
    """Measure one combination with an argument of so many bytes."""
    url = "redis://127.0.0.1:1"
    keys = {"message_signing_keys": str(path), "message_encryption_keys": str(path)}
    app = Windlass(
        "bench", broker=url, message_signing=signing, message_encryption=encryption, **keys
    )
    task = app.task(name="bench.take")(lambda text: None)
    app.finalize()
    text = "x" * size

    def build() -> Outgoing:
        return sending.build(app, task.name, task, (text,), {}, {})

    executor = Executor(app, hostname="w", soft_limit=None, pool="prefork")
    message = build()
    request = request_of(message)
    calls = 5 if size > 100_000 else 500
    build_us = measure(build, calls)
    run_us = measure(lambda: executor.execute(request), calls)
    names = f"signing {signing:8} encryption {encryption:8}"
    print(f"{size:7,} B  {names} {build_us:8.1f} {run_us:8.1f} us {len(message.tail):9,} B")


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keys"
        path.write_text(f"bench:{base64.b64encode(os.urandom(32)).decode()}\n")
        gc.disable()
        print(f"{'':52}{'build':>9}{'run':>9}{'message':>13}")
        for size in (10, 10_000, 1_000_000):
            for signing, encryption in MODES:
                show(path, signing, encryption, size)


if __name__ == "__main__":
    main()
