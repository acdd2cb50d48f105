"""What a failed test of an installed chart has to tell: its cause, without a rerun."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from operator_release import Application, Release
from release_upgrade import Upgrade
from windlass_cluster.errors import ClusterError
from windlass_cluster.namespace import Namespace

#: Asked of the Redis itself: since when it runs, who may log in, who is connected, what it holds.
_REDIS_SAYS = (
    "export REDISCLI_AUTH=$REDIS_PASSWORD; redis-cli info server | grep -E 'run_id|uptime_in_s|"
    "config_file'; redis-cli acl users; redis-cli client list; redis-cli info keyspace; "
    "redis-cli --scan --pattern '*' | sort | head -100"
)


def report_of(used: Iterable[Any]) -> list[tuple[str, str]]:
    """Gather what the releases and namespaces among the fixtures of a test know.

    Returns:
        Title and text of each section.
    """
    spaces: dict[str, Namespace] = {}
    releases: dict[str, Release] = {}
    for one in used:
        _collect(one, spaces, releases)
    sections = [section for one in releases.values() for section in _of_release(one)]
    for name, space in spaces.items():
        sections.append((f"queues and pools of {name}", objects_of(space)))
    return sections


def objects_of(space: Namespace) -> str:
    """Queues, pools, schedules and their children, as the API server has them."""
    return _asked(space, "get", "tq,wp,bs,deployments,replicasets", "-o", "yaml")


def _collect(one: Any, spaces: dict[str, Namespace], releases: dict[str, Release]) -> None:
    if isinstance(one, Upgrade):
        _collect(one.release, spaces, releases)
        _collect(one.application, spaces, releases)
    elif isinstance(one, Release):
        releases[one.namespace.name] = one
    elif isinstance(one, Application):
        spaces[one.namespace.name] = one.namespace
    elif isinstance(one, Namespace):
        spaces[one.name] = one


def _of_release(release: Release) -> list[tuple[str, str]]:
    space = release.namespace
    redis = f"pod/{release.fullname}-redis-0"
    return [
        (f"release {release.name}", space.describe_failure()),
        ("its Lease", _asked(space, "get", "lease", "-o", "yaml")),
        ("its Redis", _asked(space, "exec", redis, "--", "sh", "-c", _REDIS_SAYS)),
    ]


def _asked(space: Namespace, *args: str) -> str:
    try:
        return space.kubectl(*args, timeout_s=30)
    except ClusterError as failed:
        return str(failed)
