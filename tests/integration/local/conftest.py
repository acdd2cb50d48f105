"""A project folder with a queue, a pool and tasks; what `windlass up` leaves can be seen."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import Project, projects
from local_up import RESOURCES, TASKS, Up
from windlass import Windlass


@pytest.fixture
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Short: the path of a unix socket has at most 107 bytes.
    return tmp_path_factory.mktemp("t")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    for each in projects(tmp_path):
        each.write("shop.py", textwrap.dedent(TASKS))
        each.write("queue.yaml", textwrap.dedent(RESOURCES))
        yield each


@pytest.fixture
def up(project: Project, temporary: Path) -> Iterator[Up]:
    """`windlass up` on the folder, with a Redis of its own."""
    env = {"TMPDIR": str(temporary), "WINDLASS_WORKER_LEASE_S": "1.5"}
    running = project.start("up", ".", "--plain", env=env)
    address = re.compile(r"export WINDLASS_BROKER_URL=(\S+)")
    running.says("0 wanted, 0 there")
    match = address.search(running.output())
    assert match is not None
    app = Windlass("client", broker=match[1], backend=match[1], set_as_current=False)
    yield Up(project, running, app)
    app.close()
