"""What every test may use: see tests/support/windlass_fixtures.py."""

from __future__ import annotations

import importlib.util


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # its package is not there either
        return False


pytest_plugins = ["windlass_fixtures"]
if _is_there("windlass_cluster.pytest_plugin"):
    pytest_plugins.append("windlass_cluster.pytest_plugin")
