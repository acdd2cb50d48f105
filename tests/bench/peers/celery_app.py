"""The Celery application under measurement; settings are explained in `peers.celery_peer`."""

from __future__ import annotations

import os
import time

from celery import Celery
from harness import marks
from harness.peer import RESULTS_NAME, TUNED_NAME, URL_NAME

_url = os.environ[URL_NAME]
_recovery = os.environ.get(TUNED_NAME) == "1"

app = Celery("bench", broker=_url, backend=_url if os.environ[RESULTS_NAME] == "1" else None)
app.conf.update(
    worker_prefetch_multiplier=64,
    broker_pool_limit=1,
    broker_connection_retry_on_startup=True,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    task_send_sent_event=False,
    task_publish_retry=False,
    worker_redirect_stdouts=False,
    worker_hijack_root_logger=False,
)
if _recovery:
    # What its users are told to set so that a lost worker's tasks come back at all; 10 s is the
    # lowest visibility time-out that still leaves room for a slow task.
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        broker_transport_options={
            "visibility_timeout": 10,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
        },
    )


@app.task(ignore_result=True)
def warmup() -> None:
    """Nothing: sent once, to open the connection."""


@app.task(ignore_result=True)
def noop() -> None:
    """Count and return."""
    marks.count()


@app.task
def add(x: int, y: int) -> int:
    """Count and add."""
    marks.count()
    return x + y


@app.task
def stored() -> None:
    """Nothing, with a result."""


@app.task
def total(values: list[None]) -> int:
    """Count what a header returned."""
    return len(values)


@app.task(ignore_result=True)
def mark(index: int) -> None:
    """Leave a mark."""
    marks.mark(index)


@app.task(ignore_result=True)
def sleep10() -> None:
    """Sleep 10 ms. Celery has no async tasks: this is what prefork makes of it."""
    time.sleep(0.01)
    marks.count()


@app.task(ignore_result=True)
def work50(index: int) -> None:
    """Work for 50 ms."""
    time.sleep(0.05)
    marks.mark(index)
