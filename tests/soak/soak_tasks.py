"""What the worker of a soak runs: the outcomes there are, in small."""

from __future__ import annotations

import os
import signal
import time

from windlass import Windlass

app = Windlass("soak_tasks")
app.conf.update(result_expires=60, worker_max_tasks_per_child=150, task_compression="zlib")


@app.task
def echo(value):
    return value


@app.task(ignore_result=True)
def nothing():
    pass


@app.task
def nap(seconds):
    time.sleep(seconds)


@app.task
def fail():
    raise ValueError("on purpose")


@app.task(bind=True, max_retries=2)
def again(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0.01)
    return self.request.retries


@app.task(bind=True)
def die_once(self):
    """Take the process along on the first delivery."""
    if not self.request.deliveries:
        os.kill(os.getpid(), signal.SIGKILL)
    return "second delivery"
