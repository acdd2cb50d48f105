"""Kills a container's process 1 as the kernel does when memory runs out: at once, from outside.

From inside its own PID namespace process 1 cannot be killed, so a privileged pod on the same node
does it.
"""

from __future__ import annotations

import json
from typing import Any

from windlass_cluster.commands import wait_until
from windlass_cluster.namespace import Namespace

_KILL = """
import os, signal, sys
killed = 0
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        status = open(f"/proc/{pid}/status").read()
        # Not its environment: a program that shows a title of its own writes over that.
        host = open(os.path.join("/proc", pid, "root", "etc/hostname")).read().strip()
        command = open(f"/proc/{pid}/cmdline").read()
    except OSError:
        continue
    inner = next(x for x in status.splitlines() if x.startswith("NSpid:")).split()[-1]
    if inner == "1" and host == sys.argv[1] and "pause" not in command:
        os.kill(int(pid), signal.SIGKILL)
        killed += 1
print("killed", killed)
sys.exit(killed != 1)
"""


def kill_process_one(namespace: Namespace, victim: dict[str, Any], python_image: str) -> None:
    """Kill the process of a pod's only container and wait until the kubelet has seen it.

    Args:
        namespace: The pod's.
        victim: The pod.
        python_image: An image with Python.
    """
    name, node = victim["metadata"]["name"], victim["spec"]["nodeName"]
    before = _restarts(victim)
    killer = f"kill-{victim['metadata']['uid'][:8]}-{before}"
    container = {
        "name": "main",
        "image": python_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", _KILL, name],
        "securityContext": {"privileged": True, "runAsUser": 0},
    }
    spec = {
        "nodeName": node,
        "hostPID": True,
        "restartPolicy": "Never",
        "containers": [container],
    }
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": killer}, "spec": spec}
    namespace.kubectl("create", "-f", "-", stdin=json.dumps(body))
    namespace.wait(f"pod/{killer}", until="jsonpath={.status.phase}=Succeeded", timeout_s=60)

    def has_restarted() -> bool:
        return _restarts(namespace.get(f"pod/{name}")) > before

    wait_until(has_restarted, f"{name} to be started again", timeout_s=60)


def _restarts(body: dict[str, Any]) -> int:
    statuses = body.get("status", {}).get("containerStatuses", [])
    return sum(one["restartCount"] for one in statuses)
