"""What every broker with Capability.JOINS does with the steps of workflows."""

from __future__ import annotations

from typing import Any

from broker_state import fetch, ids_of
from workflow_samples import (
    args_of,
    chain,
    chord,
    failed,
    failure_in,
    is_failing,
    run_all,
    succeeded,
)


def test_a_step_is_released_with_the_value_of_the_one_before_it(broker: Any) -> None:
    first, continuations = chain("a", "b", "c")
    broker.enqueue([first], continuations=continuations)

    (a,) = fetch(broker).deliveries
    broker.exchange([succeeded(a, [1, "x"])], None)
    (b,) = fetch(broker).deliveries
    assert (b.id, args_of(b)) == ("b", [[1, "x"]])
    broker.exchange([succeeded(b, None)], None)
    (c,) = fetch(broker).deliveries
    assert (c.id, args_of(c)) == ("c", [None])
    broker.exchange([succeeded(c)], None)
    assert fetch(broker).deliveries == []


def test_a_body_gets_the_values_in_the_order_of_its_header(broker: Any) -> None:
    messages, continuation = chord(["a", "b", "c"], "body")
    broker.enqueue(messages, continuations=[continuation])

    a, b, c = fetch(broker).deliveries
    broker.exchange([succeeded(c, "C"), succeeded(a, "A")], None)
    assert ids_of(fetch(broker)) == []
    broker.exchange([succeeded(b, "B")], None)

    (body,) = fetch(broker).deliveries
    assert (body.id, args_of(body)) == ("body", [["A", "B", "C"]])


def test_a_failure_is_told_at_once_and_only_once(broker: Any) -> None:
    messages, continuation = chord(["a", "b", "c"], "body")
    broker.enqueue(messages, continuations=[continuation])

    a, b, c = fetch(broker).deliveries
    broker.exchange([failed(b)], None)
    (body,) = fetch(broker).deliveries
    assert is_failing(body)
    assert failure_in(body).id == "b"
    broker.exchange([failed(c), succeeded(a, 1)], None)

    assert fetch(broker).deliveries == []


def test_a_chain_runs_to_its_end(broker: Any) -> None:
    first, continuations = chain(*"abcdefgh")
    broker.enqueue([first], continuations=continuations)

    assert run_all(broker) == list("abcdefgh")
