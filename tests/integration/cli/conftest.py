"""A shop: the application that these commands are run on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import Project, projects
from redis_server import RedisServer

SHOP = """
    import time
    from windlass import Windlass
    from windlass.utils.log import get_task_logger

    app = Windlass("shop", backend="redis://")
    logger = get_task_logger(__name__)

    @app.task
    def add(x, y):
        logger.info("adding %s", x)
        return x + y

    @app.task
    def nap(seconds):
        time.sleep(seconds)

    @app.task
    def fail():
        raise ValueError("out of paper")
"""


@pytest.fixture
def shop(tmp_path: Path, redis_server: RedisServer) -> Iterator[Project]:
    """A project with a module `shop`, on the session's Redis."""
    for project in projects(tmp_path, redis_server.url):
        project.write("shop.py", SHOP)
        yield project
