"""The current app: what a task without an app of its own is called through.

With the declarations in `windlass.shared_tasks` this is the only global state of the package. An
app becomes current when it is created, as in Celery; unlike there, threads that never chose one
see it too.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from windlass import context
from windlass.errors import ConfigurationError

if TYPE_CHECKING:
    from windlass.app import Windlass
    from windlass.task import Task


class _Apps(threading.local):
    """The app of this thread, else the default one, else the newest."""

    of_thread: Windlass | None = None
    # Assigned on the class, which all threads share.
    default: Windlass | None = None
    newest: Windlass | None = None


_apps = _Apps()


def current_app() -> Windlass:
    """Return the app of this thread, else the default one, else the newest.

    Raises:
        ConfigurationError: There is no app yet.
    """
    app = find_current_app()
    if app is None:
        msg = (
            "There is no app yet, so this task cannot be sent. Create one first: "
            "app = Windlass('proj', broker='redis://localhost'); in Django, import it in the "
            "project package's __init__.py."
        )
        raise ConfigurationError(msg)
    return app


def find_current_app() -> Windlass | None:
    """Return the current app, or None when there is none yet."""
    return _apps.of_thread or _apps.default or _apps.newest


def set_current_app(app: Windlass | None) -> None:
    """Make the app current in this thread; None undoes it."""
    _apps.of_thread = app


def set_default_app(app: Windlass | None) -> None:
    """Make the app current in threads that set none; None undoes it."""
    _Apps.default = app


def swap_apps(
    default: Windlass | None, of_thread: Windlass | None = None
) -> tuple[Windlass | None, Windlass | None]:
    """Set the default app and this thread's; returns what they were, to be put back."""
    before = _apps.default, _apps.of_thread
    _Apps.default, _apps.of_thread = default, of_thread
    return before


def app_created(app: Windlass) -> None:
    """Make a new app current in this thread, and where nothing else was chosen."""
    _apps.of_thread = app
    _Apps.newest = app


def get_current_task() -> Task[..., Any] | None:
    """Return the task that runs in this thread or coroutine, None outside of one."""
    frame = context.current_frame()
    return None if frame is None else frame.task
