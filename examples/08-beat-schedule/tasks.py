"""A report, again and again."""

import time

from windlass import Windlass

app = Windlass("reports")


@app.task(bind=True, queue="reports")
def report(self, kind: str) -> dict[str, object]:
    """Return what it is, for which time it was due, and when it was made."""
    headers = self.request.headers or {}
    return {"kind": kind, "due": headers.get("scheduled_for"), "made": time.time()}
