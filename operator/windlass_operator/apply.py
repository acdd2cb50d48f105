"""Carries plans out: one small method an action. Knows nothing of why.

Every write is refused when this process may have lost its leadership.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from windlass.errors import WindlassError
from windlass_operator import status_writer
from windlass_operator.brokers import Brokers
from windlass_operator.desired.names import FINALIZER
from windlass_operator.kube import MERGE, Kube, Ref
from windlass_operator.models.resource import API_VERSION, Identity
from windlass_operator.plan import (
    Action,
    ApplyObject,
    CordonWorker,
    DeleteObject,
    EmitEvent,
    Manager,
    PauseSchedule,
    Plan,
    PurgeQueue,
    PutSchedule,
    RemoveSchedule,
    SetDeletionCost,
    SetFinalizer,
    SetReplicas,
    SetStatus,
    TriggerSchedule,
    UncordonWorker,
    WriteRecord,
)
from windlass_operator.recorder import Recorder
from windlass_operator.schedule_calls import do_to_schedule
from windlass_operator.store import Store
from windlass_operator.views import DELETION_COST


class NotLeaderError(WindlassError):
    """This process may not write: its Lease ran out or is another's."""


class TakenInError(WindlassError):
    """A child that was thought to be missing is there; what was planned is to be planned anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The object that a plan is about, and where its queue lives.

    Attributes:
        url: Address for the operator, '' when no broker is known.
    """

    identity: Identity
    url: str = ""


class Applier:
    """Carries actions out."""

    def __init__(
        self,
        kube: Kube,
        brokers: Brokers,
        store: Store,
        recorder: Recorder,
        may_write: Callable[[], bool],
    ) -> None:
        self._kube = kube
        self._brokers = brokers
        self._store = store
        self._recorder = recorder
        self._may_write = may_write
        self._status_written: dict[str, float] = {}
        #: Carried out so far, by name; for metrics.
        self.counts: dict[str, int] = {}

    async def apply(self, place: Place, plan: Plan) -> None:
        """Carry a plan out in order; the first failure ends it, the next tick goes on.

        Raises:
            KubeError: The API server refused.
            BrokerError: The broker did.
            NotLeaderError: Somebody else may lead.
            TakenInError: A Deployment had lost its labels, and has them again.
        """
        for action in plan.actions:
            if not self._may_write():
                raise NotLeaderError("The Lease is not ours any more; nothing was written.")
            await self._one(place, action)
            name = type(action).__name__
            self.counts[name] = self.counts.get(name, 0) + 1

    async def _one(self, place: Place, action: Action) -> None:
        match action:
            case ApplyObject():
                await self._apply(place, action)
            case SetReplicas():
                await self._set_replicas(place, action)
            case SetStatus():
                await self._set_status(place, action)
            case EmitEvent():
                await self._recorder.emit(place.identity, action)
            case SetDeletionCost():
                await self._set_deletion_cost(place, action)
            case DeleteObject():
                ref = Ref(kind=action.kind, namespace=place.identity.namespace, name=action.name)
                await self._kube.delete(ref)
            case SetFinalizer():
                await self._set_finalizer(place, present=action.present)
            case PutSchedule() | PauseSchedule() | TriggerSchedule() | RemoveSchedule():
                do = partial(do_to_schedule, action=action)
                await self._brokers.call(place.url, place.identity.namespace, do)
            case CordonWorker() | UncordonWorker() | WriteRecord() | PurgeQueue():
                await self._on_broker(place, action)

    async def _apply(self, place: Place, action: ApplyObject) -> None:
        kind, name = action.manifest["kind"], action.manifest["metadata"]["name"]
        manifest, is_there = action.manifest, False
        if action.is_first:
            ref = Ref(kind=kind, namespace=place.identity.namespace, name=name)
            is_there = await self._kube.get(ref) is not None
        if is_there:
            spec = {key: value for key, value in manifest["spec"].items() if key != "replicas"}
            manifest = {**manifest, "spec": spec}
        body = await self._kube.apply(manifest, action.manager)
        if kind != "Secret":
            self._store.put(kind, body)
        if is_there:
            raise TakenInError(
                f"{kind} {name} was there without its labels; it has them again and keeps its "
                "replicas."
            )

    async def _on_broker(
        self, place: Place, action: CordonWorker | UncordonWorker | WriteRecord | PurgeQueue
    ) -> None:
        url, keyspace = place.url, place.identity.namespace
        match action:
            case CordonWorker():
                await self._brokers.cordon(url, keyspace, action.worker_id, action.ttl_s)
            case UncordonWorker():
                await self._brokers.uncordon(url, keyspace, action.worker_id)
            case WriteRecord():
                await self._brokers.write_record(url, keyspace, action.queue, action.changes)
            case PurgeQueue():
                await self._brokers.purge(url, keyspace, action.queue)

    async def _set_replicas(self, place: Place, action: SetReplicas) -> None:
        metadata: dict[str, Any] = {
            "name": action.deployment,
            "namespace": place.identity.namespace,
        }
        if action.resource_version:
            metadata["resourceVersion"] = action.resource_version
        manifest = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {"replicas": action.replicas},
        }
        self._store.put("Deployment", await self._kube.apply(manifest, Manager.AUTOSCALER))

    async def _set_status(self, place: Place, action: SetStatus) -> None:
        if action.is_passing:
            return
        identity, now_s = place.identity, time.monotonic()
        body = self._store.get(identity.kind, identity.namespace, identity.name)
        if body is None:
            return
        key = f"{identity.kind}/{identity.key}"
        written_s = self._status_written.get(key, 0.0)
        if not status_writer.is_due(body.get("status") or {}, action.status, written_s, now_s):
            return
        manifest = {
            "apiVersion": API_VERSION,
            "kind": identity.kind,
            "metadata": {"name": identity.name, "namespace": identity.namespace},
            "status": action.status,
        }
        made = await self._kube.apply(manifest, Manager.STATUS, subresource="status")
        self._store.put(identity.kind, made)
        self._status_written[key] = now_s

    async def _set_deletion_cost(self, place: Place, action: SetDeletionCost) -> None:
        ref = Ref(kind="Pod", namespace=place.identity.namespace, name=action.pod)
        value = None if action.cost == 0 else str(action.cost)
        body = {"metadata": {"annotations": {DELETION_COST: value}}}
        self._store.put("Pod", await self._kube.patch(ref, body, content_type=MERGE))

    async def _set_finalizer(self, place: Place, *, present: bool) -> None:
        identity = place.identity
        ref = Ref(kind=identity.kind, namespace=identity.namespace, name=identity.name)
        others = [name for name in identity.finalizers if name != FINALIZER]
        body = {
            "metadata": {
                "resourceVersion": identity.resource_version,
                "finalizers": [*others, FINALIZER] if present else others,
            }
        }
        made = await self._kube.patch(ref, body, content_type=MERGE)
        if made.get("metadata", {}).get("name"):
            self._store.put(identity.kind, made)
