"""Three tasks: one that works, one that fails at first, one that kills its process."""

import os
import signal
import time

from windlass import Windlass

app = Windlass("quickstart", backend="redis://")  # results are kept where the queue is


class NotYetError(Exception):
    """A service that a task needs is not there yet."""


@app.task(queue="pictures")
def resize(picture: int, sent_at: float) -> float:
    """Work for 50 ms; return how long the call had waited, in seconds."""
    waited_s = time.time() - sent_at
    time.sleep(0.05)
    return waited_s


@app.task(queue="pictures", bind=True, autoretry_for=(NotYetError,), default_retry_delay=1)
def fetch(self, page: int) -> int:
    """Fail twice, and be retried a second later each time; return how often it was retried."""
    if self.request.retries < 2:
        raise NotYetError(f"page {page}, try {self.request.retries + 1}")
    return self.request.retries


@app.task(queue="pictures")
def poison(picture: int) -> None:
    """Kill the process that runs it, as running out of memory would."""
    os.kill(os.getpid(), signal.SIGKILL)
