"""Letters: some can wait, some cannot."""

import time

from windlass import Windlass

app = Windlass("letters", task_routes={"letters.newsletter": "bulk", "letters.alarm": "urgent"})


@app.task(name="letters.newsletter")
def newsletter(reader: int) -> float:
    """Send one of many; return when."""
    time.sleep(0.1)
    return time.time()


@app.task(name="letters.alarm")
def alarm(text: str) -> float:
    """Send one that must not wait; return when."""
    return time.time()
