"""Steps that are sent without waiting: what comes of them on a real server."""

from __future__ import annotations

import select

import msgspec
import pytest

from broker_state import fetch, ids_of, read, send
from windlass.brokers.base import FetchRequest
from windlass.brokers.redis import RedisBroker
from windlass.redis_store import sent
from workflow_samples import args_of, chain, succeeded

REQUEST = FetchRequest(worker_id="w1", queues=("q",), want=1, lease_ms=15_000, step_only=True)


@pytest.fixture
def broker(redis_server):
    broker = RedisBroker(redis_server.unix_url, keyspace="sent")
    yield broker
    broker.close()


@pytest.fixture
def first(broker):
    message, continuations = chain("a", "b")
    broker.enqueue([message], continuations=continuations)
    (delivery,) = fetch(broker).deliveries
    return delivery


def answer(step):
    """Wait for the answer as the loop does."""
    while not step.arrived():
        assert select.select([step], [], [], 10)[0], "an answer in ten seconds"
    return step.fetched()


def test_a_step_that_was_sent_brings_the_next_one(broker, first):
    step = broker.begin_step([succeeded(first, 7)], REQUEST)
    assert step.timeout_s == 30.0

    fetched = answer(step)

    (b,) = fetched.deliveries
    assert (b.id, args_of(b), fetched.is_step) == ("b", [7], True)
    assert broker.begin_step([succeeded(b)], REQUEST) is None, "it releases nothing"
    assert read(broker, "PING") == b"PONG", "the connection is there for others"


def test_a_step_that_was_declined_has_done_nothing(broker, first):
    send(broker, "before")
    step = broker.begin_step([succeeded(first)], REQUEST)

    assert answer(step) is None
    assert step.is_declined
    _, fetched = broker.exchange([succeeded(first)], REQUEST)
    assert ids_of(fetched) == ["before"]


def test_a_server_that_lacks_the_script_is_asked_by_an_exchange(broker, first):
    read(broker, "SCRIPT", "FLUSH")
    step = broker.begin_step([succeeded(first)], REQUEST)

    assert answer(step) is None
    assert not step.is_declined
    _, fetched = broker.exchange([succeeded(first)], REQUEST)
    assert fetched.is_step


def test_a_connection_that_is_lost_leaves_it_open_what_was_done(broker, first):
    read(broker, "CLIENT", "PAUSE", "200")  # or the answer may be there before the line is cut
    step = broker.begin_step([succeeded(first)], REQUEST)
    step._call._wire.interrupt()

    assert answer(step) is None
    assert not step.is_declined
    stale, fetched = broker.exchange([succeeded(first)], REQUEST)
    assert stale == ["a"] or ids_of(fetched) == ["b"]


def test_a_step_that_is_given_up_costs_its_connection_only(broker, first):
    step = broker.begin_step([succeeded(first)], REQUEST)
    step.give_up()

    assert read(broker, "PING") == b"PONG"


def test_without_a_connection_that_is_free_nothing_is_sent(broker, first):
    broker.links.close()

    assert broker.begin_step([succeeded(first)], REQUEST) is None


def test_what_may_not_fit_at_once_is_not_sent(broker, first):
    large = succeeded(first, "x" * sent.MAX_BYTES)

    assert broker.begin_step([large], REQUEST) is None


def test_a_connection_that_the_server_has_closed_sends_nothing(redis_server, broker, first):
    wire = broker.links._free[-1]._wire
    redis_server.client().execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert wire.can_read(5)
    broker.links._free[-1]._used_at -= 60

    assert broker.begin_step([succeeded(first)], REQUEST) is None


def test_behind_sentinels_and_in_a_cluster_an_exchange_asks(broker, first):
    link = broker.links._free[-1]
    link._route = object()

    assert broker.begin_step([succeeded(first)], REQUEST) is None
    link._route = None
    whole = msgspec.structs.replace(REQUEST, step_only=False)
    assert broker.begin_step([succeeded(first)], whole) is None
