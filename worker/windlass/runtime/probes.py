"""/livez, /readyz and /metrics over HTTP, from a thread of the supervisor.

    /livez    200 while the supervisor's loop turns. The broker's reachability is no part of it: a
              broker that is down is no reason to restart a worker.
    /readyz   200 while the worker takes work: started, not draining, not cordoned, and the fetch
              loop got on within READY_WITHIN_S.
    /metrics  Prometheus text; see `windlass.metrics`.

The thread only reads; it can neither block nor be blocked by the loop that it reports on. It binds
the loopback unless told otherwise, since it answers anybody who asks.
"""

from __future__ import annotations

import contextlib
import math
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from windlass import events
from windlass.errors import ConfigurationError
from windlass.log import get_logger
from windlass.metrics import new_registry
from windlass.runtime.state import WorkerState

#: A loop that did not turn for so long hangs: its turns take milliseconds, its longest wait 5 s.
LIVE_WITHIN_S = 30.0
#: A fetch loop that got no answer for so long is cut off: it asks at least every 5 s.
READY_WITHIN_S = 20.0
#: A client that sends nothing for so long is dropped.
_CLIENT_TIMEOUT_S = 10.0

log = get_logger(__name__)


class ProbePortTakenError(ConfigurationError):
    """The address for the probes cannot be bound."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(
            f"The health server cannot listen on {host}:{port}: {reason}. Choose another "
            "--health-port (0 takes any free one) or --health-host."
        )


def check_alive(state: WorkerState, now: float) -> str | None:
    """Return why the worker is to be restarted, None while it is alive.

    Args:
        state: The worker's.
        now: `time.monotonic()` seconds.
    """
    silent_s = now - state.loop_at
    if silent_s > LIVE_WITHIN_S:
        return f"the supervisor's loop did not turn for {silent_s:.0f} s"
    return None


def check_ready(state: WorkerState, now: float) -> str | None:
    """Return why the worker takes no work, None while it does.

    Args:
        state: The worker's.
        now: `time.monotonic()` seconds.
    """
    if not state.started:
        return "starting"
    if state.draining:
        return "draining"
    if state.cordoned:
        return "cordoned"
    silent_s = now - state.progress_at
    # With every slot busy it asks for nothing, and that is no fault of the broker's.
    is_full = state.connected and state.busy >= state.slots
    if silent_s > READY_WITHIN_S and not is_full:
        return "no answer from the broker" + (
            f" for {silent_s:.0f} s" if math.isfinite(silent_s) else " yet"
        )
    return None


class Probes:
    """The HTTP server.

    Args:
        state: Gives the worker's state; called from this server's threads.
        host: Address to bind. Kubernetes probes come to the pod's address: use 0.0.0.0 there.
        port: 0 takes any free one.
        metrics: Whether /metrics is there: not for `windlass beat`, which has none of a worker's.
    """

    def __init__(
        self,
        state: Callable[[], WorkerState],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        metrics: bool = True,
    ) -> None:
        self._state = state
        self._metrics = metrics
        self._host = host
        self._port = port
        self._server: _Server | None = None
        self._thread = threading.Thread()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it listens on; the port asked for before `start`."""
        if self._server is None:
            return self._host, self._port
        host, port = self._server.server_address[:2]
        return str(host), int(port)

    def start(self) -> None:
        """Bind and serve from a daemon thread. Call it after every fork: forks copy no threads.

        Raises:
            ProbePortTakenError: The address cannot be bound.
        """
        try:
            self._server = _Server((self._host, self._port), self._state, self._metrics)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ProbePortTakenError(self._host, self._port, reason) from error
        self._thread = threading.Thread(
            target=self._server.serve, name="windlass-probes", daemon=True
        )
        self._thread.start()
        host, port = self.address
        log.info(events.PROBES_STARTED, host=host, port=port)

    def stop(self) -> None:
        """Stop answering and free the port. Does nothing when it does not run."""
        server, self._server = self._server, None
        if server is None:
            return
        server.stopping = True
        # The thread waits for a client without a time-out, so it costs nothing; this is one.
        with contextlib.suppress(OSError), socket.create_connection(server.wake_address, 1.0):
            pass
        self._thread.join(1.0)
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a client that hangs must not hold up the worker's end

    def __init__(
        self, address: tuple[str, int], state: Callable[[], WorkerState], metrics: bool
    ) -> None:
        self.state = state
        self.registry: CollectorRegistry | None = new_registry(state) if metrics else None
        self.stopping = False
        super().__init__(address, _Handler)

    def serve(self) -> None:
        """Answer until `stopping`, each client in a thread of its own."""
        while not self.stopping:
            self.handle_request()

    @property
    def wake_address(self) -> tuple[str, int]:
        """Where to reach ourselves: the wildcard address is not one to connect to."""
        host, port = self.server_address[:2]
        return ("127.0.0.1" if host == "0.0.0.0" else str(host)), int(port)  # noqa: S104 - compared

    def server_bind(self) -> None:
        # HTTPServer's own asks DNS for the host's name, which can take seconds and is never used.
        socketserver.TCPServer.server_bind(self)
        host, port = self.server_address[:2]
        self.server_name, self.server_port = str(host), int(port)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that goes away is no event."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "windlass"
    sys_version = ""
    timeout: ClassVar[float] = _CLIENT_TIMEOUT_S

    def do_GET(self) -> None:
        """Answer one probe or scrape."""
        path = self.path.partition("?")[0]
        registry = self.server.registry
        if path == "/metrics" and registry is not None:
            self._metrics(registry)
        elif path == "/livez":
            self._verdict(check_alive(self.server.state(), time.monotonic()))
        elif path == "/readyz":
            self._verdict(check_ready(self.server.state(), time.monotonic()))
        else:
            known = "/livez or /readyz" if registry is None else "/livez, /readyz or /metrics"
            self._answer(HTTPStatus.NOT_FOUND, f"expected {known}\n".encode())

    def do_HEAD(self) -> None:
        """Answer as to GET, without the body."""
        self.do_GET()

    def _verdict(self, reason: str | None) -> None:
        if reason is None:
            self._answer(HTTPStatus.OK, b"ok\n")
        else:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{reason}\n".encode())

    def _metrics(self, registry: CollectorRegistry) -> None:
        encode, content_type = choose_encoder(self.headers.get("Accept", ""))
        self._answer(HTTPStatus.OK, encode(registry), content_type)

    def _answer(
        self, status: HTTPStatus, body: bytes, content_type: str = "text/plain; charset=utf-8"
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log no request: kubelet asks every few seconds."""
