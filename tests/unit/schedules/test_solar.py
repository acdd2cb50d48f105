"""Events of the sun, held against an ephemeris: expected times are those of ephem 4.2, in UTC."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta

import pytest

from windlass.errors import ScheduleError
from windlass.schedules import solar
from windlass.solar_times import HEIGHTS, next_event

NOON = datetime(2026, 3, 20, 12, tzinfo=UTC)
EPHEM = [
    ("dawn_civil", -54.79, 157.17, "2023-04-16T05:01:45+00:00", "2023-04-16T19:47:35+00:00"),
    ("sunrise", -40.85, 132.94, "2027-02-18T00:16:18+00:00", "2027-02-18T20:37:03+00:00"),
    ("dawn_civil", -73.13, -158.16, "2024-02-23T04:35:56+00:00", "2024-02-23T12:04:41+00:00"),
    ("dusk_nautical", -8.4, -113.68, "2025-05-06T09:17:26+00:00", "2025-05-07T02:11:32+00:00"),
    (
        "dusk_astronomical",
        -47.56,
        -101.47,
        "2028-08-07T20:45:48+00:00",
        "2028-08-08T01:28:52+00:00",
    ),
    ("solar_noon", 31.96, -99.72, "2020-11-20T10:42:30+00:00", "2020-11-20T18:24:40+00:00"),
    ("dusk_civil", -65.5, -106.87, "2017-05-29T14:54:49+00:00", "2017-05-29T22:36:15+00:00"),
    ("sunset", 22.83, 25.06, "2022-08-06T13:32:31+00:00", "2022-08-06T16:58:12+00:00"),
    ("dawn_civil", 73.97, -170.08, "2030-11-01T05:12:07+00:00", "2030-11-01T19:08:26+00:00"),
    ("dusk_civil", -73.72, -155.65, "2034-03-22T17:10:38+00:00", "2034-03-23T05:41:18+00:00"),
    ("sunset", 61.14, 31.42, "2028-01-12T09:21:33+00:00", "2028-01-12T13:08:28+00:00"),
    ("dusk_nautical", -66.13, 23.56, "2022-08-06T07:36:54+00:00", "2022-08-06T16:00:16+00:00"),
    ("dawn_nautical", -21.04, 24.84, "2017-09-04T15:42:45+00:00", "2017-09-05T03:38:12+00:00"),
    ("dawn_nautical", 62.63, 133.48, "2020-09-18T21:27:53+00:00", "2020-09-19T19:02:36+00:00"),
    ("dusk_civil", -69.5, 72.81, "2034-07-24T20:29:17+00:00", "2034-07-25T10:37:49+00:00"),
    ("dawn_astronomical", 16.45, 65.73, "2026-03-30T18:16:33+00:00", "2026-03-31T00:20:51+00:00"),
]


@pytest.mark.parametrize(("event", "lat", "lon", "after", "expected"), EPHEM)
def test_event_is_where_the_ephemeris_has_it(
    event: str, lat: float, lon: float, after: str, expected: str
) -> None:
    found = next_event(event, lat, lon, datetime.fromisoformat(after))
    limit = timedelta(seconds=6 if abs(lat) <= 55 else 20)

    assert found is not None
    assert abs(found - datetime.fromisoformat(expected)) <= limit


def test_the_events_of_a_day_come_in_their_order() -> None:
    found = [next_event(event, 48.85, 2.35, NOON + timedelta(hours=10)) for event in HEIGHTS]

    assert None not in found
    assert found == sorted(found)


def test_a_polar_night_is_passed_over_and_a_place_without_the_event_has_none() -> None:
    after = datetime(2026, 12, 1, tzinfo=UTC)

    sunrise = next_event("sunrise", 69.65, 18.96, after)
    assert sunrise is not None
    assert datetime(2027, 1, 10, tzinfo=UTC) < sunrise < datetime(2027, 1, 25, tzinfo=UTC)
    assert next_event("sunset", 90.0, 0.0, after) is None
    with pytest.raises(OverflowError, match="more than a year"):
        solar("sunset", 90, 0).next_after(after)


def test_each_event_follows_the_last_by_about_a_day() -> None:
    moment, found = NOON, []
    for _ in range(366):
        following = next_event("sunset", -33.87, 151.21, moment)
        assert following is not None
        found.append(following - moment)
        moment = following

    assert all(
        timedelta(hours=23, minutes=56) < gap < timedelta(hours=24, minutes=4) for gap in found[1:]
    )


def test_it_is_due_after_its_event_and_says_when_to_look_again() -> None:
    now = datetime(2026, 11, 24, 16, 2, tzinfo=UTC)
    sunset = solar("sunset", 48.85, 2.35, nowfun=lambda: now)

    assert not sunset.is_due(now).is_due
    due = sunset.is_due(now - timedelta(minutes=10))
    assert due.is_due
    assert 23 * 3600 < due.next < 25 * 3600
    assert sunset.remaining_estimate(now) == timedelta(seconds=due.next)


def test_it_is_compared_hashed_shown_and_copied() -> None:
    sunset = solar("sunset", 48.85, 2.35)

    assert sunset == copy.copy(sunset) != solar("sunrise", 48.85, 2.35)
    assert hash(sunset) == hash(solar("sunset", 48.85, 2.35))
    assert sunset != 1
    assert repr(sunset) == "<solar: sunset at latitude 48.85, longitude: 2.35>"


@pytest.mark.parametrize(
    ("event", "lat", "lon", "text"),
    [
        ("sunrice", 0, 0, "Did you mean 'sunrise'"),
        ("sunset", 91, 0, "latitude is 91; expected degrees from -90 to 90"),
        ("sunset", 0, -181, "longitude"),
        ("sunset", "48", 0, "latitude is '48'"),
    ],
)
def test_what_is_no_event_or_no_place_is_refused_in_words(
    event: str, lat: float, lon: float, text: str
) -> None:
    with pytest.raises(ScheduleError, match=text) as error:
        solar(event, lat, lon)
    assert isinstance(error.value, ValueError)
