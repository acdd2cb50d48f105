"""Where this tool keeps things, always outside the source tree.

The cache holds what is expensive and can be made again (built programs, base images); it is keyed
by content, shared by every checkout and never removed by `down`. The state of one cluster (its
certificates, data, logs and the pids that belong to it) is removed by `down`.
"""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
TREE = PACKAGE.parent.parent.parent
MODULES = PACKAGE.parent / "native-modules"
IMAGES = PACKAGE.parent / "images"


def _xdg(variable: str, fallback: str) -> Path:
    """A folder of the XDG base directory specification."""
    named = os.environ.get(variable)
    return Path(named) if named else Path.home() / fallback


def cache_dir() -> Path:
    """Built programs and images, keyed by content."""
    return _xdg("XDG_CACHE_HOME", ".cache") / "windlass" / "native"


def state_root() -> Path:
    """One folder per cluster that is up."""
    return _xdg("XDG_STATE_HOME", ".local/state") / "windlass" / "clusters"


def cluster_name() -> str:
    """The cluster that commands and fixtures mean unless told otherwise."""
    return os.environ.get("WINDLASS_CLUSTER_NAME", "windlass")
