"""The operator's tickers on a real Redis, without Kubernetes: they come and go as they are told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from operator_builders import make_queue, schedule_body
from redis_server import RedisServer
from waiting import eventually
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.schedules import put_schedule, read_schedules
from windlass.redis_store.resp import packed
from windlass_operator.broker_addresses import Address
from windlass_operator.brokers import Brokers
from windlass_operator.models.beatschedule import BeatSchedule
from windlass_operator.observe import World
from windlass_operator.schedule_entry import wanted_entry
from windlass_operator.scheduling import Scheduling
from windlass_operator.tickers import Tickers

SPACE = "shop"


class Fires:
    """What tickers tell."""

    def __init__(self) -> None:
        self.answers: list[tuple[str, str]] = []
        self.told = threading.Event()

    def note(self, keyspace: str, answer: str) -> None:
        self.answers.append((keyspace, answer))


@pytest.fixture
def brokers() -> Iterator[Brokers]:
    made = Brokers(2.0)
    yield made
    made.close()


@pytest.fixture
def broker(redis_server: RedisServer) -> Iterator[RedisBroker]:
    made = RedisBroker(redis_server.url, keyspace=SPACE)
    yield made
    made.close()


def schedule(**spec: Any) -> BeatSchedule:
    return BeatSchedule.from_object(schedule_body(**{"every": "1s", **spec}))


def lead(broker: RedisBroker) -> list[bytes]:
    found: list[bytes] = broker.links.call([packed("HGETALL", broker.keys.lead)])[0]
    return found


def test_tickers_fire_where_they_are_wanted_and_give_the_lead_up_when_they_are_not(
    brokers: Brokers, broker: RedisBroker
) -> None:
    made = schedule()
    put_schedule(broker, wanted_entry(made, "emails"), uid=made.identity.uid)
    fires = Fires()
    tickers = Tickers(brokers.connect, fires.told.set, fires.note)
    tickers.want({(broker.url, SPACE)})
    try:
        eventually(lambda: (SPACE, "FIRED") in fires.answers)
        assert fires.told.is_set()
        assert lead(broker) != []

        tickers.want(())
        eventually(lambda: lead(broker) == [])
        assert tickers.spaces == set()
    finally:
        tickers.stop()
    assert not [t for t in threading.enumerate() if t.name == f"windlass-ticker-{SPACE}"]


def test_ticker_that_ended_by_itself_begins_anew(brokers: Brokers, broker: RedisBroker) -> None:
    refusals = [OSError("once")]

    def connect(url: str, keyspace: str) -> RedisBroker:
        made = brokers.connect(url, keyspace)
        if refusals:
            broken = refusals.pop()

            def fail() -> None:
                raise broken

            made.links.call = lambda calls: fail()  # type: ignore[method-assign, assignment]
        return made

    tickers = Tickers(connect, lambda: None)
    tickers.want({(broker.url, SPACE)})
    try:
        eventually(lambda: tickers.spaces == set())
        tickers.want({(broker.url, SPACE)})
        eventually(lambda: lead(broker) != [])
    finally:
        tickers.stop()


@pytest.fixture
def scheduling(brokers: Brokers) -> Iterator[Callable[[BeatSchedule, str], str]]:
    """Looks at a world of one schedule whose queue is at an address ('' for no queue).

    What it returns is where the entry is.
    """
    loop = asyncio.new_event_loop()
    tickers = Tickers(brokers.connect, lambda: None)
    made = Scheduling(brokers, tickers)

    def look(one: BeatSchedule, url: str) -> str:
        key = (one.identity.namespace, one.identity.name)
        world = World(schedules={key: one})
        if url:
            world.queues[SPACE, "emails"] = make_queue()
            world.addresses[SPACE, "emails"] = Address(operator_url=url)
        loop.run_until_complete(made.look(world))
        loop.run_until_complete(asyncio.sleep(0.05))  # what goes on beside the ticks
        return made.url_of(key)

    yield look
    made.stop()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


def test_entry_of_a_queue_that_moved_is_removed_where_it_was(
    scheduling: Callable[[BeatSchedule, str], str], broker: RedisBroker
) -> None:
    made, elsewhere = schedule(), broker.url.rpartition("/")[0] + "/1"
    put_schedule(broker, wanted_entry(made, "emails"), uid=made.identity.uid)
    scheduling(made, broker.url)
    scheduling(made, elsewhere)

    def is_gone() -> bool:
        scheduling(made, elsewhere)
        return read_schedules(broker, ["nightly"]) == []

    eventually(is_gone)
    # A rotated password is the same place.
    put = RedisBroker(elsewhere, keyspace=SPACE)
    put_schedule(put, wanted_entry(made, "emails"), uid=made.identity.uid)
    scheduling(made, elsewhere.replace("://", "://default:any@"))
    scheduling(made, elsewhere)
    assert len(read_schedules(put, ["nightly"])) == 1
    put.close()


def test_where_an_entry_is_stays_known_when_its_queue_is_gone(
    scheduling: Callable[[BeatSchedule, str], str], broker: RedisBroker
) -> None:
    made = schedule()

    assert scheduling(made, "") == ""
    assert scheduling(made, broker.url) == broker.url
    assert scheduling(made, "") == broker.url
