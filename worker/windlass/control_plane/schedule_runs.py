"""Ending the runs of schedules that are to be replaced."""

from __future__ import annotations

from collections.abc import Sequence

from windlass.brokers.base import StoredResult
from windlass.control_plane.schedules import AnyBroker, read_schedules, schedules_of
from windlass.results import codec


def end_runs(broker: AnyBroker, names: Sequence[str]) -> int:
    """Revoke the runs of schedules that have not ended, and end their processes.

    Returns:
        How many there were.
    """
    now_ms = schedules_of(broker).now_ms()
    ttls = {
        run.id: schedule.entry.result_ttl_ms
        for schedule in read_schedules(broker, names)
        for run in schedule.active
    }

    def outcome(message_id: str) -> StoredResult | None:
        ttl_ms = ttls[message_id]
        if ttl_ms is None:
            return None
        payload = codec.encode_revoked(message_id, "revoked", codec.About(now_ms=now_ms))
        return StoredResult(payload=payload, ttl_ms=ttl_ms)

    if ttls:
        broker.revoke(list(ttls), result_for=outcome, terminate=True)
    return len(ttls)
