"""A script with tasks: `celery -A tasks worker`, and `python tasks.py` to send some."""

import os
import random
import time
from datetime import UTC, datetime, timedelta

from celery import Celery, Task, states
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from celery.result import AsyncResult
from celery.signals import task_failure, worker_ready
from celery.utils.log import get_task_logger

logger = get_task_logger(__name__)

app = Celery("tasks", broker=os.environ["BROKER_URL"], backend=os.environ["BROKER_URL"])
app.conf.update(
    task_serializer="json",
    accept_content=["json"],
    result_expires=timedelta(hours=1),
    task_default_queue="celery",
    task_acks_late=True,
    worker_max_tasks_per_child=50,
    task_annotations={"tasks.flaky": {"max_retries": 4}},
)


class CountingTask(Task):
    abstract = True
    calls = 0

    def on_success(self, retval, task_id, args, kwargs):
        CountingTask.calls += 1
        logger.info("success %s of %s", CountingTask.calls, self.name)


@app.task
def add(x, y):
    return x + y


@app.task(base=CountingTask, bind=True, autoretry_for=(ConnectionError,), retry_backoff=0.01)
def flaky(self, fails):
    if self.request.retries < fails:
        raise ConnectionError("try again")
    return self.request.retries


@app.task(bind=True)
def progress(self):
    self.update_state(state="HALFWAY", meta={"done": 50})
    raise Ignore


@app.task(soft_time_limit=0.2)
def slow():
    try:
        time.sleep(60)
    except SoftTimeLimitExceeded:
        return "cleaned up"


@app.task(bind=True, acks_late=True)
def refuse(self):
    raise Reject("no reason", requeue=False)


@app.task(rate_limit="100/s", ignore_result=True)
def log(text):
    logger.warning("%s %s", text, random.random())


@app.task
def on_error(request, exc, traceback):
    logger.error("%s failed: %r", request.id, exc)


@app.task
def fail():
    raise KeyError("missing")


@task_failure.connect
def remember(sender=None, task_id=None, exception=None, **kwargs):
    logger.error("signal of %s: %r", sender.name, exception)


@worker_ready.connect
def ready(sender=None, **kwargs):
    logger.warning("ready: %s", sender.hostname)


def main():
    print(add.delay(2, 2).get(timeout=20))
    print(add.apply_async((2,), {"y": 3}, countdown=0.1, priority=5).get(timeout=20))
    soon = datetime.now(UTC) + timedelta(milliseconds=100)
    print(app.send_task("tasks.add", args=[1, 2], eta=soon).get(timeout=20))
    print(add.s(1).clone((2,)).apply_async(link=log.s()).get(timeout=20))
    print(flaky.delay(4).get(timeout=20))
    print(slow.delay().get(timeout=20))
    halfway = progress.delay()
    while halfway.state == states.PENDING:
        time.sleep(0.01)
    print(halfway.state, AsyncResult(halfway.id, app=app).info)
    try:
        fail.apply_async(link_error=on_error.s()).get(timeout=20)
    except KeyError as error:
        print(repr(error))
    print(add.apply((1, 1)).state, add.apply((1, 1)).get())
    doomed = add.apply_async((1, 1), countdown=60)
    doomed.revoke()
    print(doomed.state)
    print(
        sorted(name for nodes in app.control.inspect().registered().values() for name in nodes)[:2]
    )


if __name__ == "__main__":
    main()
