"""What comes back is what went, for every type that a serializer claims; nothing else gets in."""

from __future__ import annotations

import enum
import json
from collections import OrderedDict, defaultdict, namedtuple
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.serializers import registry

ALL = registry.NAMES
NAMED = pytest.mark.parametrize("name", sorted(ALL))
WITHOUT_PICKLE = pytest.mark.parametrize("name", ["json", "msgpack"])

_offsets = st.integers(-23 * 60, 23 * 60).map(lambda m: timezone(timedelta(minutes=m)))
_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**200), 2**200),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.datetimes(timezones=st.none() | _offsets),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.sampled_from(["__type__", "__value__", "datetime"]),
)
_keys = st.text() | st.sampled_from(["__type__", "__value__"])
values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=12,
)


def round_trip(value: Any, name: str) -> Any:
    return registry.decode(registry.encode(value, name), registry.content_type_of(name), ALL)


@NAMED
@given(value=values)
def test_every_value_comes_back_as_it_went_with_its_types(name: str, value: Any) -> None:
    back = round_trip(value, name)

    assert back == value
    assert _types(back) == _types(value)


def _types(value: Any) -> Any:
    if isinstance(value, list):
        return [_types(member) for member in value]
    if isinstance(value, dict):
        return {key: _types(member) for key, member in value.items()}
    return type(value)


@given(args=st.lists(_scalars, max_size=4), kwargs=st.dictionaries(_keys, values, max_size=3))
def test_a_body_is_the_list_of_args_kwargs_and_embed(args: list[Any], kwargs: Any) -> None:
    for name in sorted(ALL):
        data = registry.encode_body(args, kwargs, {}, name)

        assert registry.decode(data, registry.content_type_of(name), ALL)[:2] in (
            [args, kwargs],
            (args, kwargs),
        )


@WITHOUT_PICKLE
@pytest.mark.parametrize(
    "looks_like_a_marker",
    [
        {"__type__": "datetime", "__value__": "2026-01-01"},
        {"__type__": "nothing known", "__value__": None},
        {"__type__": "dict", "__value__": [["a", 1]]},
        {"__type__": 1, "__value__": {"__type__": "uuid", "__value__": {"hex": "no"}}},
        {"__type__": "datetime"},
        {"__type__": "datetime", "__value__": "x", "more": 1},
    ],
)
def test_a_users_dict_that_looks_like_a_typed_value_stays_a_dict(
    name: str, looks_like_a_marker: dict[str, Any]
) -> None:
    assert round_trip([looks_like_a_marker], name) == [looks_like_a_marker]


@WITHOUT_PICKLE
def test_keyword_arguments_that_look_like_a_typed_value_stay_what_they_are(name: str) -> None:
    kwargs = {"__type__": "datetime", "__value__": "2026-01-01"}

    data = registry.encode_body([], kwargs, {}, name)

    assert registry.decode(data, registry.content_type_of(name), ALL) == [[], kwargs, {}]


@NAMED
def test_not_a_number_and_the_infinities_come_back(name: str) -> None:
    nan, inf, minus = round_trip([float("nan"), float("inf"), float("-inf")], name)

    assert nan != nan
    assert (inf, minus) == (float("inf"), float("-inf"))


def test_json_stays_valid_json_with_not_a_number_in_it() -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    data = registry.encode({"x": float("nan"), "y": None})

    assert json.loads(data, parse_constant=refuse)["y"] is None


@NAMED
def test_integers_of_any_size_come_back(name: str) -> None:
    huge = [2**63 - 1, 2**63, 2**64, -(2**63), -(2**63) - 1, 2**40_000, -(2**40_000)]

    assert round_trip(huge, name) == huge


# engine.md, statement 5


def test_5_json_turns_tuples_into_lists_and_integer_keys_into_strings() -> None:
    assert round_trip((1, (2, 3)), "json") == [1, [2, 3]]
    assert round_trip({1: "a", 2.5: "b", None: "d"}, "json") == {"1": "a", "2.5": "b", "null": "d"}
    assert round_trip({True: "c"}, "json") == {"true": "c"}


def test_5_datetime_decimal_uuid_date_and_time_round_trip_through_typed_hooks() -> None:
    value = {
        "datetime": datetime(2026, 11, 24, 6, 30, tzinfo=UTC),
        "naive": datetime(2026, 11, 24, 6, 30, 0, 123),
        "date": date(2026, 11, 24),
        "time": time(6, 30, tzinfo=UTC),
        "timedelta": timedelta(days=-1, microseconds=7),
        "decimal": Decimal("1.10"),
        "uuid": UUID(int=7),
        "text": b"abc",
        "bytes": b"\xff\x00",
    }

    assert round_trip(value, "json") == value


def test_5_typed_values_have_the_forms_that_kombu_reads_and_writes() -> None:
    kombu = pytest.importorskip("kombu.utils.json")
    value = [
        datetime(2026, 1, 2, tzinfo=UTC),
        date(2026, 1, 2),
        time(3, 4),
        Decimal("1.5"),
        UUID(int=9),
        b"abc",
        b"\xff",
    ]

    assert kombu.loads(registry.encode(value)) == value
    assert registry.decode(kombu.dumps(value).encode(), "application/json", ALL) == value


def test_a_time_zone_becomes_its_offset() -> None:
    paris = datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Paris"))

    back = round_trip(paris, "json")

    assert back == paris
    assert back.utcoffset() == timedelta(hours=2)


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Name(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "not this"


Point = namedtuple("Point", "x y")


@WITHOUT_PICKLE
def test_subclasses_become_their_base_enums_their_value_and_sets_lists(name: str) -> None:
    value = [
        Colour.RED,
        Level.LOW,
        Name("ada"),
        Point(1, 2),
        OrderedDict(a=1),
        defaultdict(int, b=2),
        {3},
        frozenset({4}),
        bytearray(b"x"),
        {Colour.RED.value: 1},
    ]

    back = round_trip(value, name)

    assert back == ["red", 1, "ada", [1, 2], {"a": 1}, {"b": 2}, [3], [4], b"x", {"red": 1}]
    assert [type(member) for member in back[:3]] == [str, int, str]


def test_msgpack_keeps_integer_keys_and_bytes() -> None:
    assert round_trip({1: b"\xff", b"k": 2}, "msgpack") == {1: b"\xff", b"k": 2}


class Money:
    def __json__(self) -> dict[str, Any]:
        return {"amount": Decimal("9.90")}


@WITHOUT_PICKLE
def test_an_object_may_say_what_stands_for_it_by_kombus_protocol(name: str) -> None:
    assert round_trip([Money()], name) == [{"amount": Decimal("9.90")}]


def test_pickle_keeps_what_the_others_turn_into_lists() -> None:
    value = ((1, 2), {3}, Colour.RED, Point(1, 2))

    assert round_trip(value, "pickle") == value
    assert isinstance(round_trip(value, "pickle"), tuple)
