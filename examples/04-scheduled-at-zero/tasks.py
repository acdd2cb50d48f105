"""A reminder, some time from now."""

import time

from windlass import Windlass

app = Windlass("reminders")


@app.task(queue="reminders")
def remind(text: str) -> float:
    """Return when it was done."""
    return time.time()
