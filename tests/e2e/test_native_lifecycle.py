"""A native cluster leaves nothing: killed, it is gone; started again, it works.

These tests run a small cluster of their own beside the one the other tests use.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from windlass_cluster import paths
from windlass_cluster.commands import run, wait_until
from windlass_cluster.manifests import idle_pod
from windlass_cluster.namespace import fresh_namespace
from windlass_cluster.native.cgroups import PARENT
from windlass_cluster.native.provider import Native
from windlass_cluster.providers import Provider, Wanted

pytestmark = pytest.mark.e2e


@pytest.fixture
def native(cluster_provider: Provider) -> Iterator[Native]:
    """A native cluster of the test's own, not up."""
    if cluster_provider.name != "native":
        pytest.skip("the cluster in use is not a native one")
    made = Native(cluster=f"lifecycle-{os.getpid()}")
    yield made
    made.down()


def _processes(cluster: str) -> list[str]:
    """Commands of all processes that name the cluster's folder or group."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text().replace("\0", " ")
            groups = (process / "cgroup").read_text()
        except OSError:
            continue
        if f"clusters/{cluster}/" in command or f"/{PARENT}/{cluster}/" in groups:
            found.append(command)
    return found


def _traces(cluster: str) -> list[str]:
    """Everything a cluster could leave outside its folder of state, and that folder."""
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    groups = Path("/sys/fs/cgroup").glob(f"**/{PARENT}/{cluster}")
    folder = paths.state_root() / cluster
    return [
        *_processes(cluster),
        *(line for line in mounts if cluster in line),
        *(str(group) for group in groups),
        *([str(folder)] if folder.exists() else []),
    ]


def _machine() -> dict[str, str]:
    """The parts of the machine that a cluster must not change."""
    return {
        "links": run(["ip", "-brief", "link"]),
        "routes": run(["ip", "route"]),
        "rules": run(["nft", "list", "ruleset"]),
        "namespaces": run(["ip", "netns", "list"]),
        "settings": run(["sysctl", "vm.overcommit_memory", "kernel.panic", "net.ipv4.ip_forward"]),
    }


def test_cluster_comes_up_again_after_a_crash_and_down_leaves_nothing(native: Native) -> None:
    before = _machine()
    access = native.up(Wanted(nodes=2))
    image = native.python_image()
    with fresh_namespace(access, "crash") as namespace:
        namespace.apply(idle_pod("victim", image))
        namespace.wait("pod/victim", until="condition=Ready")
    assert native.up(Wanted(nodes=2)).get("nodes")["items"][1]["metadata"]["name"] == "node-2"
    assert _machine() == before

    # As after a power cut: nothing had the time to clean up.
    for number in (1, 2):
        pid = native.node(number).supervisor.outer_pid()
        subprocess.run(["kill", "-9", str(pid)], check=True)
    wait_until(lambda: _processes(native.cluster) == [], "the nodes to end", timeout_s=20)
    assert not native.status().up

    again = native.up(Wanted(nodes=1))
    assert len(again.get("nodes")["items"]) == 1

    native.down()
    native.down()
    assert _traces(native.cluster) == []
    assert _machine() == before


def test_cluster_ends_with_the_process_that_owns_it(native: Native) -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as owner:
        native.up(Wanted(owner_pid=owner.pid))
        assert native.status().up
        owner.kill()

    wait_until(lambda: _processes(native.cluster) == [], "the cluster to end", timeout_s=60)
