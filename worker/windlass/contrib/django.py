"""Django in a worker: database connections are never shared by processes, nor kept when they died.

Installed by the worker by itself where DJANGO_SETTINGS_MODULE is set and Django is loaded.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from windlass import signals


def install_where_used() -> None:
    """Install it if this is a process of a Django application."""
    if "django.db" in sys.modules and os.environ.get("DJANGO_SETTINGS_MODULE"):
        install()


def install() -> None:
    """Connect to the signals; a second time changes nothing."""
    close_all()  # what the import of the application opened is not for the processes to inherit
    signals.worker_process_init.connect(_on_process, dispatch_uid="windlass.django")
    signals.task_prerun.connect(_on_run, dispatch_uid="windlass.django")
    signals.task_postrun.connect(_on_run, dispatch_uid="windlass.django")


def close_all() -> None:
    """Close every connection of this thread."""
    _db().connections.close_all()


def _on_process(**_: Any) -> None:
    close_all()


def _on_run(sender: Any = None, **_: Any) -> None:
    # As Django itself does around a request: closes what is broken or older than CONN_MAX_AGE.
    if not sender.request.is_eager and not _in_transaction():
        _db().close_old_connections()


def _in_transaction() -> bool:
    return any(each.in_atomic_block for each in _db().connections.all(initialized_only=True))


def _db() -> Any:
    return importlib.import_module("django.db")
