"""From a Deployment's pod template to the command line of a local worker. Pure."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Beside the template: what a laptop wants. The user's own environment wins over these.
LOCAL_DEFAULTS = {
    # A worker that was killed is noticed sooner than in a cluster, and heartbeats are fresher.
    "WINDLASS_WORKER_LEASE_S": "6",
    "WINDLASS_LOG_STYLE": "human",
    "PYTHONUNBUFFERED": "1",
}
#: Every local worker has the machine to itself as far as ports go: nobody probes it.
_LEFT_OUT = ("--health-host=", "--health-port=", "--hostname=")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCommand:
    """How a worker process is started.

    Attributes:
        arguments: After the interpreter.
        env: Its whole environment.
        folder: Where its application is.
    """

    arguments: tuple[str, ...]
    env: Mapping[str, str]
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all workers of a pool share.

    Attributes:
        secrets: Name -> contents, of the pool's namespace.
        environ: Of this process.
    """

    secrets: Mapping[str, Mapping[str, str]]
    environ: Mapping[str, str]
    folder: Path
    log_level: str = "INFO"


def worker_command(
    pod: str, template: Mapping[str, Any], surroundings: Surroundings
) -> WorkerCommand:
    """Build the command line of one worker: the operator's, without what only a pod has."""
    container = template["spec"]["containers"][0]
    kept = [arg for arg in container["args"] if not arg.startswith(_LEFT_OUT)]
    own = [f"--hostname=windlass@{pod}", f"--loglevel={surroundings.log_level}", "--quiet"]
    env = {**LOCAL_DEFAULTS, **surroundings.environ}
    for variable in container["env"]:
        value = _value(variable, pod, surroundings.secrets)
        if value is not None:
            env[variable["name"]] = value
    return WorkerCommand(
        arguments=("-m", "windlass", *kept, *own), env=env, folder=surroundings.folder
    )


def _value(
    variable: Mapping[str, Any], pod: str, secrets: Mapping[str, Mapping[str, str]]
) -> str | None:
    source = variable.get("valueFrom")
    if source is None:
        value: str = variable["value"]
        return value
    if "fieldRef" in source:
        return pod
    reference = source["secretKeyRef"]
    return secrets[reference["name"]].get(reference["key"])


def folder_of_app(app: str, beside: Path, here: Path) -> Path | None:
    """Return the folder to start the workers of an app in.

    Args:
        app: As in `-A`.
        beside: Folder of the file that names it: looked in first.
        here: The current folder: looked in next.

    Returns:
        One of the two; `here` for an installed package; None if the app is nowhere.
    """
    top = app.partition(":")[0].partition(".")[0]
    for folder in (beside, here):
        if (folder / top).is_dir() or (folder / f"{top}.py").is_file():
            return folder
    known = top in sys.modules or importlib.util.find_spec(top) is not None
    return here if known else None
