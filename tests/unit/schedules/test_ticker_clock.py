"""A ticker whose clock is ahead of the broker's: it waits, it does not ask again and again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from schedule_builders import MINUTE, SECOND, make_entry, make_ticker
from windlass.beat import ticker as ticker_module
from windlass.beat.ticker import Ticker
from windlass.beat.timing import Every
from windlass.brokers.memory import MemoryBroker
from windlass.brokers.memory_store import MemoryStore
from windlass.control_plane.schedules import put_schedule, read_schedule

NOW = 1_700_000_000_000
#: What a question to the broker takes, seconds.
TRIP_S = 0.0001


class World:
    """Time that passes only when somebody waits; the broker's clock can be set.

    Attributes:
        now_s: The ticker's monotonic clock.
        ahead_ms: What the broker's clock is ahead of it by.
        steps: Steps that the ticker took.
        answers: What its fires were answered with.
    """

    def __init__(self) -> None:
        self.now_s = 100.0
        self.ahead_ms = NOW - 100_000.0
        self.steps = 0
        self.answers: Counter[str] = Counter()
        self.broker = MemoryBroker(MemoryStore(self.broker_ms))

    def broker_ms(self) -> int:
        return int(self.now_s * 1000 + self.ahead_ms)

    def run(self, ticker: Ticker, until_ms: float) -> None:
        """Step as `Ticker.run` does, until the broker's clock says so."""
        while self.broker_ms() < until_ms:
            step = ticker.run_once()
            self.steps += 1
            self.answers.update(step.answers)
            self.now_s += TRIP_S + step.wait_s


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World()
    monkeypatch.setattr(ticker_module, "monotonic", lambda: world.now_s)
    yield world
    world.broker.close()


@pytest.mark.parametrize("back_ms", [1.5, 40.0, 900.0, 1800.0])
def test_a_broker_clock_that_was_set_back_a_little_is_not_asked_again_and_again(
    world: World, back_ms: float
) -> None:
    put_schedule(world.broker, make_entry(timing=Every(MINUTE)))
    ticker = make_ticker(world.broker)
    world.run(ticker, NOW + 59 * SECOND)
    world.steps = 0
    world.ahead_ms -= back_ms
    world.run(ticker, NOW + MINUTE + 10)

    assert world.answers["FIRED"] == 1
    assert world.answers["EARLY"] <= 3
    assert world.steps < 30
    assert read_schedule(world.broker, "s").last_ms == NOW + MINUTE


def test_another_ticker_waits_for_the_lead_of_a_broker_whose_clock_was_set_back(
    world: World,
) -> None:
    make_ticker(world.broker).run_once()
    other = make_ticker(world.broker, "other")
    other.run_once()
    world.ahead_ms -= 900
    world.run(other, NOW + 5 * SECOND)

    assert world.steps < 10
