"""What every serializer does: one suite, run on each implementation."""

from __future__ import annotations

from typing import Any

import pytest

from windlass.errors import DecodeError, EncodeError
from windlass.serializers import registry
from windlass.serializers.base import Serializer


@pytest.fixture(params=sorted(registry.NAMES))
def serializer(request: pytest.FixtureRequest) -> Serializer:
    return registry.serializer_named(request.param)


def test_it_is_found_by_name_content_type_and_marker(serializer: Serializer) -> None:
    data = serializer.encode([1])

    assert registry.content_type_of(serializer.name) == serializer.content_type
    assert registry.decode(data, serializer.content_type, {serializer.name}) == [1]
    assert registry.decode_marked(data, serializer.marker, {serializer.name}) == [1]
    assert len(serializer.marker) == 1


@pytest.mark.parametrize(
    "value",
    [None, True, 0, -1, 1.5, "", "äöü\0\n", [], {}, [[], {"": [None]}], {"a": {"b": [1, "2"]}}],
)
def test_plain_values_come_back(serializer: Serializer, value: Any) -> None:
    back = serializer.decode(serializer.encode(value))

    assert back == value
    assert type(back) is type(value)


def test_encoding_leaves_the_value_as_it_was(serializer: Serializer) -> None:
    value = {"a": [1, {"b": b"x", "__type__": 1, "__value__": [2]}]}
    serializer.encode(value)

    assert value == {"a": [1, {"b": b"x", "__type__": 1, "__value__": [2]}]}


def test_a_value_without_representation_is_an_encode_error_that_names_the_part(
    serializer: Serializer,
) -> None:
    with pytest.raises(EncodeError, match=r"^second\['x'\]"):
        serializer.encode([1, {"x": lambda: None}], ("first", "second"))


def test_bytes_cut_short_are_a_decode_error(serializer: Serializer) -> None:
    data = serializer.encode({"a": [1, 2, "x" * 100]})

    for cut in range(len(data)):
        with pytest.raises(DecodeError):
            serializer.decode(data[:cut])
