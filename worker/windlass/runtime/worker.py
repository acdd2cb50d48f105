"""A worker process from start to end, in order. `Worker(app, options).run()` is the whole of it.

    start   check limits, import the app -> fork the zygote (before any thread) -> ask the broker
            whether it is safe -> slots, threads, signals, probes -> the supervisor's loop
    stop    all is settled: the loop ends -> threads -> goodbye -> slots, zygote -> connections
Next in the walk: `windlass.runtime.assembly`, `windlass.runtime.supervisor`.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from windlass import events, signals
from windlass.brokers.base import Capability
from windlass.brokers.capabilities import require
from windlass.errors import BrokerError, ConfigurationError, UnsafeBrokerError
from windlass.log import get_logger
from windlass.pools.base import Pool, find_pool
from windlass.runtime import shutdown
from windlass.runtime.assembly import Machine, assemble
from windlass.runtime.crew import Spawner
from windlass.runtime.executor import Executor
from windlass.runtime.limits import AlarmLimit
from windlass.runtime.shutdown import StopKind
from windlass.runtime.slot_main import serve_slot
from windlass.runtime.solo_spawner import SoloSpawner
from windlass.runtime.state import WorkerState
from windlass.runtime.zygote import SlotEnds, SlotEntry, ignore_signals, start_zygote
from windlass.stopping import StopFlag

if TYPE_CHECKING:
    from windlass.app import Windlass

log = get_logger(__name__)

#: How long the last message to the broker may take, seconds.
_GOODBYE_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """What one worker does; flags and settings have been merged.

    Attributes:
        queues: To serve, in order.
        exclude: Queues of these not to serve.
        concurrency: Tasks that run at once, at least 1.
        pool: prefork, threads, asyncio or solo.
        hostname: Name of the worker, as Celery's node name.
        max_tasks_per_child: Messages after which a slot process is replaced, None: never.
        max_memory_per_child_kib: Resident memory above which it is replaced, KiB, None: never.
        time_limit_s: Hard limit of tasks without one of their own. It is the app's setting that
            counts; a value that differs from it is an error.
        soft_time_limit_s: The same for the soft limit.
        drain_timeout_s: How long running tasks may go on after TERM.
        lease_s: Length of a lease; renewed each third of it.
        strict: Serve queues strictly in order.
        health_host: Address of the probes.
        health_port: Their port, 0 for any, None for no probes.
        beat: Send periodic tasks as well.
    """

    queues: tuple[str, ...] = ("default",)
    exclude: tuple[str, ...] = ()
    concurrency: int = 1
    pool: str = "prefork"
    hostname: str = "windlass"
    max_tasks_per_child: int | None = None
    max_memory_per_child_kib: int | None = None
    time_limit_s: float | None = None
    soft_time_limit_s: float | None = None
    drain_timeout_s: float = 300.0
    lease_s: float = 15.0
    strict: bool = False
    health_host: str = "127.0.0.1"
    health_port: int | None = None
    beat: bool = False

    @property
    def served_queues(self) -> tuple[str, ...]:
        """The queues, less the excluded ones, each once."""
        return tuple(name for name in dict.fromkeys(self.queues) if name not in self.exclude)


class Worker:
    """One worker.

    Args:
        app: Its tasks and settings; finalised here if it is not.
        options: What it does.
        on_event: Called as on_event(name) at "ready" and "stopped"; for tests and embedders.
    """

    def __init__(
        self,
        app: Windlass,
        options: WorkerOptions,
        *,
        on_event: Callable[[str], None] | None = None,
    ) -> None:
        self._app = app
        self._options = options
        self._on_event = on_event or (lambda _name: None)
        self._pool = find_pool(options.pool)
        self._machine: Machine | None = None
        self._stop_asked: StopKind | None = None
        self._started_at = monotonic()
        self.app = app
        self.hostname = options.hostname
        self.worker_id = f"{options.hostname}-{os.getpid()}-{os.urandom(3).hex()}"
        self._state = WorkerState(
            hostname=options.hostname,
            pool=self._pool.name,
            queues=options.served_queues,
            slots=self._pool.slots(options.concurrency),
            loop_at=monotonic(),
        )

    def worker_state(self) -> WorkerState:
        """Return the live state; its fields are replaced or counted up, never half-written."""
        return self._state

    def request_stop(self, kind: StopKind = StopKind.WARM) -> None:
        """Ask the worker to stop; from any thread."""
        self._stop_asked = kind
        if self._machine is not None:
            self._machine.mailbox.post(kind)

    def run(self) -> int:
        """Work until told to stop.

        Returns:
            Exit status: 0 when everything was settled or handed back, 1 when the broker could not
            be told.

        Raises:
            ConfigurationError: The options ask for what the pool cannot do, or no queue is left.
            UnsafeBrokerError: The broker may evict messages, and that is not allowed.
        """
        app, options = self._app, self._options
        app.finalize()
        if "django" in sys.modules:
            importlib.import_module("windlass.contrib.django").install_where_used()
        signals.worker_init.send(self)
        refuse_impossible(app, options, self._pool)
        if self._pool.has_own_process:
            require(app.broker, (Capability.PROCESSES,), f"Pool {self._pool.name}")
        self._started_at = monotonic()
        # Before the fork, so that what connecting allocates is shared by all processes.
        self._check_broker()
        app.broker.close()
        app.stop_flag = self._state.stop_flag = StopFlag()
        spawner = self._start_spawner()
        try:
            machine = assemble(
                app, options, self.worker_id, self._pool, self._state, spawner, self._on_started
            )
        except BaseException:
            spawner.close()
            raise
        self._machine = machine
        if self._stop_asked is not None:
            machine.mailbox.post(self._stop_asked)
        restore = self._take_signals(machine)
        probes = None
        end_beat: Callable[[], None] | None = None
        try:
            machine.start()
            probes = self._start_probes()
            end_beat = self._start_beat()
            self._work(machine, spawner)
        finally:
            app.stop_flag = None  # a program may go on without the worker
            machine.stop(_GOODBYE_S)
            if end_beat is not None:
                end_beat()
            if probes is not None:
                probes.stop()
            restore()
        return self._end(machine)

    def _on_started(self) -> None:
        """The slots are up and the first fetch was answered."""
        log.info(
            events.WORKER_STARTED,
            worker_id=self.worker_id,
            pool=self._pool.name,
            slots=self._state.slots,
            queues=self._options.served_queues,
            start_s=round(monotonic() - self._started_at, 3),
        )
        signals.worker_ready.send(self)
        self._on_event("ready")

    def _start_spawner(self) -> Spawner:
        if not self._pool.has_own_process:
            return SoloSpawner(owns_process=not is_embedded())
        return start_zygote(self._slot_entry())

    def _slot_entry(self) -> SlotEntry:
        """Make what runs in a slot; imported here, so that all slots share its memory."""
        pool, app, hostname = self._pool, self._app, self._options.hostname
        loop, lanes = pool.load(), pool.shape(self._options.concurrency)[1]
        soft_limit: Any = AlarmLimit  # or one of thread_limits: contexts by seconds
        is_thread = is_embedded() and not pool.has_own_process
        if pool.name in ("threads", "asyncio") or is_thread:
            module = importlib.import_module("windlass.runtime.thread_limits")
            soft_limit = module.LoopLimit if pool.name == "asyncio" else module.ThreadLimit
        if any(task.is_async for task in app.tasks.values()):
            importlib.import_module("windlass.runtime.coroutines")

        def entry(_index: int, ends: SlotEnds) -> None:
            executor = Executor(app, hostname=hostname, soft_limit=soft_limit(), pool=pool.name)
            signals.worker_process_init.send(None)
            serve_slot(ends, lambda channel: loop(channel, executor, lanes), executor.set_limits)
            signals.worker_process_shutdown.send(None, pid=os.getpid(), exitcode=0)

        return entry

    def _check_broker(self) -> None:
        """Refuse a broker that may drop messages; one that is away is waited for later."""
        settings = self._app.conf.current
        try:
            health = self._app.broker.check()
        except BrokerError as error:
            log.warning(events.BROKER_WARNED, warning=str(error))
            return
        for warning in health.warnings:
            log.warning(events.BROKER_WARNED, warning=warning)
        policy = health.maxmemory_policy
        if policy not in (None, "noeviction"):
            if not settings.broker_allow_eviction:
                raise UnsafeBrokerError(policy or "")
            log.warning(events.BROKER_WARNED, warning=str(UnsafeBrokerError(policy or "")))

    def _take_signals(self, machine: Machine) -> Callable[[], None]:
        """Have stop signals wake the loop; returns what puts the old handlers back."""
        if is_embedded():
            return lambda: None  # whoever owns the process owns its signals
        old = {signum: signal.getsignal(signum) for signum in shutdown.SIGNALS}
        signal.set_wakeup_fd(machine.mailbox.wake_fd, warn_on_full_buffer=False)
        ignore_signals(*shutdown.SIGNALS)

        def restore() -> None:
            signal.set_wakeup_fd(-1)
            for signum, handler in old.items():
                signal.signal(signum, handler if handler is not None else signal.SIG_DFL)

        return restore

    def _start_beat(self) -> Callable[[], None] | None:
        if not self._options.beat:
            return None
        # After the fork, and only where it is asked for: slots must not carry it.
        module = importlib.import_module("windlass.beat.service")
        end: Callable[[], None] = module.start_beside(self._app)
        return end

    def _start_probes(self) -> Any:
        if self._options.health_port is None:
            return None
        # After the fork: slots must not carry the HTTP server and the metrics library.
        module = importlib.import_module("windlass.runtime.probes")
        probes = module.Probes(
            self.worker_state, host=self._options.health_host, port=self._options.health_port
        )
        probes.start()
        return probes

    def _work(self, machine: Machine, spawner: Spawner) -> None:
        if not isinstance(spawner, SoloSpawner):
            machine.supervisor.run()
            return
        spawner.run_beside(machine.supervisor.run, self._slot_entry())

    def _end(self, machine: Machine) -> int:
        status = 0 if machine.supervisor.is_clean else 1
        log.info(events.WORKER_STOPPED, worker_id=self.worker_id, status=status)
        signals.worker_shutdown.send(self)
        self._on_event("stopped")
        if machine.wants_restart:
            restart(sys.executable, sys.orig_argv)
        return status


def is_embedded() -> bool:
    """Whether this worker is a thread of a program: the process is not its own."""
    return threading.current_thread() is not threading.main_thread()


def refuse_impossible(app: Windlass, options: WorkerOptions, pool: Pool) -> None:
    """Refuse what the pool cannot honour, in words.

    Raises:
        ConfigurationError: See above.
    """
    if not options.served_queues:
        text = "No queue is left to serve. Expected at least one: see -Q, -X and task_queues."
        raise ConfigurationError(text)
    settings = app.conf.current
    for given, name in (
        (options.time_limit_s, "task_time_limit"),
        (options.soft_time_limit_s, "task_soft_time_limit"),
    ):
        if given is not None and given != getattr(settings, name):
            text = f"WorkerOptions says {given} s and the setting {name} {getattr(settings, name)}."
            raise ConfigurationError(f"{text} Set it in the app's configuration.")
    if pool.has_own_process:
        return
    limited = [name for name, task in app.tasks.items() if task.time_limit]
    if settings.task_time_limit:
        limited.append("the setting task_time_limit")
    if limited:
        text = (
            f"Pool solo cannot honour a hard time limit, which kills the task's process: "
            f"{', '.join(sorted(limited))}. Use -P prefork, or a soft limit."
        )
        raise ConfigurationError(text)
    if options.max_tasks_per_child or options.max_memory_per_child_kib:
        text = (
            "Pool solo has no slot process to replace: --max-tasks-per-child and "
            "--max-memory-per-child need -P prefork, threads or asyncio."
        )
        raise ConfigurationError(text)


def restart(executable: str, argv: list[str]) -> None:
    """Replace this process by a new one with the same command line (HUP)."""
    if not executable or not argv:
        log.error(events.RESTART_REFUSED, reason="the command line of this process is not known")
        return
    os.execv(executable, [executable, *argv[1:]])  # noqa: S606 # the same program, on purpose
