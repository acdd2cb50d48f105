"""What the fixtures of `windlass.contrib.pytest` do, under whichever name they are asked for."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from windlass.contrib.testing.app import TestApp, setup_default_app
from windlass.contrib.testing.worker import TestWorker, start_worker

if TYPE_CHECKING:
    from windlass.app import Windlass
    from windlass.declaring import AnyTask


@contextmanager
def test_app(
    config: Mapping[str, Any], parameters: Mapping[str, Any], overrides: Mapping[str, Any]
) -> Iterator[Windlass]:
    """Make the app of a test, current while it lasts.

    Args:
        config: Settings, by name.
        parameters: Arguments of `TestApp`.
        overrides: Settings of the test's marker; they win.
    """
    with setup_default_app(TestApp(config={**config, **overrides}, **parameters)) as app:
        yield app


@contextmanager
def test_worker(
    app: Windlass,
    includes: Iterable[str],
    class_tasks: Iterable[AnyTask | type[AnyTask]],
    parameters: Mapping[str, Any],
) -> Iterator[TestWorker]:
    """Run a worker of the app.

    Args:
        app: Its app.
        includes: Modules of tasks to import first.
        class_tasks: Tasks to register first.
        parameters: Arguments of `start_worker`.
    """
    for module in includes:
        importlib.import_module(module)
    for task in class_tasks:
        app.register_task(task)
    with start_worker(app, **parameters) as worker:
        yield worker
