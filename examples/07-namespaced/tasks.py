"""Work of one team."""

from windlass import Windlass

app = Windlass("sums")


@app.task(queue="sums")
def add(x: int, y: int) -> int:
    """Add."""
    return x + y
