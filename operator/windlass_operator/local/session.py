"""One run of `windlass up`: broker, loop and workers, started and ended in order.

    start   Redis (if no broker is named) -> loop -> workers, as the work asks for
    end     workers drain -> loop -> Redis and its folder

Next in the walk: `windlass_operator.local.loop`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from windlass.embedded_redis import EmbeddedRedis
from windlass.errors import WindlassError
from windlass.log import scrub
from windlass_operator.brokers import Brokers
from windlass_operator.local.addresses import needs_default, refuse_secrets
from windlass_operator.local.commands import Surroundings, folder_of_app, worker_command
from windlass_operator.local.display import Display
from windlass_operator.local.driver import Driver
from windlass_operator.local.files import InvalidFilesError, Resources
from windlass_operator.local.loop import LocalLoop
from windlass_operator.local.processes import LocalProcess
from windlass_operator.local.snapshot import Rates, Snapshot, snapshot
from windlass_operator.store import Key, Store

_DRAW_S = 0.2
_BROKER_TIMEOUT_S = 4.0
#: After a cold stop; then KILL.
_COLD_S = 10.0
_STEP_S = 0.05
#: So that workers need not warn of a broker that forgets: this one ends with the session anyway.
_REDIS = {"appendonly": "yes", "appendfsync": "no"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says.

    Attributes:
        broker: For queues that name none; '' for a Redis of our own.
        here: The current folder.
        environ: For the workers.
    """

    broker: str = ""
    log_level: str = "INFO"
    here: Path = field(default_factory=Path.cwd)
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


#: Something to do while everything runs; when it is done, everything ends with its exit code.
Work = Callable[["Session"], Awaitable[int]]


class Session:
    """Runs resources until told to stop."""

    def __init__(self, resources: Resources, options: Options, display: Display) -> None:
        if not options.broker:
            refuse_secrets(resources)
        self._resources = resources
        self._options = options
        self.display = display
        self._folders = _folders_of_apps(resources, options.here)
        self._secrets: defaultdict[str, dict[str, dict[str, str]]] = defaultdict(dict)
        self._signals = 0
        self._is_blind = False
        self._called = asyncio.Event()
        self._rates = Rates()
        self._store = Store()
        for body in resources.bodies:
            self._store.put(body["kind"], body)
        epoch_s = time.time() - time.monotonic()
        self._driver = Driver(self._store, self._launch, epoch_s)
        self._loop: LocalLoop | None = None
        #: Address of the default broker, while it runs.
        self.broker_url = options.broker

    @property
    def snapshot(self) -> Snapshot:
        """The newest look at everything."""
        world = self._loop.world if self._loop else None
        return snapshot(world, self._store, self._rates, time.monotonic())

    @property
    def worker_pids(self) -> list[int]:
        """Workers that run now."""
        return self._driver.pids

    async def run(self, work: Work | None = None) -> int:
        """Run until a signal, or until `work` is done; returns the exit code."""
        with self._signal_handlers():
            return await self._run(work)

    async def _run(self, work: Work | None) -> int:
        async with self._broker() as server:
            self._introduce(server)
            brokers = Brokers(_BROKER_TIMEOUT_S)
            self._loop = LocalLoop(
                store=self._store,
                driver=self._driver,
                brokers=brokers,
                default_url=self.broker_url,
                secrets=self._secrets,
                on_event=self.display.event,
            )
            self.display.begin()
            try:
                return await self._until_told(self._loop, work, is_ours=server is not None)
            finally:
                await self._make_sure_of_the_end()
                brokers.close()
                with contextlib.suppress(OSError):
                    self.display.end()

    # -- beginning -------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _broker(self) -> AsyncIterator[EmbeddedRedis | None]:
        if self.broker_url or not needs_default(self._resources.bodies):
            yield None
            return
        server = EmbeddedRedis(config=_REDIS)
        try:
            await asyncio.to_thread(server.start)
            self.broker_url = server.url
            yield server
        finally:
            server.stop()

    def _introduce(self, server: EmbeddedRedis | None) -> None:
        say = self.display.say
        if server is not None:
            version = ".".join(map(str, server.binary.version))
            say(f"Redis {version} ({server.binary.source}), which ends with this command.")
        if self.broker_url:
            say("From another terminal:\n")
            say(f"  export WINDLASS_BROKER_URL={scrub(self.broker_url)}")
            for space in sorted({b["metadata"]["namespace"] for b in self._resources.bodies}):
                if space != "default":
                    say(f"  export WINDLASS_KEYSPACE={space}")
            say()
        for note in self._resources.notes:
            say(f"Note: {note}")
        self.display.flush()

    def _launch(self, pool: Key, pod: str, template: Mapping[str, Any]) -> LocalProcess:
        surroundings = Surroundings(
            secrets=self._secrets[pool[0]],
            environ=self._options.environ,
            folder=self._folders[pool],
            log_level=self._options.log_level,
        )
        loop = self._loop
        return LocalProcess(
            worker_command(pod, template, surroundings),
            on_line=lambda line: self.display.worker_said(pod, line),
            on_end=loop.call if loop else lambda: None,
        )

    # -- going on --------------------------------------------------------------------------------

    async def _until_told(self, loop: LocalLoop, work: Work | None, *, is_ours: bool) -> int:
        ticking = asyncio.create_task(loop.run())
        drawing = asyncio.create_task(self._draw())
        told = asyncio.create_task(self._called.wait())
        working = asyncio.ensure_future(work(self)) if work else None
        try:
            waited = [ticking, drawing, told, *([working] if working else [])]
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            for task in (ticking, drawing):
                if task.done():
                    task.result()  # it only ends by an error
            await _cancelled(ticking)
            code = await self._drain(loop, is_ours=is_ours)
            if working is not None and working.done():
                return working.result()
            return 130 if working is not None else code
        finally:
            await _cancelled(*(task for task in (ticking, drawing, told, working) if task))

    async def _draw(self) -> None:
        while True:
            self._show()
            await asyncio.sleep(_DRAW_S)

    def _show(self) -> None:
        """Show the newest look; whoever closed the terminal or the pipe wants no more of it."""
        if self._is_blind:
            return
        try:
            self.display.show(self.snapshot, time.monotonic())
        except OSError:
            self._is_blind = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self.stop()

    # -- ending ----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _signal_handlers(self) -> Any:
        running = asyncio.get_running_loop()
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in numbers:
            running.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in numbers:
                running.remove_signal_handler(number)

    def stop(self) -> None:
        """Drain; said again: end at once; and again: kill."""
        self._signals += 1
        self._called.set()
        count = len(self._driver.pids)
        if self._signals == 1:
            self.display.say(
                f"Draining: {count} worker(s) finish what they run. Ctrl-C again ends them at "
                "once; what they run is handed back."
                if count
                else "Ending; no worker runs."
            )
        elif self._signals == 2:
            self.display.say(f"Ending {count} worker(s) at once.")
            self._driver.stop_cold()
        else:
            self._driver.kill()

    async def _drain(self, loop: LocalLoop, *, is_ours: bool) -> int:
        self._driver.drain(time.monotonic())
        cold_since_s = None
        while self._driver.pids:
            self._driver.reconcile(time.monotonic())
            with contextlib.suppress(WindlassError):
                await loop.look()
            if self._signals > 1:
                cold_since_s = cold_since_s or time.monotonic()
                if time.monotonic() - cold_since_s > _COLD_S:
                    self._driver.kill()
            await asyncio.sleep(_STEP_S)
        await loop.look()
        self._show()
        self._say_goodbye(is_ours=is_ours)
        return 130 if self._signals > 1 else 0

    def _say_goodbye(self, *, is_ours: bool) -> None:
        rows = self.snapshot.queues
        left = sum((row.waiting or 0) + (row.scheduled or 0) + (row.running or 0) for row in rows)
        done = sum(row.done or 0 for row in rows)
        where = "gone with this Redis" if is_ours else "on the broker still"
        rest = f"; {left:,} not done, {where}" if left else ""
        self.display.say(f"All workers have ended. {done:,} tasks done{rest}.")

    async def _make_sure_of_the_end(self) -> None:
        """Whatever went wrong: no process stays."""
        if not self._driver.pids:
            return
        self._driver.stop_cold()
        for _ in range(int(_COLD_S / _STEP_S)):
            if not self._driver.pids:
                return
            await asyncio.sleep(_STEP_S)
        self._driver.kill()


def _folders_of_apps(resources: Resources, here: Path) -> dict[Key, Path]:
    folders, problems = {}, []
    for (namespace, name), beside in resources.folders.items():
        body = next(
            b for b in resources.bodies
            if b["kind"] == "WorkerPool" and b["metadata"]["name"] == name
            and b["metadata"]["namespace"] == namespace
        )  # fmt: skip
        app = body["spec"]["app"]
        folder = folder_of_app(app, beside, here)
        if folder is None:
            problems.append(
                f"{resources.places['WorkerPool', namespace, name]}: WorkerPool: spec.app: there "
                f"is no module {app!r}, neither beside the file nor in {here}, and none is "
                "installed. Expected what `windlass worker -A` takes, e.g. shop.tasks."
            )
        else:
            folders[namespace, name] = folder
    if problems:
        raise InvalidFilesError(problems)
    return folders


async def _cancelled(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([task])
