"""The children a pool should have, as hashes: what is compared with every look. Pure.

Building and hashing three manifests takes longer than all the rest of a look at a pool, and they
change with its spec only. So their hashes are kept, and a manifest is built when it is written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from windlass_operator.desired import names
from windlass_operator.desired.accompanying import (
    desired_disruption_budget,
    desired_service_account,
)
from windlass_operator.desired.worker_deployment import (
    WorkerInputs,
    desired_deployment,
    worker_template,
)
from windlass_operator.models.workerpool import WorkerPool, WorkerPoolSpec

#: Annotation with the hash of what we last applied: a restarted operator writes nothing anew.
APPLIED = f"{names.GROUP}/applied"

#: (kind, name).
ChildKey = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A pool's children.

    Attributes:
        uid: Of the pool that they are of.
        spec: Of that pool.
        inputs: What its workers are started with; None when none can be started yet.
        version: Of the pod template; '' without inputs.
        ignored: Paths of the user's podTemplate that were ignored.
        hashes: Child -> hash of its manifest.
    """

    uid: str
    spec: WorkerPoolSpec
    inputs: WorkerInputs | None
    version: str
    ignored: tuple[str, ...]
    hashes: Mapping[ChildKey, str]


def wanted_children(
    pool: WorkerPool, inputs: WorkerInputs | None, before: Wanted | None = None
) -> Wanted:
    """Return what is wanted: as before, if it is of the same spec and inputs."""
    uid = pool.identity.uid
    if (
        before is not None
        and before.spec is pool.spec
        and before.uid == uid
        and before.inputs == inputs
    ):
        return before
    manifests = [desired_service_account(pool), desired_disruption_budget(pool)]
    version = ""
    ignored: tuple[str, ...] = ()
    if inputs is not None:
        template = worker_template(pool, inputs)
        version, ignored = template.version, template.ignored
        manifests.append(desired_deployment(pool, template))
    hashes = {(one["kind"], one["metadata"]["name"]): _hash(one) for one in manifests}
    return Wanted(
        uid=uid, spec=pool.spec, inputs=inputs, version=version, ignored=ignored, hashes=hashes
    )


def child_manifest(pool: WorkerPool, wanted: Wanted, kind: str) -> dict[str, Any]:
    """Build one of the wanted manifests, with the hash of itself in its annotations."""
    manifest = _manifest(pool, wanted, kind)
    metadata = dict(manifest["metadata"])
    metadata["annotations"] = {**metadata.get("annotations", {}), APPLIED: _hash(manifest)}
    return {**manifest, "metadata": metadata}


def _manifest(pool: WorkerPool, wanted: Wanted, kind: str) -> dict[str, Any]:
    if kind == "ServiceAccount":
        return desired_service_account(pool)
    if kind == "PodDisruptionBudget" or wanted.inputs is None:
        return desired_disruption_budget(pool)
    return desired_deployment(pool, worker_template(pool, wanted.inputs))


def _hash(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:16]
