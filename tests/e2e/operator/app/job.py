"""The tests' own application: tasks that say where, and in which delivery, they ran."""

from __future__ import annotations

import time

from windlass import Windlass
from windlass.redis_store.resp import packed

app = Windlass("job")


@app.task(bind=True, track_started=False)
def work(self, seconds: float = 0.1) -> list:
    """Take a while; say which worker did it, and how often it was begun or handed back before."""
    time.sleep(seconds)
    request = self.request
    return [request.hostname, request.deliveries, request.handbacks]


@app.task(bind=True)
def count(self) -> None:
    """Count, for each time of a schedule, how often it was run."""
    due = self.request.headers["scheduled_for"]
    app.broker.links.call([packed("HINCRBY", f"{app.broker.keys.base}counts", due, 1)])
