"""Windlass: a Kubernetes-native task queue for Python, written as with Celery.

    from windlass import Windlass

    app = Windlass("shop", broker="redis://localhost", backend="redis://")

    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    add.delay(1, 2).get(timeout=10)

Importing this is light: Redis is imported when a broker is first used. Next: `windlass.app`.
"""

from windlass._version import __version__
from windlass.app import Windlass
from windlass.canvas import StampingVisitor, chain, chord, chunks, group, xmap, xstarmap
from windlass.sending import new_id as uuid
from windlass.shared import current_app, get_current_task
from windlass.shared_tasks import shared_task
from windlass.signatures import Signature, maybe_signature, signature, subtask
from windlass.task import Task

#: The name that Celery gives the class.
Celery = Windlass

__all__ = [
    "Celery",
    "Signature",
    "StampingVisitor",
    "Task",
    "Windlass",
    "__version__",
    "chain",
    "chord",
    "chunks",
    "current_app",
    "get_current_task",
    "group",
    "maybe_signature",
    "shared_task",
    "signature",
    "subtask",
    "uuid",
    "xmap",
    "xstarmap",
]
