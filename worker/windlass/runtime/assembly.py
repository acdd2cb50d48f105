"""Puts the parts of a worker together. The only place that knows all of them.

Next in the walk: `windlass.runtime.supervisor`.
"""

from __future__ import annotations

import importlib
import os
import selectors
import threading
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from windlass import connections
from windlass._version import __version__
from windlass.brokers.base import ControlMessage
from windlass.control_plane import heartbeats
from windlass.control_plane.parking import ParkLimits
from windlass.errors import WindlassError
from windlass.pools.base import Pool
from windlass.runtime.broker_clock import BrokerClock
from windlass.runtime.casualties import Casualties
from windlass.runtime.chores import Chores
from windlass.runtime.control import ControlListener
from windlass.runtime.crew import Crew, Spawner
from windlass.runtime.declaring_limits import declaration, declared_limits
from windlass.runtime.dispatch import Dispatcher
from windlass.runtime.errand import Errand
from windlass.runtime.exchange import Answer, Exchange, Mailbox, Waker
from windlass.runtime.executor import Executor
from windlass.runtime.facts import Describer
from windlass.runtime.finishing import Finisher
from windlass.runtime.hand import Grants, Reader
from windlass.runtime.lease_keeper import Cordon, LeaseKeeper
from windlass.runtime.orders import Orders
from windlass.runtime.recycling import Recycling
from windlass.runtime.settle import Settler, Unfenced
from windlass.runtime.shutdown import Shutdown
from windlass.runtime.slots import Slot
from windlass.runtime.state import WorkerState
from windlass.runtime.supervisor import Parts, Supervisor
from windlass.runtime.traffic import Terms, Traffic

if TYPE_CHECKING:
    from windlass.app import Windlass
    from windlass.runtime.outbox import OutboxThread
    from windlass.runtime.worker import WorkerOptions


class Machine:
    """A worker's moving parts, to be started and stopped together."""

    def __init__(self, parts: Parts, supervisor: Supervisor, threads: list[Any]) -> None:
        self._parts = parts
        self._threads = threads
        self.supervisor = supervisor
        self.mailbox = parts.mailbox
        self.brokers: list[Any] = []
        self.say_goodbye: Any = lambda: None

    @property
    def wants_restart(self) -> bool:
        """Whether the worker is to start again with the same command line."""
        return self._parts.shutdown.wants_restart and self.supervisor.is_clean

    def start(self) -> None:
        """Start slots and threads; slots first, the fork of the zygote is long done."""
        self._parts.crew.open_all(monotonic())
        for thread in self._threads:
            thread.start()

    def stop(self, goodbye_s: float) -> None:
        """Stop threads, say goodbye (for so long at most), end slots, close connections."""
        for thread in self._threads:
            thread.stop()
        goodbye = threading.Thread(target=self._goodbye, name="goodbye", daemon=True)
        goodbye.start()
        self._parts.crew.close()
        goodbye.join(goodbye_s)
        for broker in self.brokers:
            broker.close()
        self._parts.selector.close()
        self._parts.mailbox.close()

    def _goodbye(self) -> None:
        try:
            self.say_goodbye()
        except WindlassError:
            return  # the heartbeat runs out by itself


def assemble(
    app: Windlass,
    options: WorkerOptions,
    worker_id: str,
    pool: Pool,
    state: WorkerState,
    spawner: Spawner,
    on_started: Callable[[], None],
) -> Machine:
    """Build a worker; `on_started` is called when its first fetch was answered."""
    return _Builder(app, options, worker_id, pool, state, on_started).build(spawner)


class _Builder:
    def __init__(
        self,
        app: Windlass,
        options: WorkerOptions,
        worker_id: str,
        pool: Pool,
        state: WorkerState,
        on_started: Callable[[], None],
    ) -> None:
        self._on_started = on_started
        self._app = app
        self._options = options
        self._worker_id = worker_id
        self._pool = pool
        self._state = state
        self._mailbox = Mailbox()
        self._selector = selectors.DefaultSelector()
        self._broker = app.new_broker()
        #: Of its own: its connections are closed to cut a wait short.
        self._wait_broker = app.new_broker()
        #: Of its own, so that what is said to workers is heard while waits are cut short.
        self._control_broker = app.new_broker()
        self._describer = Describer(app, state)
        lost_after_s = app.conf.current.task_join_lost_after
        dead_result = partial(connections.parked_result, app.conf.current)
        self._chores = Chores(
            self._broker,
            options.queues,
            lost_after_s=lost_after_s,
            park_limits=ParkLimits(self._broker, worker_id, dead_result),
        )
        self._grants = Grants()
        self._listens = threading.Event()
        self._clock = BrokerClock()
        self._supervisor: Supervisor | None = None

    def build(self, spawner: Spawner) -> Machine:
        options, state = self._options, self._state
        settler = self._settler()
        outbox = self._outbox()
        exchange, errand = self._exchange(outbox)
        waker = Waker(self._wait_broker, self._mailbox.post)
        traffic = Traffic(
            self._terms(),
            exchange,
            waker,
            state,
            on_dropped=lambda settlement: self._grants.settled((settlement.token,)),
        )
        casualties = Casualties(settler, traffic, state)
        crew = self._crew(spawner)
        dispatcher = Dispatcher(crew.slots, traffic, settler, crew.watch_writes)
        keeper = self._keeper()
        parts = Parts(
            selector=self._selector,
            mailbox=self._mailbox,
            crew=crew,
            dispatcher=dispatcher,
            traffic=traffic,
            errand=errand,
            clock=self._clock,
            casualties=casualties,
            finisher=Finisher(settler, traffic, dispatcher, self._grants, state),
            orders=self._orders(crew, dispatcher, casualties),
            reader=self._reader(),
            grants=self._grants,
            shutdown=Shutdown(options.drain_timeout_s),
            state=state,
            lease_s=options.lease_s,
            has_own_process=self._pool.has_own_process,
            beat_soon=keeper.beat_soon,
        )
        supervisor = self._supervisor = Supervisor(parts, self._on_started)
        self._selector.register(self._mailbox, selectors.EVENT_READ, supervisor.on_mail)
        self._selector.register(spawner, selectors.EVENT_READ, supervisor.on_zygote)
        control = ControlListener(
            self._control_broker,
            self._on_control(keeper),
            self._on_call(parts),
            self._listens.set,
        )
        threads = [exchange, waker, keeper, control, *filter(None, (outbox,))]
        machine = Machine(parts, supervisor, threads)
        machine.brokers = [self._broker, self._wait_broker, self._control_broker]
        machine.say_goodbye = lambda: heartbeats.say_goodbye(self._broker, self._worker_id)
        return machine

    def _exchange(self, outbox: OutboxThread | None) -> tuple[Exchange, Errand]:
        names, post = tuple(self._app.tasks), self._on_answer(outbox)
        exchange = Exchange(self._broker, self._worker_id, names, self._store_unfenced, post)
        exchange.prelude = declaration(self._app, self._broker, declared_limits(self._app))
        errand = Errand(self._selector, self._broker.begin_step, self._on_step(outbox))
        exchange.errand = errand
        return exchange, errand

    def _outbox(self) -> OutboxThread | None:
        """Make what copies outcomes, where results are kept elsewhere."""
        settings = self._app.conf.current
        if not (settings.results_enabled and connections.is_elsewhere(settings)):
            return None
        from windlass.runtime.outbox import make_outbox  # noqa: PLC0415 - rarely needed

        return make_outbox(self._app)

    def _on_answer(self, outbox: OutboxThread | None) -> Callable[[Answer], None]:
        post = self._mailbox.post
        if outbox is None:
            return post

        def take(answer: Answer) -> None:
            post(answer)
            if answer.job.settlements or answer.job.unfenced:
                outbox.hurry()

        return take

    def _on_step(self, outbox: OutboxThread | None) -> Callable[[Answer], None]:
        def take(answer: Answer) -> None:
            if self._supervisor is not None:
                self._supervisor.on_step(answer)
            if outbox is not None:
                outbox.hurry()

        return take

    def _terms(self) -> Terms:
        options = self._options
        return Terms(
            worker_id=self._worker_id,
            queues=options.served_queues,
            lease_s=options.lease_s,
            strict=options.strict,
        )

    def _settler(self) -> Settler:
        settings = self._app.conf.current
        return Settler(
            self._worker_id,
            ttl_ms=round((settings.result_expires or 0) * 1000),
            stores_results=settings.results_enabled,
            serializer=settings.result_serializer,
            clock=self._clock,
            seals=settings.seals,
            keeps=self._state.keeps,
        )

    def _crew(self, spawner: Spawner) -> Crew:
        options = self._options
        return Crew(
            spawner,
            self._selector,
            self._pool.shape(options.concurrency),
            recycling=Recycling(
                max_tasks=options.max_tasks_per_child,
                max_memory_kib=options.max_memory_per_child_kib,
            ),
            state=self._state,
            on_ready=self._on_slot,
        )

    def _on_slot(self, slot: Slot, mask: int) -> None:
        if self._supervisor is not None:
            self._supervisor.on_slot(slot, mask)

    def _reader(self) -> Reader:
        limits = Executor(
            self._app, hostname=self._options.hostname, soft_limit=None, pool=self._pool.name
        )
        return Reader(self._describer, limits)

    def _orders(self, crew: Crew, dispatcher: Dispatcher, casualties: Casualties) -> Orders:
        return Orders(
            self._worker_id,
            crew,
            dispatcher,
            casualties,
            self._grants,
            pool=self._pool,
            request_stop=self._mailbox.post,
        )

    def _on_control(self, keeper: LeaseKeeper) -> Callable[[object], None]:
        def take(message: object) -> None:
            if not isinstance(message, ControlMessage) or message.kind != "cordon":
                self._mailbox.post(message)
            elif self._worker_id in message.workers:
                keeper.beat_soon()  # its answer says until when

        return take

    def _keeper(self) -> LeaseKeeper:
        return LeaseKeeper(
            self._broker,
            self._grants,
            self._options.lease_s,
            beat=self._beat,
            ids_in_hand=lambda: self._supervisor.ids_in_hand if self._supervisor else [],
            post=self._mailbox.post,
            chores=self._chores.run_once,
            listens=self._listens.wait,
        )

    def _on_call(self, parts: Parts) -> Callable[[Any], None]:
        """Return what answers remote commands; it is imported when the first one comes."""
        if not self._app.conf.current.worker_enable_remote_control:
            return lambda _message: None
        started_at = monotonic()
        remote: Any = None

        def on_call(message: Any) -> None:
            nonlocal remote
            if remote is None:
                module = importlib.import_module("windlass.runtime.remote")
                context = module.Context(
                    app=self._app,
                    options=self._options,
                    worker_id=self._worker_id,
                    pool=self._pool,
                    parts=parts,
                    describer=self._describer,
                    chores=self._chores,
                    broker=self._control_broker,
                    post=self._mailbox.post,
                    started_at=started_at,
                )
                remote = module.Remote(context)
            remote.on_call(message)

        return on_call

    def _beat(self) -> None:
        options, state = self._options, self._state
        status = heartbeats.WorkerStatus(
            worker_id=self._worker_id,
            hostname=options.hostname,
            pid=os.getpid(),
            app=str(self._app.main or ""),
            version=__version__,
            queues=list(state.queues),
            pool=self._pool.name,
            slots=state.slots,
            busy=state.busy,
            running=state.running,
            held=max(0, state.leased - state.busy),
            draining=state.draining,
            cordoned_since_ms=state.cordoned_since_ms,
            largest_time_limit_s=self._largest_limit_s(),
            tasks_done=state.tasks_done,
        )
        until_ms = heartbeats.beat(self._broker, status, round(options.lease_s * 2000))
        state.progress_at = monotonic()
        # A worker that is full does not fetch: this is how it learns of a cordon.
        if bool(until_ms) != state.cordoned:
            self._mailbox.post(Cordon(until_ms=until_ms))
            self._wait_broker.end_wait()

    def _largest_limit_s(self) -> float:
        default = self._app.conf.current.task_time_limit or 0.0
        return float(max((t.time_limit or default for t in self._app.tasks.values()), default=0.0))

    def _store_unfenced(self, unfenced: Unfenced) -> None:
        backend = self._app.backend
        if backend is not None and unfenced.result is not None:
            backend.store_raw(unfenced.id, unfenced.result.payload, unfenced.result.ttl_ms)
