"""The fixtures of `windlass.contrib.pytest` under Celery's names, so that test suites migrate too.

They are written out: pytest finds fixtures by their names in a module, and so does a reader.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from windlass.contrib.pytest import fixtures, marked

if TYPE_CHECKING:
    from windlass.app import Windlass
    from windlass.contrib.testing.worker import TestWorker


@pytest.fixture(scope="session")
def celery_config() -> Mapping[str, Any]:
    """Settings of the test app, by name. Override it in your conftest.py."""
    return {}


@pytest.fixture(scope="session")
def celery_parameters() -> Mapping[str, Any]:
    """Further arguments of `windlass.contrib.testing.app.TestApp`. Override it."""
    return {}


@pytest.fixture(scope="session")
def celery_includes() -> Sequence[str]:
    """Names of modules of tasks that are imported before a worker starts. Override it."""
    return ()


@pytest.fixture(scope="session")
def celery_class_tasks() -> Sequence[Any]:
    """Tasks that are registered before a worker starts. Override it."""
    return ()


@pytest.fixture(scope="session")
def celery_worker_parameters() -> Mapping[str, Any]:
    """Arguments of `windlass.contrib.testing.worker.start_worker`. Override it."""
    return {}


@pytest.fixture
def celery_app(
    request: pytest.FixtureRequest,
    celery_config: Mapping[str, Any],
    celery_parameters: Mapping[str, Any],
) -> Iterator[Windlass]:
    """An app of this test's own, in memory, and the current one while the test runs."""
    overrides = marked(request.node, "celery")
    with fixtures().test_app(celery_config, celery_parameters, overrides) as app:
        yield app


@pytest.fixture
def celery_worker(
    celery_app: Windlass,
    celery_includes: Sequence[str],
    celery_class_tasks: Sequence[Any],
    celery_worker_parameters: Mapping[str, Any],
) -> Iterator[TestWorker]:
    """A worker of `celery_app` in a thread, while the test runs."""
    parts = (celery_includes, celery_class_tasks, celery_worker_parameters)
    with fixtures().test_worker(celery_app, *parts) as worker:
        yield worker


@pytest.fixture(scope="session")
def celery_session_app(
    celery_config: Mapping[str, Any], celery_parameters: Mapping[str, Any]
) -> Iterator[Windlass]:
    """One app for all tests, in memory."""
    with fixtures().test_app(celery_config, celery_parameters, {}) as app:
        yield app


@pytest.fixture(scope="session")
def celery_session_worker(
    celery_session_app: Windlass,
    celery_includes: Sequence[str],
    celery_class_tasks: Sequence[Any],
    celery_worker_parameters: Mapping[str, Any],
) -> Iterator[TestWorker]:
    """A worker of `celery_session_app` in a thread, while the session lasts."""
    parts = (celery_includes, celery_class_tasks, celery_worker_parameters)
    with fixtures().test_worker(celery_session_app, *parts) as worker:
        yield worker
