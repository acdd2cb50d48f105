"""How a run ended is known from the first run on that a server sees."""

from __future__ import annotations

from redis_server import RedisServer
from schedule_builders import make_entry, run_all
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.schedules import put_schedule, read_schedule, trigger_schedule


def test_the_end_of_a_run_is_noted_by_a_server_that_lacks_the_scripts(
    redis_server: RedisServer,
) -> None:
    """The note counts on being done before the commit that it is sent with."""
    broker = RedisBroker(redis_server.url)
    put_schedule(broker, make_entry())
    run_id = trigger_schedule(broker, "s")
    redis_server.client().script_flush()

    assert run_all(broker, state="REVOKED", took_ms=7) == [run_id]

    schedule = read_schedule(broker, "s")
    assert schedule.run is not None
    assert (schedule.run.id, schedule.state, schedule.took_ms) == (run_id, "REVOKED", 7)
    broker.close()
