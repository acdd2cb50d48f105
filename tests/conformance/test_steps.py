"""What every broker with Capability.JOINS does when the end of a step asks for the next only."""

from __future__ import annotations

from typing import Any

import msgspec

from broker_samples import REQUEST, Sample, depth
from broker_state import NOW, fetch, ids_of
from windlass.states import Stage
from workflow_samples import args_of, chain, member, succeeded

STEP_REQUEST = msgspec.structs.replace(REQUEST, want=1, step_only=True)


def test_a_step_is_leased_with_the_end_of_the_one_before(broker: Any) -> None:
    first, continuations = chain("a", "b", "c")
    broker.enqueue([first], continuations=continuations)
    (delivery,) = fetch(broker).deliveries

    for id_ in "bc":
        stale, fetched = broker.exchange([succeeded(delivery, id_)], STEP_REQUEST)
        assert stale == []
        (delivery,) = fetched.deliveries
        assert (delivery.id, args_of(delivery)) == (id_, [id_])
        assert broker.stage(id_) is Stage.LEASED
    assert depth(broker, "q").leased == 1

    stale, fetched = broker.exchange([succeeded(delivery)], STEP_REQUEST)
    assert (stale, fetched.deliveries) == ([], [])
    assert depth(broker, "q").leased == 0


def test_a_step_does_not_overtake_what_is_ready(broker: Any) -> None:
    first, continuations = chain("a", "b")
    broker.enqueue([first], continuations=continuations)
    (a,) = fetch(broker).deliveries
    broker.enqueue([member("before", None)])

    _, fetched = broker.exchange([succeeded(a)], STEP_REQUEST)

    assert ids_of(fetched) == ["before"]
    assert ids_of(fetch(broker)) == ["b"]


def test_the_lease_of_a_step_is_renewed_and_runs_out_as_any_other(brokers: Sample) -> None:
    broker = brokers.broker
    first, continuations = chain("a", "b")
    broker.enqueue([first], continuations=continuations)
    (a,) = fetch(broker).deliveries
    _, fetched = broker.exchange([succeeded(a)], STEP_REQUEST)
    (b,) = fetched.deliveries

    assert broker.renew({"q": [b.token]}, 15_000) == []
    brokers.at(NOW + 60_000)
    assert broker.reap("q", "other") == 1
    (again,) = fetch(broker).deliveries
    assert (again.id, again.deliveries) == ("b", 1)
    assert broker.exchange([succeeded(b)], None)[0] == ["b"]
