"""Entries are read without decoding; grants know what is left of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.brokers.base import Delivery
from windlass.messages import Headers, address, encode_tail
from windlass.runtime.hand import Facts, Grants, Reader


class Limits:
    def effective_limits(self, raw):
        return (7.0, None)


@pytest.fixture
def asked():
    return []


@pytest.fixture
def reader(asked):
    def describe(queue, name):
        asked.append((queue, name))
        return Facts(name, is_known=name != "unknown")

    return Reader(describe, Limits())


def delivery(task="some.task", queue="q", version=1, body=b"[[],{},{}]", **headers):
    tail = encode_tail(address(queue, task), Headers(**headers), body)
    raw = bytes([version]) + b"0" + bytes(18) + tail
    return Delivery(id="m", queue=queue, token=3, raw=raw, deliveries=1, handbacks=2)


def test_entry_has_what_the_delivery_has(reader):
    entry = reader.entry(delivery(), now=5.0)

    assert (entry.id, entry.queue, entry.token) == ("m", "q", 3)
    assert (entry.deliveries, entry.handbacks, entry.fetched_at) == (1, 2, 5.0)
    assert entry.facts.name == "some.task"


def test_facts_are_asked_for_once_a_task_and_queue(reader, asked):
    for queue in ("q", "q", "r"):
        reader.entry(delivery(queue=queue), 0.0)

    assert asked == [("q", "some.task"), ("r", "some.task")]


def test_acks_late_false_is_seen_in_the_headers_and_nowhere_else(reader):
    assert reader.entry(delivery(acks_late=False), 0.0).acks_early
    assert not reader.entry(delivery(acks_late=True), 0.0).acks_early
    assert not reader.entry(delivery(body=b'[["\\"acks_late\\":false"],{},{}]'), 0.0).acks_early
    assert not reader.entry(delivery(body=b'{"acks_late":false}'), 0.0).acks_early


def test_limit_of_one_call_is_asked_for_only_when_it_has_one(reader):
    assert reader.entry(delivery(), 0.0).hard_s is None
    assert reader.entry(delivery(timelimit=(7.0, None)), 0.0).hard_s == 7.0


@given(st.binary(max_size=200))
def test_bytes_that_are_no_message_are_left_to_the_executor(raw):
    reader = Reader(lambda queue, name: Facts(name), Limits())
    entry = reader.entry(Delivery(id="m", queue="q", token=1, raw=raw), 0.0)

    assert entry.facts.is_known


def test_newer_format_is_left_to_the_executor(reader, asked):
    assert reader.entry(delivery(version=2), 0.0).facts.is_known
    assert asked == []


def test_grant_is_renewed_until_its_last_message_is_settled(reader):
    grants = Grants()
    entries = [reader.entry(delivery(), 0.0) for _ in range(3)]
    grants.add(entries, good_until=10.0)
    assert grants.by_queue() == {"q": [3]}
    grants.settled([3, 3])
    assert grants.by_queue() == {"q": [3]}
    grants.settled([3])

    assert grants.by_queue() == {}


def test_settling_what_is_not_held_is_nothing():
    grants = Grants()
    grants.settled([9])

    assert len(grants) == 0


def test_lease_is_surely_ours_until_it_runs_out_and_renewing_prolongs_it(reader):
    grants = Grants()
    grants.add([reader.entry(delivery(), 0.0)], good_until=10.0)
    assert grants.is_surely_ours(3, 9.9)
    assert not grants.is_surely_ours(3, 10.1)
    grants.renewed([3, 99], good_until=20.0)

    assert grants.is_surely_ours(3, 19.0)
    assert not grants.is_surely_ours(99, 1.0)
