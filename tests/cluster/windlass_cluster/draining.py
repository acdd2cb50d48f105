"""Drains a node the way an administrator would, without harm to tests that run beside."""

from collections.abc import Iterator
from contextlib import contextmanager

from windlass_cluster import paths
from windlass_cluster.access import Access
from windlass_cluster.native.locks import locked


@contextmanager
def drained(access: Access, node: str, *, selector: str, namespace: str) -> Iterator[None]:
    """Keeps a node drained of some pods, one node at a time across all tests of the machine.

    Args:
        access: A cluster with at least two nodes.
        node: The node's name.
        selector: Only pods with these labels have to leave; others' pods stay.
        namespace: The namespace those pods are in (the selector should be unique to it).
    """
    with locked(paths.cache_dir() / "locks" / "drain"):
        try:
            access.kubectl(
                "drain",
                node,
                f"--pod-selector={selector}",
                "--ignore-daemonsets",
                "--delete-emptydir-data",
                "--timeout=90s",
                f"--namespace={namespace}",
            )
            yield
        finally:
            access.kubectl("uncordon", node)
