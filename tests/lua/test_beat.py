from __future__ import annotations

from broker_state import NOW, at, out_of_memory, read, snapshot
from redis_server import RedisServer
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.cordon import cordon
from windlass.control_plane.heartbeats import WorkerStatus, beat, read_workers, say_goodbye

STATUS = WorkerStatus(worker_id="w1", hostname="host", queues=["q"], running={"q": 2})


def names(broker: RedisBroker) -> list[str]:
    return [worker.worker_id for worker in read_workers(broker)]


def test_a_worker_is_seen_until_its_heartbeat_expires(broker: RedisBroker) -> None:
    beat(broker, STATUS, ttl_ms=1_000)

    (worker,) = read_workers(broker)
    assert (worker.hostname, worker.running, worker.seen_ms) == ("host", {"q": 2}, NOW + 1_000)
    at(broker, NOW + 999)
    assert names(broker) == ["w1"]
    at(broker, NOW + 1_000)
    assert names(broker) == []


def test_a_beat_repeated_prolongs_and_replaces(broker: RedisBroker) -> None:
    beat(broker, STATUS, ttl_ms=1_000)
    at(broker, NOW + 900)
    beat(broker, WorkerStatus(worker_id="w1", busy=3), ttl_ms=1_000)
    at(broker, NOW + 1_800)

    assert [worker.busy for worker in read_workers(broker)] == [3]


def test_goodbye_removes_it_at_once_and_twice_is_fine(broker: RedisBroker) -> None:
    beat(broker, STATUS, ttl_ms=1_000)

    say_goodbye(broker, "w1")
    say_goodbye(broker, "w1")
    say_goodbye(broker, "never.was")

    assert names(broker) == []
    assert snapshot(broker) == {}


def test_a_living_worker_clears_away_the_dead_ones(broker: RedisBroker) -> None:
    for n in range(60):
        beat(broker, WorkerStatus(worker_id=f"old{n}"), ttl_ms=1_000)
    at(broker, NOW + 1_000)
    for _ in range(2):
        beat(broker, STATUS, ttl_ms=1_000)

    assert read(broker, "HKEYS", broker.keys.workers) == [b"w1"]


def test_the_answer_says_until_when_it_is_cordoned(broker: RedisBroker) -> None:
    assert beat(broker, STATUS, ttl_ms=1_000) == 0
    cordon(broker, "w1", ttl_ms=5_000)

    assert beat(broker, STATUS, ttl_ms=10_000) == NOW + 5_000
    at(broker, NOW + 5_000)
    assert beat(broker, STATUS, ttl_ms=10_000) == 0


def test_waiters_that_gave_up_are_forgotten(broker: RedisBroker) -> None:
    read(broker, "ZADD", broker.keys.waiting, NOW, "gone", NOW + 1, "here")
    beat(broker, STATUS, ttl_ms=1_000)

    assert read(broker, "ZRANGE", broker.keys.waiting, 0, -1) == [b"here"]


def test_a_full_broker_takes_heartbeats(
    broker: RedisBroker, each_redis_server: RedisServer
) -> None:
    with out_of_memory(each_redis_server):
        beat(broker, STATUS, ttl_ms=1_000)

    assert names(broker) == ["w1"]
