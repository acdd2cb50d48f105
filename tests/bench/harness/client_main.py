"""The process that sends: reads one JSON command a line, answers with one JSON line.

Started by `harness.clients.ClientProcess` as `python -m harness.client_main MODULE`.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from harness.peer import Client

CHUNK = 1_000  # calls handed over at once by the bulk scenarios


def _chunks(task: str, count: int) -> Iterator[list[tuple[int, ...]]]:
    arguments = (1, 2) if task == "add" else ()
    for start in range(0, count, CHUNK):
        size = min(CHUNK, count - start)
        if task in ("noop", "add", "sleep10"):
            yield [arguments] * size
        else:  # indexed tasks mark the index they got
            yield [(index,) for index in range(start, start + size)]


def send(client: Client, *, task: str, count: int, bulk: bool) -> dict[str, Any]:
    """Send `count` calls. Answers with the seconds it took and some ids."""
    ids: list[str] = []
    calls = list(_chunks(task, count))
    client.prepare(task, [call for chunk in calls for call in chunk])
    method = client.send_bulk if bulk else client.send_each
    started = time.perf_counter()
    for chunk in calls:
        ids.extend(method(task, chunk))
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "ids": ids[:: max(1, len(ids) // 50)], "sent": len(ids)}


def paced(client: Client, *, task: str, gaps_s: list[float], first: int) -> dict[str, Any]:
    """Send one call after each gap, on an idle system. Answers with the send times (ns)."""
    sent = []
    for offset, gap in enumerate(gaps_s):
        time.sleep(gap)
        sent.append(time.monotonic_ns())
        client.send_each(task, [(first + offset,)])
    return {"sent_ns": sent}


def later(client: Client, *, task: str, delays_s: list[float]) -> dict[str, Any]:
    """Send each call with its countdown. Answers with the times they are due (ns)."""
    due = []
    for index, delay in enumerate(delays_s):
        due.append(time.monotonic_ns() + int(delay * 1e9))
        client.send_later(task, [(index,)], [delay])
    return {"due_ns": due}


def schedule(client: Client, *, task: str, count: int, delay_s: float) -> dict[str, Any]:
    """Send `count` calls with one far countdown."""
    for chunk in _chunks(task, count):
        client.send_bulk_later(task, chunk, delay_s)
    return {"sent": count}


def succeeded(client: Client, *, ids: list[str]) -> dict[str, Any]:
    """Count stored successes."""
    return {"succeeded": client.succeeded(ids)}


def workflow(client: Client, *, kind: str, size: int, times: int) -> dict[str, Any]:
    """Run a "chain" or a "chord" to its end, so often. Answers with the seconds of each."""
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        client.run_workflow(kind, size)
        seconds.append(time.perf_counter() - started)
    return {"seconds": seconds}


def send_workflow(client: Client, *, kind: str, size: int) -> dict[str, Any]:
    """Build and send a "group" or a "chord". Answers with the seconds it took."""
    started = time.perf_counter()
    client.send_workflow(kind, size)
    return {"seconds": time.perf_counter() - started}


OPERATIONS = {
    "send": send,
    "paced": paced,
    "later": later,
    "schedule": schedule,
    "succeeded": succeeded,
    "workflow": workflow,
    "send_workflow": send_workflow,
}


def main() -> None:
    """Answer commands until standard input ends."""
    client: Client = importlib.import_module(sys.argv[1]).make_client()
    client.send_each("warmup", [()])
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        answer = OPERATIONS[command.pop("op")](client, **command)
        print(json.dumps(answer), flush=True)
    client.close()


if __name__ == "__main__":
    main()
