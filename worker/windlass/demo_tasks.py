"""The tasks of `make demo`: what an application's own module of tasks looks like.

The broker comes from the environment (WINDLASS_BROKER_URL), as it would in a container.
"""

from __future__ import annotations

import os
import signal
import time

from windlass import Windlass

app = Windlass("demo", backend="redis://")


class NotYetError(Exception):
    """The service that a task calls is not there yet."""


@app.task
def resize(picture: int, sent_at: float) -> float:
    """Work for about a millisecond; return how long the call had waited, in seconds."""
    waited_s = time.time() - sent_at
    time.sleep(0.001)
    return waited_s


@app.task
def remind(person: int, due_at: float) -> float:
    """Run later; return how late, in seconds. Until then the broker holds it, not the worker."""
    return time.time() - due_at


@app.task(bind=True, autoretry_for=(NotYetError,), max_retries=5, default_retry_delay=1)
def fetch(self: object, page: int, good_try: int) -> int:
    """Fail until the given try, and be retried a second later each time."""
    tries: int = self.request.retries  # type: ignore[attr-defined]  # a bound task
    if tries < good_try:
        raise NotYetError(f"page {page}: try {tries + 1}")
    return tries


@app.task
def poison(picture: int) -> None:
    """Kill the process that runs it, as running out of memory would."""
    os.kill(os.getpid(), signal.SIGKILL)
