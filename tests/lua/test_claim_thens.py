from __future__ import annotations

from broker_state import NOW, at, read
from windlass.brokers.redis import RedisBroker
from windlass.redis_store.scripts import script
from workflow_samples import chord


def claim(broker: RedisBroker, age_ms: int, limit: int = 10) -> list[bytes]:
    command = script("claim_thens").command(
        (broker.keys.thens,), (broker.commands.now, age_ms, limit)
    )
    found: list[bytes] = broker.links.call([command])[0]
    return found


def test_the_oldest_come_first_and_are_not_given_to_two(broker: RedisBroker) -> None:
    for n in range(3):
        at(broker, NOW + n)
        broker.enqueue([], continuations=[chord([f"a{n}"], f"b{n}")[1]])
    at(broker, NOW + 10)

    assert claim(broker, 9) == [b"k-b0", b"k-b1"]
    assert claim(broker, 9) == []
    assert claim(broker, 8, limit=1) == [b"k-b2"]


def test_nothing_is_nothing(broker: RedisBroker) -> None:
    assert claim(broker, 0) == []
    assert read(broker, "EXISTS", broker.keys.thens) == 0
