"""The application of the sleeps: it alone needs asyncio, so the other workers do not carry it."""

from __future__ import annotations

import asyncio

from harness import marks
from peers.windlass_app import app

__all__ = ["app"]


@app.task(ignore_result=True)
async def sleep10() -> None:
    """Sleep 10 ms."""
    await asyncio.sleep(0.01)
    marks.count()
