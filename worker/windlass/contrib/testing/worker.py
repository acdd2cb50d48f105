"""A worker inside the test: it runs in a thread, so tests and tasks see the same memory.

    with start_worker(app):
        assert add.delay(1, 2).get(timeout=10) == 3

It is the whole engine (leases, retries, results, revokes) with the pool solo. What needs a process
of its own is refused at start: other pools, hard time limits, recycling.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from windlass import shared
from windlass.errors import ConfigurationError, WindlassError
from windlass.routing import consumed_queues
from windlass.runtime.shutdown import StopKind
from windlass.runtime.worker import Worker, WorkerOptions

if TYPE_CHECKING:
    from windlass.app import Windlass

#: How long a worker may take to be ready, seconds; a broker that is away is the likely reason.
_START_S = 30.0


class WorkerNotStopped(WindlassError):  # noqa: N818 - read as a sentence in a test's output
    """A task was still running when the worker of a test should have ended."""


class TestWorker:
    """A worker in a thread. `start_worker` makes one.

    Args:
        app: Its tasks and settings.
        options: What it does.
    """

    __test__ = False  # no class of tests, whatever its name

    def __init__(self, app: Windlass, options: WorkerOptions) -> None:
        self.app = app
        self.hostname = options.hostname
        self.queues = options.served_queues
        self._changed = threading.Event()
        self._error: BaseException | None = None
        self._is_ready = False
        self._worker = Worker(app, options, on_event=self._on_event)
        self._thread = threading.Thread(target=self._run, name="test-worker", daemon=True)

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._thread.is_alive()

    def start(self, timeout_s: float) -> None:
        """Start it, and return when it has asked the broker for work once.

        Raises:
            ConfigurationError: It cannot honour what the app asks for.
            TimeoutError: The broker could not be reached in time.
        """
        self._thread.start()
        self._changed.wait(timeout_s)
        if self._error is not None:
            raise self._error
        if not self._is_ready:
            self._worker.request_stop(StopKind.COLD)
            text = f"The test worker was not ready within {timeout_s:g} s: is its broker there?"
            raise TimeoutError(text)

    def stop(self, timeout_s: float) -> None:
        """Let it finish what it runs, and return when it has ended.

        Raises:
            WorkerNotStopped: A task still runs after `timeout_s` seconds.
        """
        self._worker.request_stop(StopKind.WARM)
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self._worker.request_stop(StopKind.COLD)
            text = (
                f"A task was still running {timeout_s:g} s after the test worker was told to stop; "
                "its message was handed back. Let the test wait for its tasks, or raise "
                "shutdown_timeout."
            )
            raise WorkerNotStopped(text)
        if self._error is not None:
            raise self._error

    def _on_event(self, name: str) -> None:
        if name == "ready":
            self._is_ready = True
            self._changed.set()

    def _run(self) -> None:
        try:
            self._worker.run()
        except BaseException as error:  # the test's thread raises it
            self._error = error
        finally:
            self._changed.set()


@contextmanager
def start_worker(
    app: Windlass,
    concurrency: int = 1,
    pool: str = "solo",
    perform_ping_check: bool = True,
    shutdown_timeout: float = 10.0,
    *,
    queues: Sequence[str] = (),
    hostname: str = "test-worker@localhost",
    **options: Any,  # fields of WorkerOptions
) -> Iterator[TestWorker]:
    """Run a worker in a thread for the time of a block.

    Args:
        app: Whose tasks; it is finalised, and the current app of all threads in the block.
        concurrency: 1: it runs one task at a time.
        pool: "solo".
        perform_ping_check: Accepted; the block begins when the worker is ready in any case.
        shutdown_timeout: How long running tasks may go on at the end of the block, seconds.
        queues: To serve; those of the app's settings by default.
        hostname: Its name.
        **options: Fields of `windlass.runtime.worker.WorkerOptions`.

    Raises:
        ConfigurationError: It asks for what a thread of the test cannot do.
        WorkerNotStopped: At the end of the block, if a task still runs.
    """
    del perform_ping_check
    if pool != "solo" or concurrency != 1:
        text = (
            f"The worker inside a test has pool='solo', concurrency=1, not pool={pool!r}, "
            f"concurrency={concurrency}. For other pools start `windlass worker` as a process, on "
            "a broker that processes share."
        )
        raise ConfigurationError(text)
    app.finalize()
    settings = app.conf.current
    chosen = WorkerOptions(
        queues=consumed_queues(settings, queues),
        pool=pool,
        hostname=hostname,
        drain_timeout_s=shutdown_timeout + 1,  # the stop below speaks first
        lease_s=options.pop("lease_s", settings.worker_lease_s),
        **options,
    )
    worker = TestWorker(app, chosen)
    before = shared.swap_apps(app)
    try:
        worker.start(_START_S)
        try:
            yield worker
        finally:
            worker.stop(shutdown_timeout)
    finally:
        shared.swap_apps(*before)
