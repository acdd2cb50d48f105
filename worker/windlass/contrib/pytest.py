"""A pytest plugin: `windlass_app`, `windlass_worker`, and both for a session.

Registered by installing windlass. The same fixtures under Celery's names (`celery_app`, ...) come
along unless a plugin of Celery's own is there; see `windlass.contrib.pytest_celery_names`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from types import ModuleType

    from windlass.app import Windlass
    from windlass.contrib.testing.worker import TestWorker

_CELERY_NAMES = "windlass.contrib.pytest_celery_names"
#: Plugins that bring fixtures of these names themselves.
_CELERYS_OWN = ("celery", "celery.contrib.pytest", "pytest_celery")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and Celery's names where they are free."""
    for name in ("windlass", "celery"):
        text = f"{name}(**settings): settings of the test's app, with the fixture {name}_app"
        config.addinivalue_line("markers", text)
    plugins = config.pluginmanager
    if not any(plugins.has_plugin(name) for name in (*_CELERYS_OWN, _CELERY_NAMES)):
        plugins.import_plugin(_CELERY_NAMES)


def fixtures() -> ModuleType:
    """Return what the fixtures do; imported by the first that is used, not by every test run."""
    return importlib.import_module("windlass.contrib.testing.fixtures")


def marked(node: pytest.Item, name: str) -> dict[str, Any]:
    """Return the settings that a test's marker gives."""
    marker = node.get_closest_marker(name)
    return dict(marker.kwargs) if marker else {}


@pytest.fixture(scope="session")
def windlass_config() -> Mapping[str, Any]:
    """Settings of the test app, by name. Override it in your conftest.py."""
    return {}


@pytest.fixture(scope="session")
def windlass_parameters() -> Mapping[str, Any]:
    """Further arguments of `windlass.contrib.testing.app.TestApp`. Override it."""
    return {}


@pytest.fixture(scope="session")
def windlass_includes() -> Sequence[str]:
    """Names of modules of tasks that are imported before a worker starts. Override it."""
    return ()


@pytest.fixture(scope="session")
def windlass_class_tasks() -> Sequence[Any]:
    """Tasks that are registered before a worker starts. Override it."""
    return ()


@pytest.fixture(scope="session")
def windlass_worker_parameters() -> Mapping[str, Any]:
    """Arguments of `windlass.contrib.testing.worker.start_worker`. Override it."""
    return {}


@pytest.fixture
def windlass_app(
    request: pytest.FixtureRequest,
    windlass_config: Mapping[str, Any],
    windlass_parameters: Mapping[str, Any],
) -> Iterator[Windlass]:
    """An app of this test's own, in memory, and the current one while the test runs."""
    overrides = marked(request.node, "windlass")
    with fixtures().test_app(windlass_config, windlass_parameters, overrides) as app:
        yield app


@pytest.fixture
def windlass_worker(
    windlass_app: Windlass,
    windlass_includes: Sequence[str],
    windlass_class_tasks: Sequence[Any],
    windlass_worker_parameters: Mapping[str, Any],
) -> Iterator[TestWorker]:
    """A worker of `windlass_app` in a thread, while the test runs."""
    parts = (windlass_includes, windlass_class_tasks, windlass_worker_parameters)
    with fixtures().test_worker(windlass_app, *parts) as worker:
        yield worker


@pytest.fixture(scope="session")
def windlass_session_app(
    windlass_config: Mapping[str, Any], windlass_parameters: Mapping[str, Any]
) -> Iterator[Windlass]:
    """One app for all tests, in memory."""
    with fixtures().test_app(windlass_config, windlass_parameters, {}) as app:
        yield app


@pytest.fixture(scope="session")
def windlass_session_worker(
    windlass_session_app: Windlass,
    windlass_includes: Sequence[str],
    windlass_class_tasks: Sequence[Any],
    windlass_worker_parameters: Mapping[str, Any],
) -> Iterator[TestWorker]:
    """A worker of `windlass_session_app` in a thread, while the session lasts."""
    parts = (windlass_includes, windlass_class_tasks, windlass_worker_parameters)
    with fixtures().test_worker(windlass_session_app, *parts) as worker:
        yield worker


@pytest.fixture
def depends_on_current_app(windlass_app: Windlass) -> None:
    """Make `windlass_app` the current app of the test's thread."""
    windlass_app.set_current()
