"""Writes calls into Django's transaction, and publishes them.

Django is imported when it is used: the models exist only once its apps are loaded.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from windlass.shared import current_app
from windlass.transactional.relay import Claimed, Relay
from windlass.transactional.rows import Row, make_row
from windlass.transactional.thread import RelayThread

if TYPE_CHECKING:
    from windlass.app import Windlass
    from windlass.results.handle import AsyncResult
    from windlass.signatures import Signature
    from windlass.task import Task


class Outbox(RelayThread):
    """Writes calls into transactions, and can publish them from this process.

    Args:
        app: Whose tasks and broker; the current app unless given.
    """

    def __init__(self, app: Windlass | None = None) -> None:
        self._app = app

    def enqueue(
        self, task: Task[..., Any] | Signature[Any] | str, *args: Any, **kwargs: Any
    ) -> AsyncResult[Any]:
        """Send a task with these arguments when the current transaction commits.

        Outside of a transaction the row is committed at once. It goes to the database that Django's
        router chooses for the table, which has to be the one of the transaction.

        Args:
            task: A task, the name of one, or a signature that carries options:
                `add.s().set(countdown=60)`. Countdown and expires count from now.
            *args: Positional arguments.
            **kwargs: Keyword arguments.

        Returns:
            The handle of the result. Its id is the row's.

        Raises:
            TypeError: The arguments do not fit the task, or it is a chain, group or chord.
            EncodeError: An argument has no representation in the serializer.
        """
        app = self._app or current_app()
        row = make_row(app, task, args, kwargs)
        rows = _rows()
        rows.create(**row._asdict())
        if self._relay is not None:
            _db().transaction.on_commit(self._relay.wake, using=rows.db)
        return app.AsyncResult(row.id)

    def relay(self, **options: Any) -> Relay:
        """Return a relay of the table, see `windlass.transactional.relay.Relay`."""
        return Relay(self._app or current_app(), DjangoStore(), **options)

    def _run(self, relay: Relay) -> None:
        try:
            relay.run()
        finally:
            _db().connections.close_all()


def enqueue(task: Task[..., Any] | Signature[Any], *args: Any, **kwargs: Any) -> AsyncResult[Any]:
    """As `Outbox.enqueue`, with the app of the task."""
    return Outbox(task.app).enqueue(task, *args, **kwargs)


class DjangoStore:
    """Implements `windlass.transactional.relay.Store`."""

    def claim(self, holder: str, limit: int, claim_s: float) -> list[Claimed]:
        """See `Store.claim`."""
        db = _db()
        now_ms = round(time.time() * 1000)
        is_free = db.models.Q(claimed_by=None) | db.models.Q(claimed_until_ms__lt=now_ms)
        oldest = _rows().filter(is_free, set_aside=None).order_by("position")
        until_ms = now_ms + round(claim_s * 1000)
        with db.transaction.atomic(using=oldest.db):
            connection = db.connections[oldest.db]
            if connection.features.has_select_for_update_skip_locked:
                oldest = oldest.select_for_update(skip_locked=True)
            # SQLite has one writer: it begins as one, or it would have to wait for itself. Others
            # (MySQL) take no limit in the condition of an update.
            chosen: Any = oldest.values("position")[:limit]
            if connection.vendor != "sqlite":
                chosen = list(oldest.values_list("position", flat=True)[:limit])
            marked = _rows().filter(is_free, position__in=chosen)
            marked.update(claimed_by=holder, claimed_until_ms=until_ms)
            mine = _rows().filter(claimed_by=holder, set_aside=None).order_by("position")[:limit]
            return [
                Claimed(
                    row.position,
                    Row(row.id, row.task, row.queue, bytes(row.message), row.created_ms),
                )
                for row in mine
            ]

    def delete(self, holder: str, positions: Sequence[int]) -> None:
        """See `Store.delete`."""
        _rows().filter(claimed_by=holder, position__in=positions).delete()

    def set_aside(self, holder: str, position: int, reason: str) -> None:
        """See `Store.set_aside`."""
        _rows().filter(claimed_by=holder, position=position).update(set_aside=reason)

    def give_up(self, holder: str) -> None:
        """See `Store.give_up`."""
        _rows().filter(claimed_by=holder).update(claimed_by=None, claimed_until_ms=0)

    def set_aside_rows(self, limit: int = 100) -> list[tuple[str, str, str]]:
        """Return (id, task, reason) of rows that were set aside, the oldest first."""
        found = _rows().exclude(set_aside=None).order_by("position")[:limit]
        return [(row.id, row.task, row.set_aside) for row in found]


def _db() -> Any:
    return importlib.import_module("django.db")


def _rows() -> Any:
    """Return the manager of the table's rows."""
    return importlib.import_module("windlass.contrib.django_outbox.models").OutboxRow.objects
