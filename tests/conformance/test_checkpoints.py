"""What every broker does with checkpoints: fenced, for the next run of the message, then gone."""

from __future__ import annotations

from typing import Any

import msgspec

from broker_samples import REQUEST, Sample
from broker_state import LEASE_MS, NOW
from builders import make_message
from windlass.brokers.base import Again, Crashed, Delivery, Done, HandBack


def take(broker: Any) -> Delivery:
    (delivery,) = broker.exchange([], REQUEST)[1].deliveries
    taken: Delivery = delivery
    return taken


def begin(broker: Any, id_: str = "a") -> Delivery:
    broker.enqueue([make_message(id=id_, queue="q")])
    return take(broker)


def save(broker: Any, delivery: Delivery, payload: bytes, retries: int = 0) -> bool:
    saved: bool = broker.checkpoints.save(
        delivery.id, delivery.queue, delivery.token, retries, payload
    )
    return saved


def facts(delivery: Delivery) -> dict[str, Any]:
    return {"id": delivery.id, "queue": delivery.queue, "token": delivery.token}


def test_the_last_one_is_read_and_by_every_process(broker: Any, brokers: Sample) -> None:
    run = begin(broker)
    assert broker.checkpoints.read("a", 0) is None
    assert save(broker, run, b"1")
    assert save(broker, run, b"2" * 5000)

    assert brokers.other.checkpoints.read("a", 0) == b"2" * 5000
    assert brokers.other.checkpoints.read("b", 0) is None


def test_the_run_after_a_hand_back_or_a_crash_goes_on(broker: Any) -> None:
    run = begin(broker)
    save(broker, run, b"1")
    broker.exchange([HandBack(**facts(run))], None)
    second = take(broker)
    assert broker.checkpoints.read("a", 0) == b"1"
    save(broker, second, b"2")
    broker.exchange([Crashed(**facts(second), reason="x", worker="w")], None)

    third = take(broker)
    assert (third.deliveries, broker.checkpoints.read("a", 0)) == (1, b"2")


def test_a_run_that_lost_its_lease_saves_nothing(broker: Any, brokers: Sample) -> None:
    lost = begin(broker)
    save(broker, lost, b"1")
    brokers.at(NOW + LEASE_MS + 1)
    broker.reap("q", "w2")
    owner = take(broker)

    assert not save(broker, lost, b"zombie")
    assert broker.checkpoints.read("a", 0) == b"1"
    assert save(broker, owner, b"2")
    assert not save(broker, msgspec.structs.replace(owner, token=owner.token + 9), b"nobody")


def test_a_retry_goes_on(broker: Any, brokers: Sample) -> None:
    run = begin(broker)
    save(broker, run, b"1")
    brokers.at(NOW + 5)
    broker.exchange([Again(**facts(run), message=make_message(id="a", queue="q"))], None)
    take(broker)

    assert broker.checkpoints.read("a", 1) == b"1"


def test_another_message_of_the_same_id_begins_at_the_beginning(
    broker: Any, brokers: Sample
) -> None:
    run = begin(broker)
    save(broker, run, b"1")
    broker.exchange([Done(**facts(run))], None)
    assert broker.checkpoints.read("a", 0) is None
    brokers.at(NOW + 5)
    begin(broker)

    assert broker.checkpoints.read("a", 0) is None


def test_a_retry_of_another_message_of_the_same_id_is_not_mistaken(
    broker: Any, brokers: Sample
) -> None:
    run = begin(broker)
    save(broker, run, b"1", retries=2)
    broker.exchange([Done(**facts(run))], None)
    brokers.at(NOW + 5)
    begin(broker)

    assert broker.checkpoints.read("a", 0) is None


def test_it_can_be_forgotten(broker: Any) -> None:
    run = begin(broker)
    save(broker, run, b"1")

    assert save(broker, run, b"")
    assert broker.checkpoints.read("a", 0) is None
    assert broker.checkpoints.sweep(0, 10) == 0


def test_those_whose_message_is_gone_are_swept_in_bounds(broker: Any, brokers: Sample) -> None:
    runs = []
    for id_ in "abc":
        runs.append(begin(broker, id_))
        save(broker, runs[-1], b"1")
    broker.exchange([Done(**facts(run)) for run in runs[:2]], None)
    brokers.at(NOW + 1000)
    assert broker.checkpoints.sweep(2000, 10) == 0

    swept = [broker.checkpoints.sweep(1000, 1) for _ in range(4)]
    assert sorted(swept) == [0, 0, 1, 1]
    assert broker.checkpoints.read("c", 0) == b"1"
