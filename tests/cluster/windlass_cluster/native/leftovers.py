"""Removes what test runs left that were killed before they could clean up.

Their processes are gone by then: the nodes of a run end with it. What remains are its folder of
state and its empty control groups.
"""

import os
import re

from windlass_cluster import paths
from windlass_cluster.native.api_level import ApiLevel
from windlass_cluster.native.provider import Native

# Clusters are named after the process that began them: see pytest_plugin.py.
_RUN = re.compile(r"run-(\d+)(-api)?(\.mark)?")


def sweep() -> None:
    """Removes the remains of every run whose process is gone."""
    if not paths.state_root().is_dir():
        return
    for left in sorted(paths.state_root().iterdir()):
        named = _RUN.fullmatch(left.name)
        if named is None or _is_alive(int(named[1])):
            continue
        if named[3]:
            left.unlink()
        elif named[2]:
            ApiLevel(left.name).down()
        else:
            Native(cluster=left.name).down()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
