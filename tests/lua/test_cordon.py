from __future__ import annotations

from broker_state import NOW, at, out_of_memory, read
from redis_server import RedisServer
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.cordon import cordon, uncordon


def cordons(broker: RedisBroker) -> list[bytes]:
    return list(read(broker, "ZRANGE", broker.keys.cordon, 0, -1, "WITHSCORES"))


def test_a_cordon_ends_at_its_time_and_a_repeat_prolongs_it(broker: RedisBroker) -> None:
    cordon(broker, "w1", ttl_ms=1_000)
    at(broker, NOW + 500)
    cordon(broker, "w1", ttl_ms=1_000)

    assert cordons(broker) == [b"w1", str(NOW + 1_500).encode()]


def test_uncordon_twice_or_of_nobody_is_fine(broker: RedisBroker) -> None:
    cordon(broker, "w1", ttl_ms=1_000)
    for worker in ("w1", "w1", "w2"):
        uncordon(broker, worker)

    assert cordons(broker) == []


def test_cordons_of_workers_long_gone_are_forgotten(broker: RedisBroker) -> None:
    cordon(broker, "gone", ttl_ms=1_000)
    at(broker, NOW + 1_000)
    cordon(broker, "w1", ttl_ms=1_000)

    assert cordons(broker)[::2] == [b"w1"]


def test_a_full_broker_cordons(broker: RedisBroker, each_redis_server: RedisServer) -> None:
    with out_of_memory(each_redis_server):
        cordon(broker, "w1", ttl_ms=1_000)

    assert cordons(broker)[::2] == [b"w1"]
