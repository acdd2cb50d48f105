"""The operator's conversation with brokers, on a real Redis and without Kubernetes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from windlass_operator.brokers import Brokers


@pytest.fixture
async def operators() -> AsyncIterator[Brokers]:
    brokers = Brokers(5.0)
    yield brokers
    brokers.close()
