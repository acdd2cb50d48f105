"""A backend in memory with outcomes in it."""

from __future__ import annotations

import pytest

from stored_results import StoredResults
from windlass import Windlass
from windlass.results.memory import MemoryResults


@pytest.fixture
def results() -> StoredResults:
    """An app of its own with an empty backend."""
    return StoredResults(Windlass("results", set_as_current=False), MemoryResults())
