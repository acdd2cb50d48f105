"""Dead letters are kept as long as the queue's record says, and no longer."""

from __future__ import annotations

import pytest

from builders import make_message
from redis_server import RedisServer
from windlass.brokers.base import Bury, FetchRequest, Park
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.dead_letters import list_dead
from windlass.control_plane.parking import ParkLimits
from windlass.control_plane.queue_record import write_record
from windlass.runtime.chores import Chores

pytestmark = pytest.mark.redis


def bury_one(broker: RedisBroker, queue: str) -> None:
    broker.enqueue([make_message(queue=queue)])
    request = FetchRequest(worker_id="w", queues=(queue,), want=1, lease_ms=10_000)
    fetched = broker.exchange([], request)[1]
    assert fetched is not None
    (delivery,) = fetched.deliveries
    broker.exchange(
        [
            Bury(
                id=delivery.id,
                queue=queue,
                token=delivery.token,
                reason="rejected",
                detail="no",
                worker="w",
            )
        ],
        None,
    )


def test_chores_take_the_queues_in_turn_and_delete_only_what_is_too_old(
    redis_server: RedisServer,
) -> None:
    broker = RedisBroker(redis_server.url)
    hour_ago = int(redis_server.client().time()[0]) * 1000 - 3_600_000
    broker.commands.now = str(hour_ago)
    for queue in ("short", "long", "for-ever"):
        bury_one(broker, queue)
    broker.commands.now = ""
    bury_one(broker, "short")
    write_record(broker, "short", dead_retention_s=60)
    write_record(broker, "long", dead_retention_s=7200)
    write_record(broker, "for-ever", dead_retention_s=0)
    chores = Chores(broker, ("short", "long", "for-ever"), every_s=0)

    deleted = [chores.run_once() for _ in range(3)]

    assert deleted == [1, 0, 0]
    assert [len(list_dead(broker, q)) for q in ("short", "long", "for-ever")] == [1, 1, 1]
    broker.close()


def test_chores_are_done_now_and_then_only(redis_server: RedisServer) -> None:
    broker = RedisBroker(redis_server.url)
    chores = Chores(broker, ("q",), every_s=3600)
    before = redis_server.client().info("stats")["total_commands_processed"]

    done = [chores.run_once() for _ in range(100)]

    after = redis_server.client().info("stats")["total_commands_processed"]
    assert done == [0] * 100
    assert after - before <= 4  # those of the two readings, none of the chores
    broker.close()


def test_chores_bury_what_was_parked_for_too_long(redis_server: RedisServer) -> None:
    broker = RedisBroker(redis_server.url)
    broker.commands.now = str(int(redis_server.client().time()[0]) * 1000 - 60_000)
    broker.enqueue([make_message(id="a", queue="q")])
    request = FetchRequest(worker_id="w", queues=("q",), want=1, lease_ms=10_000)
    fetched = broker.exchange([], request)[1]
    assert fetched is not None
    (delivery,) = fetched.deliveries
    broker.exchange([Park(id="a", queue="q", token=delivery.token, task="tests.new")], None)
    broker.commands.now = ""
    write_record(broker, "q", park_limit_s=60)
    chores = Chores(broker, ("q",), park_limits=ParkLimits(broker, "w"))
    chores._parked_at = 0.0

    chores.run_once()

    assert [letter.reason for letter in list_dead(broker, "q")] == ["parked_too_long"]
    broker.close()
