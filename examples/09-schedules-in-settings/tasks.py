"""Periodic tasks in the application's settings: one each second, one each night, one in code."""

from typing import Any

from windlass import Windlass
from windlass.schedules import crontab

app = Windlass("shop", backend="redis://", timezone="Europe/Paris")
app.conf.beat_schedule = {
    "rates": {
        "task": "tasks.rates",
        "schedule": 1.0,
        "args": ("EUR",),
        "options": {"expires": 5},  # old rates help nobody: what waits longer is dropped
    },
    "nightly-report": {
        "task": "tasks.report",
        "schedule": crontab(minute=0, hour=3),
        "kwargs": {"full": True},
        "overlap": "Forbid",  # never two at once
        "starting_deadline": 3600,  # after an outage until 04:00 still, then no more
    },
}


@app.on_after_configure.connect
def declare(sender: Windlass, **_: Any) -> None:
    """Add what is easier said in code."""
    sender.add_periodic_task("*/15 8-18 * * mon-fri", report.s(), name="in-office-hours", jitter=30)


@app.task(name="tasks.rates")
def rates(currency: str) -> str:
    """Fetch the rates of a currency."""
    return f"1 {currency} is 1 {currency}"


@app.task(name="tasks.report")
def report(full: bool = False) -> str:
    """Write the report."""
    return "all of it" if full else "what is new"
