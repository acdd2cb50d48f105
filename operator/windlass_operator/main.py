"""`windlass-operator`: starts the parts in their order, and ends the process when one of them ends.

settings -> client -> health port -> Lease -> first listing -> watches (kopf) -> loop
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time

import kopf

from windlass import log as logs
from windlass.errors import WindlassError
from windlass_operator import allocator
from windlass_operator.addresses import Addresses
from windlass_operator.apply import Applier
from windlass_operator.brokers import Brokers
from windlass_operator.handlers import watches
from windlass_operator.handlers.watch_settings import watch_settings
from windlass_operator.health import Health
from windlass_operator.kube import Kube
from windlass_operator.leader import Leader
from windlass_operator.loop import Loop
from windlass_operator.metrics import Metrics
from windlass_operator.recorder import Recorder
from windlass_operator.resync import Resync
from windlass_operator.settings import OperatorSettings
from windlass_operator.store import Store

log = logs.get_logger(__name__)

#: A loop that has not ticked for so many periods is stuck.
_STUCK_TICKS = 5


class Operator:
    """All parts of one process."""

    def __init__(self, settings: OperatorSettings, kube: Kube) -> None:
        self.settings = settings
        self.kube = kube
        self.store = Store()
        self.metrics = Metrics()
        self.brokers = Brokers(settings.broker_timeout_s)
        self.leader = Leader(
            kube,
            namespace=settings.namespace,
            name=settings.lease_name,
            identity=f"{settings.pod_name}_{os.getpid()}",
            duration_s=settings.lease_duration_s,
            renew_s=settings.lease_renew_s,
            retry_s=settings.lease_retry_s,
        )
        recorder = Recorder(kube, settings.pod_name)
        self.applier = Applier(
            kube, self.brokers, self.store, recorder, lambda: self.leader.is_leading
        )
        self.loop = Loop(
            store=self.store,
            brokers=self.brokers,
            addresses=Addresses(kube, settings),
            applier=self.applier,
            metrics=self.metrics,
            tick_s=settings.tick_s,
            image_pull_secrets=settings.image_pull_secrets,
        )
        self.resync = Resync(kube, self.store, settings.watch_namespaces, self.loop.call)
        self.health = Health(self.metrics.registry, live=[self._is_stuck], ready=[self._is_behind])
        self._stop = asyncio.Event()
        self._is_running = False

    def stop(self) -> None:
        """End in order."""
        self._stop.set()

    async def run(self) -> int:
        """Run until told to stop (0) or until a part has ended by itself (1)."""
        allocator.limit_arenas()
        await self.health.start(self.settings.health_host, self.settings.health_port)
        stopping = asyncio.create_task(self._stop.wait())
        acquiring = asyncio.create_task(self.leader.acquire())
        await asyncio.wait({stopping, acquiring}, return_when=asyncio.FIRST_COMPLETED)
        status = 0
        if self._stop.is_set():
            acquiring.cancel()
        else:
            self.metrics.leading.set(1)
            status = await self._lead(stopping)
        await self.leader.release()
        await self.health.stop()
        self.brokers.close()
        await self.kube.close()
        return status

    async def _lead(self, stopping: asyncio.Task[bool]) -> int:
        registry = kopf.OperatorRegistry()
        watches.register(registry, self.store, self.loop.call, self.resync.soon)
        stop_flag = asyncio.Event()
        parts = {
            asyncio.create_task(self.leader.keep(), name="leadership"),
            asyncio.create_task(self._watch(registry, stop_flag), name="watches"),
            asyncio.create_task(self._tick(), name="loop"),
            asyncio.create_task(self.resync.run(), name="listings"),
        }
        done, _ = await asyncio.wait({stopping, *parts}, return_when=asyncio.FIRST_COMPLETED)
        ended = [task for task in done if task is not stopping]
        for task in ended:
            error = task.exception()
            log.error("part_ended", part=task.get_name(), error=repr(error), exc_info=error)
        stop_flag.set()
        for task in parts:
            if task.get_name() != "watches":
                task.cancel()
        await asyncio.gather(*parts, return_exceptions=True)
        return 1 if ended else 0

    async def _watch(self, registry: kopf.OperatorRegistry, stop_flag: asyncio.Event) -> None:
        namespaces = self.settings.watch_namespaces
        await kopf.operator(
            registry=registry,
            settings=watch_settings(),
            standalone=True,
            clusterwide=not namespaces,
            namespaces=namespaces,
            stop_flag=stop_flag,
        )

    async def _tick(self) -> None:
        await self.resync.first()
        self._is_running = True
        allocator.give_back()
        await self.loop.run()

    def _is_behind(self) -> str:
        is_behind = self.leader.is_leading and not self._is_running
        return "the first listing has not come in" if is_behind else ""

    def _is_stuck(self) -> str:
        age_s = time.monotonic() - self.loop.ticked_s
        limit_s = max(_STUCK_TICKS * self.settings.tick_s, 60.0)
        if self._is_running and age_s > limit_s:
            return f"the last tick ended {age_s:.0f} s ago"
        return ""


async def run(settings: OperatorSettings) -> int:
    """Connect and run until told to stop."""
    operator = Operator(settings, await Kube.connect())
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, operator.stop)
    return await operator.run()


def main() -> None:
    """Entry point of the console script."""
    try:
        settings = OperatorSettings.from_env(os.environ)
        logs.configure(settings.log_level)
        logging.getLogger("kopf").setLevel(logging.WARNING)  # a line for each event of a watch
        sys.exit(asyncio.run(run(settings)))
    except WindlassError as error:
        sys.exit(f"windlass-operator: {error}")
