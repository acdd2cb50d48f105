"""The Deployment of a pool's workers: restricted, probed, with grace enough for its tasks."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from windlass_operator.desired import names
from windlass_operator.desired.pod_template import merge
from windlass_operator.models.workerpool import RolloutStrategy, WorkerPool

HEALTH_PORT = 8080
#: Time between the end of the worker's own drain and the kubelet's kill, seconds.
GRACE_MARGIN_S = 15
USER_ID = 65532


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInputs:
    """What a pool's workers are started with.

    Attributes:
        queues: Names on the broker, in the pool's order.
        binding: Secret that holds the broker's address and keyspace.
        credentials: Version of the broker's credentials; a new one rolls the workers.
        env: Settings as environment variables (`windlass.settings` to_env).
        image_pull_secrets: Names, from the operator's configuration.
    """

    queues: tuple[str, ...]
    binding: str
    credentials: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    image_pull_secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerTemplate:
    """A pod template, its version, and what of the user's was ignored."""

    template: Mapping[str, Any]
    version: str
    ignored: tuple[str, ...] = ()


def worker_template(pool: WorkerPool, inputs: WorkerInputs) -> WorkerTemplate:
    """Build the pod template and its version.

    The version is a hash of what we ask for: neither the API server's defaults nor the operator's
    own version are in it, so an upgrade of the operator restarts nobody.
    """
    template, ignored = merge(_template(pool, inputs), pool.spec.pod_template)
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()
    version = digest[:10]
    track = names.track(pool, version)
    template["metadata"]["labels"].update({names.VERSION: version, names.TRACK: track})
    return WorkerTemplate(template=template, version=version, ignored=tuple(ignored))


def desired_deployment(pool: WorkerPool, template: WorkerTemplate) -> dict[str, Any]:
    """Build the Deployment of a template, without replicas: those are another manager's."""
    version = template.version
    labels = names.common_labels(pool.identity.name, "worker")
    manifest = names.child(
        "apps/v1",
        "Deployment",
        names.deployment_name(pool, version),
        pool.identity,
        {**labels, names.POOL: pool.identity.name, names.VERSION: version},
    )
    manifest["spec"] = {
        "revisionHistoryLimit": 3,
        "progressDeadlineSeconds": 600,
        "selector": {
            "matchLabels": {
                names.POOL: pool.identity.name,
                names.TRACK: names.track(pool, version),
            }
        },
        "strategy": _strategy(pool),
        "template": dict(template.template),
    }
    return manifest


def _strategy(pool: WorkerPool) -> dict[str, Any]:
    if pool.spec.rollout.strategy is RolloutStrategy.DRAIN:
        return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}}
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}}


def _template(pool: WorkerPool, inputs: WorkerInputs) -> dict[str, Any]:
    annotations = {names.CREDENTIALS: inputs.credentials} if inputs.credentials else {}
    labels = names.common_labels(pool.identity.name, "worker")
    spec: dict[str, Any] = {
        "serviceAccountName": names.account_name(pool.identity.name),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": math.ceil(pool.grace_s) + GRACE_MARGIN_S,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(pool, inputs)],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {names.POOL: pool.identity.name}},
            }
        ],
    }
    if inputs.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in inputs.image_pull_secrets]
    return {
        "metadata": {
            "labels": {**labels, names.POOL: pool.identity.name},
            "annotations": annotations,
        },
        "spec": spec,
    }


def _container(pool: WorkerPool, inputs: WorkerInputs) -> dict[str, Any]:
    return {
        "name": names.WORKER_CONTAINER,
        "image": pool.spec.image,
        "imagePullPolicy": pool.spec.image_pull_policy,
        # exec form: the worker is process 1 and gets the kubelet's TERM itself.
        "command": ["windlass"],
        "args": worker_args(pool, inputs.queues),
        "env": _env(pool, inputs),
        "ports": [{"name": "health", "containerPort": HEALTH_PORT, "protocol": "TCP"}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108  # in the pod
        "startupProbe": {**_probe("/livez"), "periodSeconds": 1, "failureThreshold": 120},
        "livenessProbe": {**_probe("/livez"), "periodSeconds": 10, "failureThreshold": 3},
        "readinessProbe": {**_probe("/readyz"), "periodSeconds": 2, "failureThreshold": 1},
        # The first lines of a traceback reach the pool's condition this way.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def worker_args(pool: WorkerPool, queues: tuple[str, ...]) -> list[str]:
    """The worker's command line after `windlass`."""
    spec = pool.spec
    args = [
        "worker",
        f"--app={spec.app}",
        f"--queues={','.join(queues)}",
        f"--pool={spec.pool.value}",
        f"--concurrency={spec.concurrency}",
        "--hostname=$(POD_NAME)",
        "--health-host=0.0.0.0",
        f"--health-port={HEALTH_PORT}",
    ]
    if spec.time_limits.hard is not None:
        args.append(f"--time-limit={spec.time_limits.hard:g}")
    if spec.time_limits.soft is not None:
        args.append(f"--soft-time-limit={spec.time_limits.soft:g}")
    if spec.max_tasks_per_child is not None:
        args.append(f"--max-tasks-per-child={spec.max_tasks_per_child}")
    if spec.max_memory_per_child is not None:
        args.append(f"--max-memory-per-child={spec.max_memory_per_child}")
    return args


def _env(pool: WorkerPool, inputs: WorkerInputs) -> list[dict[str, Any]]:
    secret = {
        "WINDLASS_BROKER_URL": "WINDLASS_BROKER_URL",
        "WINDLASS_RESULT_BACKEND": "WINDLASS_BROKER_URL",
        "WINDLASS_KEYSPACE": "WINDLASS_KEYSPACE",
    }
    settings = {"WINDLASS_WORKER_DRAIN_TIMEOUT": f"{pool.grace_s:g}", **inputs.env}
    return [
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        *(
            {"name": name, "valueFrom": {"secretKeyRef": {"name": inputs.binding, "key": key}}}
            for name, key in secret.items()
        ),
        *({"name": name, "value": value} for name, value in sorted(settings.items())),
    ]


def _probe(path: str) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": "health", "scheme": "HTTP"}, "timeoutSeconds": 2}
