"""The machine's own time zone as a `tzinfo` that knows summer and winter time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo


class LocalTime(tzinfo):
    """What the system clock shows: the offset is that of the moment asked about, not of now."""

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        """Return the offset from UTC at that moment."""
        return None if dt is None else dt.replace(tzinfo=None).astimezone().utcoffset()

    def tzname(self, dt: datetime | None) -> str | None:
        """Return the zone's abbreviation at that moment."""
        return None if dt is None else dt.replace(tzinfo=None).astimezone().tzname()

    def dst(self, dt: datetime | None) -> timedelta | None:
        """Return None: the system does not say which part of the offset is summer time."""
        return None

    def fromutc(self, dt: datetime) -> datetime:
        """Turn a moment that is given in UTC into local time."""
        local = dt.replace(tzinfo=UTC).astimezone()
        shown = local.replace(tzinfo=self)
        if shown.utcoffset() != local.utcoffset():  # the second of two equal hours in autumn
            shown = shown.replace(fold=1)
        return shown
