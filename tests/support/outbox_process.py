"""Writes a row or relays rows, and kills itself at a chosen point.

Arguments: DATABASE BROKER POINT COUNT. Points: written (not committed), committed, claimed,
published, deleted, never.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from windlass import Windlass
from windlass.contrib.sqlalchemy import Outbox, SqlStore
from windlass.transactional.relay import Claimed, Relay

CLAIM_S = 0.3


def die() -> None:
    """As a machine that loses power."""
    os.kill(os.getpid(), signal.SIGKILL)


class MortalStore(SqlStore):
    """Dies after a claim, or around a delete."""

    point = ""

    def claim(self, holder: str, limit: int, claim_s: float) -> list[Claimed]:
        claimed = super().claim(holder, limit, claim_s)
        if self.point == "claimed":
            die()
        return claimed

    def delete(self, holder: str, positions: Sequence[int]) -> None:
        if self.point == "published":
            die()
        super().delete(holder, positions)
        if self.point == "deleted":
            die()


def main() -> None:
    """Write rows, then relay them."""
    database, broker, point, count = sys.argv[1:]
    app = Windlass("shop", broker=broker, set_as_current=False)

    @app.task(name="shop.receipt")
    def receipt(number: int) -> int:
        return number

    engine: Any = create_engine(database)
    outbox = Outbox(app, engine)
    with Session(engine) as session:
        for number in range(int(count)):
            outbox.enqueue(session, receipt, number)
        session.flush()
        if point == "written":
            die()
        session.commit()
        if point == "committed":
            die()
    store = MortalStore(engine)
    store.point = point
    Relay(app, store, claim_s=CLAIM_S).run_once()


if __name__ == "__main__":
    main()
