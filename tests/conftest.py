"""What every test may use: see tests/support/windlass_fixtures.py."""

from __future__ import annotations

import importlib.util
from collections import Counter

import pytest


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # its package is not there either
        return False


pytest_plugins = ["windlass_fixtures"]
if _is_there("windlass_cluster.pytest_plugin"):
    pytest_plugins.append("windlass_cluster.pytest_plugin")

#: Folders whose tests take long: begun first, or the others wait for them at the end.
_LONGEST = ("soak", "chaos", "bench_smoke", "local")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order files: long ones, then the large. Only where xdist was told to keep our order."""
    if getattr(config.option, "loadscopereorder", True):
        return
    sizes = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path.parent.name not in _LONGEST, -sizes[item.path]))
