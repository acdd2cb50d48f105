"""One task that shows an installation at work; `helm test` runs it.

    windlass -A windlass.contrib.smoke worker -Q QUEUE    a worker that knows the task
    python -m windlass.contrib.smoke QUEUE                sends it, waits, says what came back

Both read the broker's address from the environment, as every application does.
"""

from __future__ import annotations

import argparse
import socket
from collections.abc import Sequence

from windlass import Windlass
from windlass.errors import WindlassError

#: It includes the way of a pool from zero to its first worker.
_TIMEOUT_S = 120.0

app = Windlass("smoke")


# The name is said: a module that is run has another.
@app.task(name="windlass.smoke.add")
def add(x: int, y: int) -> tuple[int, str]:
    """Return the sum, and the name of the machine that made it."""
    return x + y, socket.gethostname()


def main(argv: Sequence[str] | None = None) -> int:
    """Send the task to a queue and wait for its result.

    Args:
        argv: Instead of the command line.

    Returns:
        0 when the result came and is right, else 1; it says which of the two is wrong.
    """
    parser = argparse.ArgumentParser(prog="python -m windlass.contrib.smoke")
    parser.add_argument("queue")
    parser.add_argument("--timeout", type=float, default=_TIMEOUT_S, help="seconds")
    options = parser.parse_args(argv)
    try:
        result = add.apply_async((2, 3), queue=options.queue)
        total, host = result.get(timeout=options.timeout)
    except WindlassError as error:
        print(f"queue {options.queue}: no result: {error}")
        return 1
    print(f"queue {options.queue}: 2 + 3 = {total}, by a worker on {host}, not by {_here()}")
    return 0 if total == 2 + 3 and host != _here() else 1


def _here() -> str:
    return socket.gethostname()


if __name__ == "__main__":
    raise SystemExit(main())
