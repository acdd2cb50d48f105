"""Ending the runs of schedules that are to be replaced."""

from __future__ import annotations

from collections.abc import Mapping

from windlass.brokers.base import StoredResult
from windlass.control_plane.schedules import AnyBroker, read_schedules, schedules_of
from windlass.results import codec


def end_runs(broker: AnyBroker, replacing: Mapping[str, int]) -> int:
    """Revoke the runs of schedules that have not ended, and end their processes.

    Only those of earlier nominal times: a ticker that was stopped, and comes with a time that has
    been fired since, must not end that very run.

    Args:
        broker: Where.
        replacing: Name of a schedule -> the nominal time that is about to be fired.

    Returns:
        How many there were.
    """
    now_ms = schedules_of(broker).now_ms()
    ttls = {
        run.id: schedule.entry.result_ttl_ms
        for schedule in read_schedules(broker, list(replacing))
        for run in schedule.active
        if run.nominal_ms < replacing[schedule.entry.name]
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
