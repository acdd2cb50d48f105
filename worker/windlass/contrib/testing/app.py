"""Apps for tests: everything in memory, nothing taken from the machine's environment."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from windlass import shared
from windlass.app import Windlass

_IN_MEMORY = "memory://"


def TestApp(  # noqa: N802 - Celery's name
    name: str | None = None,
    config: Mapping[str, Any] | None = None,
    *,
    broker: str | None = None,
    backend: str | None = None,
    set_as_current: bool = False,
    **options: Any,  # the arguments and settings of Windlass, each checked there
) -> Windlass:
    """Make an app for tests, with a broker and results of its own in memory.

    Broker and results win over WINDLASS_BROKER_URL and WINDLASS_RESULT_BACKEND, so that no test
    speaks to the broker of the machine it runs on.

    Args:
        name: Name of the app.
        config: Settings, by name.
        broker: Another broker, e.g. a Redis of the tests.
        backend: Where results are kept; by default with the broker.
        set_as_current: Make it the current app; `setup_default_app` does so for a block.
        **options: As for `Windlass`: include, task_cls, any setting.
    """
    settings = dict(config or {})
    broker = settings.pop("broker_url", None) or broker or f"{_IN_MEMORY}{uuid.uuid4().hex}"
    default = _IN_MEMORY if broker.startswith(_IN_MEMORY) else broker
    backend = settings.pop("result_backend", None) or backend or default
    app = Windlass(name or "windlass.tests", set_as_current=set_as_current, **options, **settings)
    app.conf.override({"broker_url": broker, "result_backend": backend}, lambda _: "TestApp()")
    return app


@contextmanager
def setup_default_app(app: Windlass) -> Iterator[Windlass]:
    """Make an app the current one of all threads in a block, and close it at its end."""
    before = shared.swap_apps(app)
    try:
        yield app
    finally:
        shared.swap_apps(*before)
        app.close()
