import time

from celery import Task, shared_task
from celery.utils.log import get_task_logger
from flask import current_app

logger = get_task_logger(__name__)


@shared_task(ignore_result=False)
def add_together(a: int, b: int) -> str:
    return f"{a + b} {current_app.config['CURRENCY']}"


@shared_task(bind=True, ignore_result=False)
def process(self: Task, total: int) -> object:
    for i in range(total):
        self.update_state(state="PROGRESS", meta={"current": i + 1, "total": total})
        time.sleep(0.01)
    logger.info("processed %s", total)
    return {"current": total, "total": total}


@shared_task()
def block() -> None:
    time.sleep(0.01)
