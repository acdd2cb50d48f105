"""The operator's own health port: /livez, /readyz, /metrics.

Liveness fails only on a loop that is stuck; never because a broker or the API server is away.
Readiness of the leader means that the first listing has come in; a standby is ready too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Self

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

#: The event loop answers within this, or something blocks it.
MAX_LAG_S = 5.0
_BEAT_S = 1.0

Check = Callable[[], str]


class Health:
    """Serves the checks. Each returns '' when all is well, else what is wrong."""

    def __init__(
        self, registry: CollectorRegistry, live: Sequence[Check], ready: Sequence[Check]
    ) -> None:
        self._registry = registry
        self._live = live
        self._ready = ready
        self._beat_s = time.monotonic()
        self._runner: web.AppRunner | None = None
        self._beating: asyncio.Task[None] | None = None
        self.port = 0

    async def start(self, host: str, port: int) -> Self:
        """Listen; port 0 takes any free one."""
        app = web.Application()
        app.router.add_get("/livez", self._on_live)
        app.router.add_get("/readyz", self._on_ready)
        app.router.add_get("/metrics", self._on_metrics)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._beating = asyncio.create_task(self._beat())
        return self

    async def stop(self) -> None:
        """Close the port."""
        if self._beating is not None:
            self._beating.cancel()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _beat(self) -> None:
        while True:
            self._beat_s = time.monotonic()
            await asyncio.sleep(_BEAT_S)

    async def _on_live(self, _request: web.Request) -> web.Response:
        lag_s = time.monotonic() - self._beat_s - _BEAT_S
        lagging = f"the event loop lags {lag_s:.1f} s" if lag_s > MAX_LAG_S else ""
        return _answer([lagging, *(check() for check in self._live)])

    async def _on_ready(self, _request: web.Request) -> web.Response:
        return _answer([check() for check in self._ready])

    async def _on_metrics(self, _request: web.Request) -> web.Response:
        body = generate_latest(self._registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _answer(problems: Sequence[str]) -> web.Response:
    found = [problem for problem in problems if problem]
    return web.Response(text="; ".join(found) or "ok", status=503 if found else 200)
