"""What the outbox costs a call: `python tests/bench/micro_outbox.py`, on servers of its own.

Prints microseconds of CPU a row of the process that writes and of the one that relays, on SQLite
and, where it is installed, on PostgreSQL.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from time import process_time

from sqlalchemy import create_engine
from sqlalchemy.orm import Session

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import postgres_server
from redis_server import RedisServer
from windlass import Windlass
from windlass.contrib.sqlalchemy import Outbox, metadata
from windlass.embedded_redis import find_server

ROWS = 5000


def show(app: Windlass, database: str) -> None:
    """Measure one database."""
    engine = create_engine(database)
    metadata.create_all(engine)
    outbox, task = Outbox(app, engine), app.tasks["bench.take"]
    started = process_time()
    with Session(engine) as session, session.begin():
        for number in range(ROWS):
            outbox.enqueue(session, task, number)
    written, relay = process_time(), outbox.relay()
    while relay.run_once().is_full:
        pass
    relayed = process_time()
    name = database.partition(":")[0]
    write_us, relay_us = (written - started) / ROWS * 1e6, (relayed - written) / ROWS * 1e6
    print(f"{name:22} write {write_us:6.1f} us a row, relay {relay_us:6.1f} us a row")
    engine.dispose()


def main() -> None:
    """Measure and print."""
    server = RedisServer(find_server()).start()
    app = Windlass("bench", broker=server.unix_url, set_as_current=False)
    app.task(name="bench.take")(lambda number: None)
    with tempfile.TemporaryDirectory() as folder:
        show(app, f"sqlite:///{folder}/outbox.sqlite")
    if postgres_server.found():
        postgres = postgres_server.PostgresServer()
        show(app, postgres.url)
        postgres.stop()
    app.close()
    server.stop()


if __name__ == "__main__":
    main()
