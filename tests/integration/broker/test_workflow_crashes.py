"""A process dies at each of its trips to the broker in turn: no step is lost, none is doubled."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from broker_state import NOW, leftovers, read
from mortal import Fate, Killed, live_on, new_broker, ridden_by
from recording_broker import recording_app
from redis_server import RedisServer
from windlass import Windlass
from windlass.errors import OperationalError
from windlass.results import codec
from windlass.results.redis import RedisResults
from workflow_samples import body_hole, chain, member, release, wait_for

ENDS: list[tuple[str, bool, Callable[[], BaseException]]] = [
    ("killed-before", False, Killed),
    ("killed-after", True, Killed),
    ("reply-lost", True, lambda: OperationalError("The reply was lost.")),
]
IDS = [name for name, _, _ in ENDS]
QUEUES = ("q", "other")


@pytest.fixture
def app() -> Windlass:
    """Its one task returns what it was called with, as a tree."""
    app = recording_app()

    def step(*args: Any) -> list[Any]:
        if "fail" in args:
            raise ValueError("fail")
        return list(args)

    app.task(step, name="tests.step")
    return app


@pytest.fixture
def url(redis_server: RedisServer) -> str:
    redis_server.client().flushall()
    return redis_server.unix_url


def chord_of_chords(fails: bool) -> tuple[list[Any], list[Any], dict[str, Any]]:
    """Two chords in a chord, a chain and a group in one of them, on two queues; and its values."""
    outer = wait_for(
        ["left", "right"], release("outer", hole=body_hole(2)), sources=["k-left", "k-right"]
    )
    left = wait_for(
        ["l2", "l3"],
        release("left", "own", then=outer.then(0), hole=body_hole(2), queue="other"),
        sources=["k-l2", ""],
    )
    right = wait_for(
        ["g1", "g2"],
        release("right", then=outer.then(1), hole=body_hole(2)),
        sources=["middle", "middle"],
    )
    middle = wait_for(
        ["r"],
        release("g1", 1, then=right.then(0)),
        release("g2", 2, then=right.then(1), queue="other"),
        id_="middle",
    )
    l1, chained = chain("l1", "l2", then=left.then(0))
    messages = [l1, member("l3", left.then(1), "fail" if fails else 3), member("r", middle.then(0))]
    values = {
        "l1": [], "l2": [[]], "l3": [3], "r": [], "g1": [[], 1], "g2": [[], 2],
        "left": [[[[]], [3]], "own"], "right": [[[[], 1], [[], 2]]],
        "outer": [[[[[[]], [3]], "own"], [[[[], 1], [[], 2]]]]],
    }  # fmt: skip
    return messages, [outer, left, right, middle, *chained], values


def start(url: str, *, fails: bool = False) -> dict[str, Any]:
    messages, continuations, values = chord_of_chords(fails)
    broker = new_broker(url)
    broker.enqueue(messages, continuations=continuations)
    broker.close()
    return values


def stored(url: str, ids: Any) -> dict[str, Any]:
    """Stored outcomes by id: the value, or the name of the exception."""
    broker = new_broker(url)
    results = RedisResults(broker.links, broker.async_links, broker.keys)
    found = {}
    for id_ in ids:
        raw = results.get_raw(id_)
        if raw is not None:
            meta = codec.decode_meta(id_, raw, {"json"})
            is_value = meta.status == "SUCCESS"
            found[id_] = meta.result if is_value else type(meta.result).__name__
    broker.close()
    return found


def check_clean(url: str, sent: int) -> None:
    """Nothing is left of the workflow, and exactly so many messages were ever sent."""
    broker = new_broker(url)
    counts = [read(broker, "HGET", broker.keys.queue(q).stats, "enqueued") for q in QUEUES]
    assert sum(int(count or 0) for count in counts) == sent
    assert leftovers(broker) == []
    broker.close()


@pytest.mark.parametrize(("name", "is_after", "error"), ENDS, ids=IDS)
@pytest.mark.parametrize("fails", [False, True])
def test_a_worker_dies_at_each_trip_of_a_chord_of_chords(
    app: Windlass,
    url: str,
    redis_server: RedisServer,
    name: str,
    is_after: bool,
    error: Any,
    fails: bool,
) -> None:
    trip, was_met = 0, True
    while was_met:
        redis_server.client().flushall()
        values = start(url, fails=fails)
        fate = Fate(trip, is_after=is_after, error=error)

        live_on(app, url, fate, QUEUES)

        if fails:
            values |= {"l3": "ValueError", "left": "ChordError", "outer": "ChordError"}
        assert stored(url, values) == values, f"{name} at trip {trip}"
        check_clean(url, sent=9)
        trip, was_met = trip + 1, fate.was_met
    assert trip > 6, "it died too seldom"


@pytest.mark.parametrize(("name", "is_after", "error"), ENDS[:2], ids=IDS[:2])
def test_a_client_dies_at_each_trip_and_all_of_the_workflow_is_there_or_nothing_waits_for_ever(
    app: Windlass, url: str, redis_server: RedisServer, name: str, is_after: bool, error: Any
) -> None:
    ids = [f"h{n}" for n in range(1500)]  # too many for one call
    trip, was_met = 0, True
    while was_met:
        redis_server.client().flushall()
        last = wait_for(ids, release("last", hole=body_hole(1500)))
        messages = [member(id_, last.then(n), n) for n, id_ in enumerate(ids)]
        fate = Fate(trip, is_after=is_after, error=error)
        broker = ridden_by(new_broker(url), fate)
        with suppress(Killed):
            broker.enqueue(messages, continuations=[last])
        broker.close()
        live_on(app, url, Fate(-1, is_after=True, error=error), QUEUES)
        sweeper = new_broker(url, NOW + 10**6)
        swept = sweeper.sweep(1000, 10)
        live_on(app, url, Fate(-1, is_after=True, error=error), QUEUES)

        found = stored(url, ["last", "h0", "h1499"])
        if not swept and found:
            assert found == {"last": [[[n] for n in range(1500)]], "h0": [0], "h1499": [1499]}
        elif swept:
            assert found["last"] == "ChordError"
        assert leftovers(sweeper) == []
        sweeper.close()
        trip, was_met = trip + 1, fate.was_met
    assert trip >= 2


@pytest.mark.parametrize(("name", "is_after", "error"), ENDS, ids=IDS)
def test_a_worker_dies_while_it_releases_more_than_one_call_can_send(
    app: Windlass, url: str, redis_server: RedisServer, name: str, is_after: bool, error: Any
) -> None:
    ids = [f"g{n}" for n in range(2200)]
    trip, was_met = 0, True
    while was_met and trip < 6:
        redis_server.client().flushall()
        middle = wait_for(["a"], *(release(id_, queue="many") for id_ in ids), id_="middle")
        broker = new_broker(url)
        broker.enqueue([member("a", middle.then(0))], continuations=[middle])
        broker.close()
        fate = Fate(trip, is_after=is_after, error=error)

        live_on(app, url, fate, ("q",))
        sweeper = new_broker(url, NOW + 10**6)
        sweeper.sweep(1000, 10)

        ready = sweeper.keys.queue("many").ready[0]
        assert read(sweeper, "LLEN", ready) == 2200, f"{name} at trip {trip}"
        assert sweeper.waiting(["middle"]) == [None]
        sweeper.close()
        trip, was_met = trip + 1, fate.was_met
