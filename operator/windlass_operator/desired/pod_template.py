"""The worker pod: ours, with the user's podTemplate merged in, each rule said in a line.

metadata.labels, annotations   both; ours win where they collide
spec.<list>                    both; the user's first for containers' order, ours first else
spec.<other>                   the user's wins, except terminationGracePeriodSeconds: the longer
containers[worker]             resources, env, envFrom, volumeMounts, ports, lifecycle,
                               securityContext (field by field): the user's are added or win;
                               name, image, command, args and probes are ours: ignored, and said
other containers               the user's, as they are
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from windlass_operator.desired.names import WORKER_CONTAINER

#: Fields of the worker container that the operator must own for its promises to hold.
_RESERVED = (
    "image",
    "command",
    "args",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "terminationMessagePolicy",
)
#: Variables that carry the contract between operator and worker.
_RESERVED_ENV = frozenset(
    {
        "WINDLASS_BROKER_URL",
        "WINDLASS_RESULT_BACKEND",
        "WINDLASS_KEYSPACE",
        "WINDLASS_WORKER_DRAIN_TIMEOUT",
        "POD_NAME",
    }
)
_KEY_OF_LIST = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "volumeMounts": "mountPath",
    "ports": "containerPort",
    "imagePullSecrets": "name",
    "topologySpreadConstraints": "topologyKey",
}


def merge(ours: Mapping[str, Any], users: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Merge a user's podTemplate into the operator's.

    Returns:
        The template, and the paths of the user's that were ignored because they are the operator's.
    """
    result = copy.deepcopy(dict(ours))
    ignored: list[str] = [f"podTemplate.{key}" for key in users if key not in ("metadata", "spec")]
    metadata = users.get("metadata") or {}
    for part in ("labels", "annotations"):
        theirs = metadata.get(part) or {}
        result["metadata"][part] = {**theirs, **result["metadata"].get(part, {})}
    ignored += [f"podTemplate.metadata.{k}" for k in metadata if k not in ("labels", "annotations")]
    spec = result["spec"]
    for key, value in (users.get("spec") or {}).items():
        if key == "containers":
            spec["containers"] = _merge_containers(spec["containers"], value, ignored)
        elif key == "terminationGracePeriodSeconds":
            spec[key] = max(spec[key], value)
        elif key in ("restartPolicy",):
            ignored.append(f"podTemplate.spec.{key}")
        else:
            spec[key] = _merged(key, spec.get(key), value)
    return result, ignored


def _merge_containers(
    ours: list[dict[str, Any]], users: list[dict[str, Any]], ignored: list[str]
) -> list[dict[str, Any]]:
    worker = ours[0]
    others = []
    for container in users:
        if container.get("name") == WORKER_CONTAINER:
            worker = _merge_worker(worker, container, ignored)
        else:
            others.append(container)
    return [worker, *others]


def _merge_worker(
    ours: dict[str, Any], users: Mapping[str, Any], ignored: list[str]
) -> dict[str, Any]:
    result = dict(ours)
    where = f"podTemplate.spec.containers[{WORKER_CONTAINER}]"
    for key, value in users.items():
        if key == "name":
            continue
        if key in _RESERVED:
            ignored.append(f"{where}.{key}")
        elif key == "env":
            theirs = [item for item in value if item.get("name") not in _RESERVED_ENV]
            ignored += [f"{where}.env[{item.get('name')}]" for item in value if item not in theirs]
            result["env"] = _merge_list("name", result.get("env", []), theirs)
        elif key == "ports":
            # The probes go to our port by its name.
            taken = {(port["name"], port["containerPort"]) for port in result.get("ports", ())}
            names, numbers = {name for name, _ in taken}, {number for _, number in taken}
            theirs = [
                item
                for item in value
                if item.get("name") not in names and item.get("containerPort") not in numbers
            ]
            ignored += [
                f"{where}.ports[{item.get('containerPort')}]"
                for item in value
                if item not in theirs
            ]
            result["ports"] = [*result.get("ports", []), *copy.deepcopy(theirs)]
        else:
            result[key] = _merged(key, result.get(key), value)
    return result


def _merged(key: str, ours: Any, users: Any) -> Any:
    if isinstance(ours, Mapping) and isinstance(users, Mapping):
        merged = dict(ours)
        for name, value in users.items():
            merged[name] = _merged(name, ours.get(name), value)
        return merged
    if isinstance(ours, list) and isinstance(users, list):
        return _merge_list(_KEY_OF_LIST.get(key), ours, users)
    return copy.deepcopy(users)


def _merge_list(key: str | None, ours: list[Any], users: list[Any]) -> list[Any]:
    """Join two lists; where items have a key, the user's replaces ours in its place."""
    if key is None:
        return [*ours, *(item for item in users if item not in ours)]
    by_key = {item[key]: item for item in ours if key in item}
    by_key.update({item[key]: item for item in users if key in item})
    return list(by_key.values())
