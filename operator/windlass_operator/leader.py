"""Leadership by a coordination.k8s.io Lease, as client-go does it: fail-stop.

Who cannot renew in time stops writing at once and ends; a standby, started and synced, takes over.
A stale leader is fenced twice: it checks its own clock before each write, and its writes carry
resourceVersions where order matters.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

from windlass import log as logs
from windlass_operator.kube import Kube, KubeError, Ref

log = logs.get_logger(__name__)


class Leader:
    """One candidate.

    Args:
        duration_s: Others may take over when it has not been renewed for so long.
        renew_s: The holder gives up when it could not renew for so long; less than duration_s.
        retry_s: Time between tries.
    """

    def __init__(
        self,
        kube: Kube,
        *,
        namespace: str,
        name: str,
        identity: str,
        duration_s: float = 15.0,
        renew_s: float = 10.0,
        retry_s: float = 2.0,
    ) -> None:
        self._kube = kube
        self._ref = Ref(kind="Lease", namespace=namespace, name=name)
        self.identity = identity
        self._duration_s = duration_s
        self._renew_s = renew_s
        self._retry_s = retry_s
        self._renewed_s = float("-inf")
        self._seen: tuple[str, float] = ("", 0.0)
        #: The Lease as we last wrote it: renewing it needs no reading, its version is the guard.
        self._mine: dict[str, Any] | None = None
        self.transitions = 0

    @property
    def is_leading(self) -> bool:
        """Whether this process may write now, by its own clock."""
        return time.monotonic() - self._renewed_s < self._renew_s

    async def acquire(self) -> None:
        """Return when this process leads."""
        while not await self._try():  # noqa: ASYNC110  # a Lease is polled, by design
            await asyncio.sleep(self._retry_s)  # the Lease is polled, as designed
        log.info("leadership_won", identity=self.identity)

    async def keep(self) -> None:
        """Renew for as long as it works; returns when leadership is lost."""
        while True:
            await asyncio.sleep(self._retry_s)
            if not await self._try() and not self.is_leading:
                log.error("leadership_lost", identity=self.identity)
                return

    async def release(self) -> None:
        """Give the Lease up at an orderly end, so that a standby need not wait."""
        if not self.is_leading:
            return
        self._renewed_s = float("-inf")
        try:
            lease = await self._kube.get(self._ref)
            if lease and lease["spec"].get("holderIdentity") == self.identity:
                lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                await self._kube.replace(lease)
        except KubeError as error:
            log.warning("lease_not_released", error=str(error))

    async def _try(self) -> bool:
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(self._renew_s):
                lease, self._mine = self._mine, None
                lease = lease or await self._kube.get(self._ref)
                if lease is None:
                    self._mine = await self._kube.create(self._fresh())
                elif not await self._take(lease):
                    return False
        except (KubeError, TimeoutError) as error:
            log.warning("lease_not_renewed", error=str(error) or "no answer in time")
            return False
        # From before the request: the server's clock of the Lease starts no earlier.
        self._renewed_s = began_s
        return True

    async def _take(self, lease: dict[str, Any]) -> bool:
        spec = lease["spec"]
        holder = spec.get("holderIdentity") or ""
        if holder and holder != self.identity and not self._has_run_out(spec):
            return False
        if holder != self.identity:
            spec["leaseTransitions"] = spec.get("leaseTransitions", 0) + 1
            spec["acquireTime"] = _now()
            self.transitions = spec["leaseTransitions"]
        spec |= {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": int(self._duration_s),
            "renewTime": _now(),
        }
        self._mine = await self._kube.replace(lease)
        return True

    def _has_run_out(self, spec: dict[str, Any]) -> bool:
        """Whether the holder has not renewed for its duration, by our clock, not by its stamps."""
        version = f"{spec.get('holderIdentity')}@{spec.get('renewTime')}"
        if version != self._seen[0]:
            self._seen = (version, time.monotonic())
            return False
        duration_s = float(spec.get("leaseDurationSeconds") or self._duration_s)
        return time.monotonic() - self._seen[1] > duration_s

    def _fresh(self) -> dict[str, Any]:
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._ref.name, "namespace": self._ref.namespace},
            "spec": {
                "holderIdentity": self.identity,
                "leaseDurationSeconds": int(self._duration_s),
                "acquireTime": _now(),
                "renewTime": _now(),
                "leaseTransitions": 0,
            },
        }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # for people
