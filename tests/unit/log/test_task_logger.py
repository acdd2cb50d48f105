"""Task loggers, as Celery has them."""

from __future__ import annotations

import logging

import pytest

from windlass import context
from windlass.utils.log import get_task_logger, running_task, task_logger


def test_task_logger_is_a_child_of_the_common_one() -> None:
    logger = get_task_logger("shop.tasks")

    assert logger.name == "shop.tasks"
    assert logger.parent is task_logger
    assert get_task_logger("shop.tasks") is logger


@pytest.mark.parametrize("name", ["windlass", "windlass.task"])
def test_our_own_names_are_refused(name: str) -> None:
    with pytest.raises(RuntimeError, match="reserved"):
        get_task_logger(name)


def test_logger_below_the_common_one_keeps_its_parent() -> None:
    parent = logging.getLogger("windlass.task.shop")
    logger = get_task_logger("windlass.task.shop.pay")

    assert logger.parent is parent


def test_running_task_is_the_innermost_sent_one() -> None:
    assert running_task() is None
    sent = context.Context(id="id-1", task="shop.pay", called_directly=False)
    with context.pushed(object(), sent), context.pushed(object(), context.Context()):
        assert running_task() == ("shop.pay", "id-1")

    assert running_task() is None
