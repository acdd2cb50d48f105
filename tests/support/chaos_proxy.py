"""An API server that has bad days: a proxy in front of a real one that refuses, stalls and cuts.

What it is told to do it does to requests that match, so many times or until it is told to stop. It
keeps a list of all that was asked, by which a hot loop shows.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from windlass_cluster.access import Access

_HOPS = {"transfer-encoding", "connection", "content-length", "content-encoding", "host"}
_GONE = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired",
         "code": 410, "message": "too old resource version"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """One request.

    Attributes:
        at_s: Monotonic.
        is_watch: Of a stream of changes.
        status: What it was answered; 0 for one that was cut.
    """

    at_s: float
    method: str
    path: str
    is_watch: bool
    status: int


@dataclass(slots=True)
class Fault:
    """What is done to which requests.

    Attributes:
        matches: Of method, path and whether it is a watch.
        answer: Status and headers in place of the API server's answer.
        times: So often; None: until it is taken away.
    """

    matches: Callable[[str, str, bool], bool]
    answer: tuple[int, dict[str, str]]
    times: int | None = None


class ChaosProxy:
    """The proxy. Faults are tried in their order; the first that matches counts."""

    def __init__(self, access: Access, folder: Path) -> None:
        self._access = access
        self._folder = folder
        self._streams: set[asyncio.Transport] = set()
        self._loop: asyncio.AbstractEventLoop
        self._over: asyncio.Event
        self._session: aiohttp.ClientSession
        self._upstream = ""
        self.faults: list[Fault] = []
        self.asked: list[Asked] = []
        #: The next so many watches are told that what they ask for is too old: in the stream,
        #: or as the answer to the request.
        self.gone = 0
        self.gone_status = 200

    @contextmanager
    def running(self) -> Iterator[Path]:
        """Serve until the block ends; gives a kubeconfig that leads here.

        In a thread with a loop of its own: kopf ends by cancelling what is younger in its loop.
        """
        started: Future[Path] = Future()
        thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)), daemon=True)
        thread.start()
        try:
            yield started.result(timeout=30)
        finally:
            self._loop.call_soon_threadsafe(self._over.set)
            thread.join(timeout=30)

    async def _serve(self, started: Future[Path]) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        config = json.loads(self._access.kubectl("config", "view", "--raw", "-o", "json"))
        self._upstream = config["clusters"][0]["cluster"]["server"]
        connector = aiohttp.TCPConnector(ssl=self._tls(config), limit=0)
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
            self._session = session
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            started.set_result(self._kubeconfig(config, f"http://{host}:{port}"))
            await self._over.wait()
            self._abort_streams()
            await runner.cleanup()

    def _tls(self, config: dict[str, Any]) -> ssl.SSLContext:
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        context = ssl.create_default_context(cadata=authority)
        pair = self._folder / "client.pem"
        pair.touch(mode=0o600)
        pair.write_bytes(
            base64.b64decode(user["client-certificate-data"])
            + base64.b64decode(user["client-key-data"])
        )
        context.load_cert_chain(pair)
        return context

    def _kubeconfig(self, config: dict[str, Any], server: str) -> Path:
        body = {**config, "users": [{"name": config["users"][0]["name"], "user": {}}]}
        body["clusters"] = [{**config["clusters"][0], "cluster": {"server": server}}]
        file = self._folder / "kubeconfig"
        file.write_text(json.dumps(body))
        return file

    # -- what a test says -------------------------------------------------------------------------

    def fail(
        self,
        status: int,
        *,
        times: int | None = None,
        retry_after_s: int | None = None,
        matches: Callable[[str, str, bool], bool] = lambda method, path, is_watch: not is_watch,
    ) -> Fault:
        """Answer with an error from now on."""
        headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        fault = Fault(matches, (status, headers), times)
        self.faults.append(fault)
        return fault

    def heal(self) -> None:
        """Be well again."""
        self.faults.clear()
        self.gone = 0

    def cut_watches(self) -> int:
        """Cut every stream of changes in the middle. Returns how many there were."""
        count = len(self._streams)
        self._loop.call_soon_threadsafe(self._abort_streams)
        return count

    def _abort_streams(self) -> None:
        streams, self._streams = self._streams, set()
        for stream in streams:
            stream.abort()

    def count(self, since_s: float, **fields: Any) -> int:
        """Requests since an instant with these fields."""
        return sum(
            one.at_s >= since_s and all(getattr(one, k) == v for k, v in fields.items())
            for one in self.asked
        )

    def by_path(self, since_s: float) -> Counter[tuple[str, str, bool]]:
        """Requests since an instant by method, path and whether it was a watch."""
        return Counter((one.method, one.path, one.is_watch) for one in self.asked
                       if one.at_s >= since_s)  # fmt: skip

    # -- serving ----------------------------------------------------------------------------------

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        is_watch = request.query.get("watch") in ("true", "1")
        began_s = time.monotonic()

        def note(status: int) -> None:
            self.asked.append(Asked(began_s, request.method, request.path, is_watch, status))

        fault = self._fault(request.method, request.path, is_watch)
        if fault is not None:
            status, headers = fault.answer
            note(status)
            body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status,
                    "message": "a bad day"}  # fmt: skip
            return web.json_response(body, status=status, headers=headers)
        if is_watch and self.gone > 0 and "resourceVersion" in request.query:
            self.gone -= 1
            note(410)
            body = _GONE if self.gone_status == 410 else {"type": "ERROR", "object": _GONE}
            return web.json_response(body, status=self.gone_status)
        return await self._forward(request, note, is_watch=is_watch)

    def _fault(self, method: str, path: str, is_watch: bool) -> Fault | None:
        for fault in self.faults:
            if fault.matches(method, path, is_watch) and fault.times != 0:
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None

    async def _forward(
        self, request: web.Request, note: Callable[[int], None], *, is_watch: bool
    ) -> web.StreamResponse:
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOPS}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        async with self._session.request(
            request.method, self._upstream + request.path_qs, headers=headers,
            data=await request.read() or None, timeout=timeout,
            skip_auto_headers=("Content-Type",),
        ) as answer:  # fmt: skip
            note(answer.status)
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in _HOPS}
            if "Content-Encoding" in answer.headers:
                kept["Content-Encoding"] = answer.headers["Content-Encoding"]
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            transport = request.transport
            if is_watch and isinstance(transport, asyncio.Transport):
                self._streams.add(transport)
            try:
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
            except (ConnectionError, aiohttp.ClientError):
                return response  # it was cut
            await response.write_eof()
            return response
