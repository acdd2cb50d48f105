"""When the sun rises, culminates and sets at a place. Pure: no clock, no app.

Declination and equation of time by Meeus' low-precision series, as in NOAA's solar calculator,
taken at the very moment of the event. Measured against the ephemeris of the package `ephem` (which
Celery uses), 1,400 events of twenty years between 75 degrees north and south: half of them differ
by 1.2 seconds at most, all up to 55 degrees by less than 6, the others by less than 40, and that
only on the few days a year on which the sun just grazes the height that counts. Height above the
sea and weather are left out, as there.
Next in the walk: `windlass.schedules`, class `solar`.

Source: Jean Meeus, Astronomical Algorithms, chapters 25 and 28.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from math import acos, asin, cos, degrees, radians, sin, tan

from windlass.errors import ScheduleError, nearest

#: Event -> the height of the sun's centre, degrees. At sunrise and sunset its upper limb is at the
#: horizon, lifted by refraction: 34 minutes of arc, and half the sun's width.
HEIGHTS = {
    "dawn_astronomical": -18.0,
    "dawn_nautical": -12.0,
    "dawn_civil": -6.0,
    "sunrise": -34 / 60 - 0.2666,
    "solar_noon": 0.0,
    "sunset": -34 / 60 - 0.2666,
    "dusk_civil": -6.0,
    "dusk_nautical": -12.0,
    "dusk_astronomical": -18.0,
}
_MORNING = frozenset({"dawn_astronomical", "dawn_nautical", "dawn_civil", "sunrise"})
#: Days without the event that are passed over: a polar night is shorter.
_DAYS = 400
_ROUNDS = 4
_J2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)
_CENTURY = timedelta(days=36525)


def check_place(event: str, latitude: float, longitude: float) -> None:
    """Refuse what is no event or no place.

    Raises:
        ScheduleError: (a ValueError) Says what was given and what is expected.
    """
    if event not in HEIGHTS:
        text = f"Unknown event {event!r}.{nearest(str(event), HEIGHTS)} Expected one of: "
        raise ScheduleError(text + ", ".join(sorted(HEIGHTS)) + ".")
    for name, value, limit in (("latitude", latitude, 90), ("longitude", longitude, 180)):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (is_number and -limit <= value <= limit):
            text = f"The {name} is {value!r}; expected degrees from -{limit} to {limit}."
            raise ScheduleError(text)


def next_event(event: str, latitude: float, longitude: float, after: datetime) -> datetime | None:
    """Return the first time after `after` at which the event takes place, in UTC.

    Args:
        event: A key of `HEIGHTS`.
        latitude: Degrees north, -90 to 90.
        longitude: Degrees east, -180 to 180.
        after: An aware time.

    Returns:
        The time, to the second; None where it does not take place for more than a year.
    """
    after = after.astimezone(UTC)
    day = after.date() - timedelta(days=1)
    for _ in range(_DAYS):
        found = _event_of(event, latitude, longitude, day)
        if found is not None and found > after:
            return found
        day += timedelta(days=1)
    return None


def _event_of(event: str, latitude: float, longitude: float, day: date) -> datetime | None:
    """Return the event of the day whose noon, by the sun at this place, is near `day`, 12:00."""
    noon = datetime.combine(day, time(12), UTC) - timedelta(minutes=4 * longitude)
    moment = noon
    for left in reversed(range(_ROUNDS)):
        declination, equation_min = _sun(moment)
        moment = noon - timedelta(minutes=equation_min)
        if event == "solar_noon":
            continue
        cosine = _cosine(HEIGHTS[event], latitude, declination)
        if not (-1 <= cosine <= 1 or left):
            return None  # also not with the sun of that very moment
        angle = degrees(acos(max(-1.0, min(1.0, cosine))))
        moment += timedelta(minutes=-4 * angle if event in _MORNING else 4 * angle)
    return (moment + timedelta(milliseconds=500)).replace(microsecond=0)


def _cosine(height: float, latitude: float, declination: float) -> float:
    """Return the cosine of the angle between noon and a height of the sun; beyond 1: never."""
    across = cos(radians(latitude)) * cos(declination)
    up = sin(radians(height)) - sin(radians(latitude)) * sin(declination)
    return up / across if abs(across) > 1e-9 else 2.0  # at a pole


def _sun(moment: datetime) -> tuple[float, float]:
    """Return the sun's declination, radians, and the equation of time, minutes."""
    t = (moment - _J2000) / _CENTURY
    mean = radians(280.46646 + t * (36000.76983 + t * 0.0003032))
    anomaly = radians(357.52911 + t * (35999.05029 - t * 0.0001537))
    eccentricity = 0.016708634 - t * (0.000042037 + t * 0.0000001267)
    centre = (
        sin(anomaly) * (1.914602 - t * (0.004817 + t * 0.000014))
        + sin(2 * anomaly) * (0.019993 - t * 0.000101)
        + sin(3 * anomaly) * 0.000289
    )
    node = radians(125.04 - 1934.136 * t)
    longitude = mean + radians(centre - 0.00569 - 0.00478 * sin(node))
    tilt_s = 21.448 - t * (46.815 + t * (0.00059 - t * 0.001813))
    tilt = radians(23 + (26 + tilt_s / 60) / 60 + 0.00256 * cos(node))
    y = tan(tilt / 2) ** 2
    equation = (
        y * sin(2 * mean)
        - 2 * eccentricity * sin(anomaly)
        + 4 * eccentricity * y * sin(anomaly) * cos(2 * mean)
        - 0.5 * y * y * sin(4 * mean)
        - 1.25 * eccentricity * eccentricity * sin(2 * anomaly)
    )
    return asin(sin(tilt) * sin(longitude)), 4 * degrees(equation)
