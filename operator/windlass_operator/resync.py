"""Lists everything that is watched: before the first tick, and now and then against silent watches.

A watch cannot say that its first listing is complete, and a tick on half of it would do harm: a
pool whose Deployment is not known yet looks like one that has none. So the loop starts after this.
What a listing does not show any more is forgotten, even if the watch never said so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from windlass import log as logs
from windlass_operator import allocator
from windlass_operator.desired.names import MANAGED_BY, OPERATOR, POOL
from windlass_operator.kube import Kube, KubeError
from windlass_operator.store import Key, Store, key_of

log = logs.get_logger(__name__)

#: Between two listings, seconds: a watch that went silent is noticed within this time.
PERIOD_S = 300.0
#: The second listing, soon after the watches began: what changed between the two beginnings.
SECOND_S = 10.0
_RETRY_S = 2.0
_OURS = f"{POOL},{MANAGED_BY}={OPERATOR}"
#: Kind -> label selector; the children before their owners, so that no owner looks childless.
LISTED = {
    "Pod": _OURS,
    "Deployment": _OURS,
    "ServiceAccount": _OURS,
    "PodDisruptionBudget": _OURS,
    "TaskQueue": "",
    "WorkerPool": "",
    "BeatSchedule": "",
}


class Resync:
    """Fills the store by listing.

    Args:
        namespaces: Those that are served; empty for all.
        tell: Called after each listing.
    """

    def __init__(
        self, kube: Kube, store: Store, namespaces: Sequence[str], tell: Callable[[], None]
    ) -> None:
        self._kube = kube
        self._store = store
        self._namespaces = tuple(namespaces) or ("",)
        self._tell = tell
        self._missed = asyncio.Event()

    def soon(self) -> None:
        """Have the next listing come now: a watch may have missed something."""
        self._missed.set()

    async def first(self) -> None:
        """Return when everything was listed once; what fails is tried again for ever."""
        while not await self._try():  # noqa: ASYNC110  # the API server is asked, by design
            await asyncio.sleep(_RETRY_S)

    async def run(self) -> None:
        """List again soon, then now and then, and when it is called for."""
        pause_s = SECOND_S
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._missed.wait()
            self._missed.clear()
            pause_s = PERIOD_S if await self._try() else _RETRY_S
            allocator.give_back()

    async def _try(self) -> bool:
        try:
            for kind, selector in LISTED.items():
                for namespace in self._namespaces:
                    await self._list(kind, namespace, selector)
        except KubeError as error:
            log.warning("listing_failed", error=str(error))
            return False
        self._tell()
        return True

    async def _list(self, kind: str, namespace: str, selector: str) -> None:
        listed: set[Key] = set()
        version, more = "", ""
        while True:
            page = await self._kube.list_page(kind, namespace, selector=selector, more=more)
            for body in page["items"]:  # nothing of a page is kept: all of them are large
                self._store.put(kind, body)
                listed.add(key_of(body))
            metadata = page["metadata"]
            version, more = version or metadata["resourceVersion"], metadata.get("continue", "")
            if not more:
                break
        self._store.replace(kind, namespace, listed, version)
