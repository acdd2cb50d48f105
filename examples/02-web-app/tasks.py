"""The work of a small shop."""

from windlass import Windlass

app = Windlass("shop")


@app.task(queue="orders")
def bill(customer: str, cents: int) -> str:
    """Write a bill."""
    return f"{customer} pays {cents / 100:.2f}"
