from __future__ import annotations

import pytest

from broker_state import fetch, out_of_memory, read, snapshot
from redis_server import RedisServer
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.queue_record import QueueRecord, read_record, write_record
from windlass.errors import ConfigurationError


def test_without_a_record_there_are_defaults(broker: RedisBroker) -> None:
    assert read_record(broker, "q") == QueueRecord()
    assert snapshot(broker) == {}


def test_changes_are_kept_counted_and_returned(broker: RedisBroker) -> None:
    first = write_record(broker, "q", paused=True, max_deliveries=7)
    second = write_record(broker, "q", dead_retention_s=60)

    assert first == QueueRecord(paused=True, max_deliveries=7, generation=1)
    assert (
        second
        == QueueRecord(paused=True, max_deliveries=7, dead_retention_s=60, generation=2)
        == read_record(broker, "q")
    )


def test_what_becomes_a_dead_letter_is_kept(broker: RedisBroker) -> None:
    write_record(broker, "q", park_limit_s=3600, dead_expired=True, dead_failed=True)

    assert write_record(broker, "q", dead_expired=False) == QueueRecord(
        park_limit_s=3600, dead_failed=True, generation=2
    )


def test_none_gives_the_cap_back_to_the_workers_setting(broker: RedisBroker) -> None:
    write_record(broker, "q", max_deliveries=7)

    assert write_record(broker, "q", max_deliveries=None).max_deliveries is None


@pytest.mark.parametrize(
    ("rate", "kept"),
    [("100/s", "100/s"), (" 1.5 / m", "1.5/m"), (10, "10/s"), ("0/s", None), (None, None)],
)
def test_a_rate_limit_is_kept_as_text_that_scripts_read(
    broker: RedisBroker, rate: str | float | None, kept: str | None
) -> None:
    write_record(broker, "q", rate_limit="5/h", max_concurrency=4)

    assert write_record(broker, "q", rate_limit=rate) == QueueRecord(
        rate_limit=kept, max_concurrency=4, generation=2
    )
    assert write_record(broker, "q", max_concurrency=None).max_concurrency is None


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"rate_limit": "often"}, "'100/m'"),
        ({"max_concurrency": 0}, "1 to"),
        ({"pausd": True}, "Did you mean 'paused'"),
        ({"paused": 1}, "True or False"),
        ({"max_deliveries": 0}, "1 to 1000"),
        ({"max_deliveries": True}, "whole number"),
        ({"dead_retention_s": -1}, "0 to"),
        ({"park_limit_s": -1}, "0 to"),
        ({"dead_failed": 1}, "True or False"),
        ({"dead_retention_s": "7d"}, "whole number"),
    ],
)
def test_a_wrong_change_is_refused_and_nothing_is_written(
    broker: RedisBroker, changes: dict[str, object], text: str
) -> None:
    with pytest.raises(ConfigurationError, match=text):
        write_record(broker, "q", **changes)
    assert snapshot(broker) == {}


def test_the_end_of_a_pause_wakes_those_who_wait_and_only_them(broker: RedisBroker) -> None:
    wake = broker.keys.queue("q").wake
    write_record(broker, "q", paused=False)
    assert read(broker, "LLEN", wake) == 0

    write_record(broker, "q", paused=True)
    fetch(broker, wait_ms=5_000)
    write_record(broker, "q", paused=False)
    write_record(broker, "q", paused=False)
    assert read(broker, "LLEN", wake) == 16


def test_a_full_broker_can_be_paused(broker: RedisBroker, each_redis_server: RedisServer) -> None:
    with out_of_memory(each_redis_server):
        assert write_record(broker, "q", paused=True).paused
