"""Client of the bare loop: plain LPUSH, one by one or in pipelines of 1,000."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from uuid import uuid4

import redis
from harness.peer import URL_NAME

QUEUE = "bare:queue"
#: Length of a message of `noop.delay()` as Windlass stores it (prefix, headers, body and id).
MESSAGE_BYTES = int(os.environ.get("BENCH_MESSAGE_BYTES", "124"))


def message(task: str, arguments: tuple[int, ...]) -> tuple[str, bytes]:
    """Return an id and a message, padded to the length that Windlass sends."""
    message_id = str(uuid4())
    body = json.dumps({"id": message_id, "task": task, "args": arguments, "pad": ""}).encode()
    padding = max(0, MESSAGE_BYTES - len(body))
    return message_id, body[:-2] + b"x" * padding + b'"}'


class BareClient:
    """See `harness.peer.Client`. Messages are made before the clock runs: LPUSH only is timed."""

    def __init__(self) -> None:
        self._redis = redis.Redis.from_url(os.environ[URL_NAME])
        self._stock: list[tuple[str, bytes]] = []

    def prepare(self, task: str, calls: Sequence[tuple[int, ...]]) -> None:
        """Build the messages."""
        self._stock = [message(task, arguments) for arguments in calls]

    def send_each(self, task: str, calls: Sequence[tuple[int, ...]]) -> list[str]:
        """LPUSH, one round trip each."""
        if task == "warmup":
            self._redis.ping()
            return []
        ids = []
        for _ in calls:
            message_id, body = self._stock.pop()
            self._redis.lpush(QUEUE, body)
            ids.append(message_id)
        return ids

    def send_bulk(self, task: str, calls: Sequence[tuple[int, ...]]) -> list[str]:
        """One LPUSH a message, pipelined."""
        ids = []
        with self._redis.pipeline(transaction=False) as pipe:
            for _ in calls:
                message_id, body = self._stock.pop()
                pipe.lpush(QUEUE, body)
                ids.append(message_id)
            pipe.execute()
        return ids

    def send_later(
        self, task: str, calls: Sequence[tuple[int, ...]], delays_s: Sequence[float]
    ) -> None:
        """The bare loop has no schedule."""
        raise RuntimeError("the bare loop has no schedule")

    def send_bulk_later(self, task: str, calls: Sequence[tuple[int, ...]], delay_s: float) -> None:
        """The bare loop has no schedule."""
        raise RuntimeError("the bare loop has no schedule")

    def succeeded(self, ids: Sequence[str]) -> int:
        """Count result keys."""
        return sum(self._redis.exists(f"bare:result:{message_id}") for message_id in ids)

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()


def make_client() -> BareClient:
    """Build the client from the environment."""
    return BareClient()
