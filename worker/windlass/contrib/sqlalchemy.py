"""An outbox in a database of SQLAlchemy's: a task is sent if, and only if, its transaction commits.

    outbox = Outbox(app, engine)
    with Session(engine) as session, session.begin():
        session.add(order)
        outbox.enqueue(session, send_receipt, order.id)

The row goes into the session's own transaction; `windlass outbox relay --database URL`, or
`outbox.start()` in this process, publishes it after the commit. Works with `AsyncSession` too.
Next in the walk: `windlass.transactional.relay`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    delete,
    event,
    or_,
    select,
    update,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from windlass.results.handle import AsyncResult
from windlass.transactional.relay import Claimed, Relay
from windlass.transactional.rows import Row, make_row
from windlass.transactional.thread import RelayThread

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from windlass.app import Windlass
    from windlass.signatures import Signature
    from windlass.task import Task

#: Has the one table below. For Alembic: target_metadata = [Base.metadata, outbox_metadata].
metadata = MetaData()
#: SQLite counts up by itself in a column of this type only.
_POSITION = BigInteger().with_variant(Integer, "sqlite")


class _Base(DeclarativeBase):
    metadata = metadata


class OutboxRow(_Base):
    """A row of the table `windlass_outbox`; see `windlass.transactional.rows.Row`."""

    __tablename__ = "windlass_outbox"

    position: Mapped[int] = mapped_column(_POSITION, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(255), unique=True)
    task: Mapped[str] = mapped_column(String(255))
    queue: Mapped[str] = mapped_column(String(120))
    message: Mapped[bytes] = mapped_column(LargeBinary)
    created_ms: Mapped[int] = mapped_column(BigInteger)
    claimed_by: Mapped[str | None] = mapped_column(String(64), index=True)
    #: When the claim runs out, milliseconds since the epoch; 0 for none.
    claimed_until_ms: Mapped[int] = mapped_column(BigInteger, default=0)
    #: Why it can never be published; it stays until somebody deletes it or clears this.
    set_aside: Mapped[str | None] = mapped_column(Text)


class SqlStore:
    """Implements `windlass.transactional.relay.Store`.

    Args:
        engine: Of the database. Rows that another relay looks at are passed over where the database
            can do that (SKIP LOCKED); elsewhere the claim alone keeps relays apart.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def claim(self, holder: str, limit: int, claim_s: float) -> list[Claimed]:
        """See `Store.claim`."""
        now_ms = round(time.time() * 1000)
        is_free = or_(OutboxRow.claimed_by.is_(None), OutboxRow.claimed_until_ms < now_ms)
        oldest = (
            select(OutboxRow.position)
            .where(OutboxRow.set_aside.is_(None), is_free)
            .order_by(OutboxRow.position)
            .limit(limit)
            .with_for_update(skip_locked=True)  # left out by dialects that cannot
        )
        mark = update(OutboxRow).values(
            claimed_by=holder, claimed_until_ms=now_ms + round(claim_s * 1000)
        )
        mine = (
            select(OutboxRow.__table__)
            .where(OutboxRow.claimed_by == holder, OutboxRow.set_aside.is_(None))
            .order_by(OutboxRow.position)
            .limit(limit)
        )
        with self._engine.begin() as connection:
            # SQLite has one writer: it begins as one, or it would have to wait for itself. Others
            # (MySQL) take no limit in the condition of an update.
            is_lite = self._engine.dialect.name == "sqlite"
            chosen: Any = oldest if is_lite else list(connection.scalars(oldest))
            if is_lite or chosen:
                connection.execute(mark.where(OutboxRow.position.in_(chosen), is_free))
            return [
                Claimed(row.position, Row(row.id, row.task, row.queue, row.message, row.created_ms))
                for row in connection.execute(mine)
            ]

    def delete(self, holder: str, positions: Sequence[int]) -> None:
        """See `Store.delete`."""
        mine = OutboxRow.position.in_(positions), OutboxRow.claimed_by == holder
        with self._engine.begin() as connection:
            connection.execute(delete(OutboxRow).where(*mine))

    def set_aside(self, holder: str, position: int, reason: str) -> None:
        """See `Store.set_aside`."""
        mine = OutboxRow.position == position, OutboxRow.claimed_by == holder
        with self._engine.begin() as connection:
            connection.execute(update(OutboxRow).where(*mine).values(set_aside=reason))

    def give_up(self, holder: str) -> None:
        """See `Store.give_up`."""
        mine = update(OutboxRow).where(OutboxRow.claimed_by == holder)
        with self._engine.begin() as connection:
            connection.execute(mine.values(claimed_by=None, claimed_until_ms=0))

    def set_aside_rows(self, limit: int = 100) -> list[tuple[str, str, str]]:
        """Return (id, task, reason) of rows that were set aside, the oldest first."""
        chosen = select(OutboxRow.id, OutboxRow.task, OutboxRow.set_aside).where(
            OutboxRow.set_aside.is_not(None)
        )
        with self._engine.begin() as connection:
            found = connection.execute(chosen.order_by(OutboxRow.position).limit(limit))
            return [(row.id, row.task, row.set_aside or "") for row in found]


class Outbox(RelayThread):
    """Writes calls into sessions, and can publish them from this process.

    Args:
        app: Whose tasks and broker.
        engine: Of the database; only for `start` and `relay`.
    """

    def __init__(self, app: Windlass, engine: Engine | None = None) -> None:
        self._app = app
        self._engine = engine

    def enqueue(
        self,
        session: Session | AsyncSession,
        task: Task[..., Any] | Signature[Any] | str,
        *args: Any,
        **kwargs: Any,
    ) -> AsyncResult[Any]:
        """Send a task with these arguments when the session's transaction commits.

        Args:
            session: Its transaction decides; nothing is awaited, so an AsyncSession will do.
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
        row = make_row(self._app, task, args, kwargs)
        session.add(OutboxRow(**row._asdict()))
        if self._relay is not None:
            plain: Any = getattr(session, "sync_session", session)
            if not event.contains(plain, "after_commit", self._after_commit):
                event.listen(plain, "after_commit", self._after_commit)
        return AsyncResult(row.id, app=self._app)

    def relay(self, **options: Any) -> Relay:
        """Return a relay of the table, see `windlass.transactional.relay.Relay`.

        Raises:
            TypeError: The outbox was made without an engine.
        """
        if self._engine is None:
            text = "This outbox has no engine. Expected Outbox(app, engine)."
            raise TypeError(text)
        return Relay(self._app, SqlStore(self._engine), **options)

    def _after_commit(self, _session: Session) -> None:
        if self._relay is not None:
            self._relay.wake()
