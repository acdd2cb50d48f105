"""Bad values and bad bytes: the error, its text, and that nothing but those errors comes out."""

from __future__ import annotations

import contextlib
import os
import pickle  # noqa: TID251 - the attack that is refused
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from windlass.errors import ConfigurationError, ContentDisallowed, DecodeError, EncodeError
from windlass.serializers import registry

ALL = registry.NAMES
TYPED = pytest.mark.parametrize("name", ["json", "msgpack"])


@TYPED
@pytest.mark.parametrize(
    ("args", "kwargs", "place"),
    [
        ([object()], {}, "args[0]"),
        ([1, {"when": [object()]}], {}, "args[1]['when'][0]"),
        ([1], {"user": {"x": object()}}, "kwargs['user']['x']"),
        ([{object}], {}, "args[0][0]"),
    ],
)
def test_an_argument_without_representation_is_named_with_its_type(
    name: str, args: list[Any], kwargs: dict[str, Any], place: str
) -> None:
    with pytest.raises(EncodeError) as refusal:
        registry.encode_body(args, kwargs, {}, name)

    assert str(refusal.value).startswith(f"{place} is of type builtins.")
    assert f"the {name} serializer cannot represent" in str(refusal.value)


def test_pickle_names_the_argument_that_cannot_be_pickled() -> None:
    with pytest.raises(EncodeError, match=r"^kwargs\['f'\]\[1\] cannot be pickled"):
        registry.encode_body([1], {"f": [1, lambda: None]}, {}, "pickle")


@TYPED
def test_a_value_that_contains_itself_is_refused(name: str) -> None:
    loop: list[Any] = []
    loop.append(loop)

    with pytest.raises(EncodeError, match="nested too deeply"):
        registry.encode([loop, {1, 2}], name)


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_very_deep_value_is_refused_or_comes_back(name: str) -> None:
    deep: list[Any] = []
    for _ in range(20_000):
        deep = [deep]

    with pytest.raises(EncodeError):
        registry.encode(deep, name)


@TYPED
@pytest.mark.parametrize("value", [["\ud800"], [{"\udfff": 1}], [object, "\ud800"][1:]])
def test_a_lone_surrogate_is_refused_with_its_place(name: str, value: Any) -> None:
    with pytest.raises(EncodeError, match=r"^value\[0\].* is a string with a lone surrogate"):
        registry.encode(value, name)


def test_json_refuses_keys_that_are_no_scalars() -> None:
    with pytest.raises(EncodeError, match=r"The key of value\[\(1, 2\)\] is of type tuple"):
        registry.encode({(1, 2): 3})


def test_msgpack_refuses_keys_that_are_no_scalars() -> None:
    with pytest.raises(EncodeError, match=r"The key of value\[\(1, 2\)\] is of type tuple"):
        registry.encode({(1, 2): 3}, "msgpack")


# engine.md, statement 49


class Attack:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


def test_49_pickle_is_refused_and_not_run_when_only_json_is_accepted(tmp_path: Any) -> None:
    data = pickle.dumps(Attack(str(tmp_path / "owned")))

    with pytest.raises(ContentDisallowed) as refusal:
        registry.decode(data, "application/x-python-serialize", {"json"})

    assert list(tmp_path.iterdir()) == []
    assert "Refused content type 'application/x-python-serialize'" in str(refusal.value)
    assert "Expected one of: json" in str(refusal.value)


def test_49_pickle_is_decoded_once_it_is_accepted() -> None:
    data = registry.encode({1, 2}, "pickle")

    assert registry.decode(data, "application/x-python-serialize", {"json", "pickle"}) == {1, 2}


def test_49_accept_content_takes_names_and_content_types() -> None:
    data = registry.encode([1], "msgpack")

    assert registry.decode(data, "application/x-msgpack", {"msgpack"}) == [1]
    assert registry.decode(data, "application/x-msgpack", {"application/x-msgpack"}) == [1]
    assert registry.content_types(["json", "application/x-msgpack"]) == {
        "application/json",
        "application/x-msgpack",
    }


def test_an_unknown_content_type_is_refused() -> None:
    with pytest.raises(ContentDisallowed, match="application/x-yaml"):
        registry.decode(b"[]", "application/x-yaml", ALL)


def test_an_unknown_serializer_names_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'msgpack'"):
        registry.encode(1, "msgpak")


@pytest.mark.parametrize(
    "data",
    [
        b'{"__type__": "datetime", "__value__": 5}',
        b'{"__type__": "datetime", "__value__": "yesterday"}',
        b'{"__type__": "uuid", "__value__": {"hex": "zz"}}',
        b'{"__type__": "uuid", "__value__": []}',
        b'{"__type__": "decimal", "__value__": "ten"}',
        b'{"__type__": "decimal", "__value__": 1.5}',
        b'{"__type__": "timedelta", "__value__": [1]}',
        b'{"__type__": "timedelta", "__value__": [1e300, 0, 0]}',
        b'{"__type__": "base64", "__value__": "?"}',
        b'{"__type__": "int", "__value__": "0xzz"}',
        b'{"__type__": "float", "__value__": "much"}',
        b'{"__type__": "dict", "__value__": [[[], 1]]}',
        b'{"__type__": "dict", "__value__": 7}',
        b'{"__type__": "bytes", "__value__": null}',
        b'{"__type__": "complex", "__value__": 1}',
        b'{"__type__": ["datetime"], "__value__": 1}',
        b'[{"__type__": null, "__value__": 1}]',
    ],
)
def test_a_damaged_typed_value_is_a_decode_error(data: bytes) -> None:
    with pytest.raises(DecodeError):
        registry.decode(data, "application/json", {"json"})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[",
        b"[1] [2]",
        b"NaN",
        b"1e999",
        b"\xff\xfe",
        b'"\xff"',
        b'"\\ud800"',
        b"[" * 100_000,
        b"9" * 5000,
    ],
)
def test_bytes_that_are_no_json_are_a_decode_error_or_a_value(data: bytes) -> None:
    with pytest.raises(DecodeError, match="bytes cannot be decoded as JSON"):
        registry.decode(data, "application/json", {"json"})


@pytest.mark.parametrize("name", sorted(ALL))
@given(data=st.binary(max_size=200))
@example(data=b"\x91" * 100_000)
@example(data=b"\x81\x90\x01")
@example(data=b"\x81\x80\x01")
@example(data=b"\xc7\xff\xff")
@example(data=b"\xdf\xff\xff\xff\xff")
def test_decoding_any_bytes_gives_a_value_or_a_decode_error(name: str, data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        registry.decode(data, registry.content_type_of(name), ALL)


KINDS = ["datetime", "date", "time", "timedelta", "decimal", "uuid", "bytes", "base64", "int"]
KINDS += ["float", "dict"]

_json_like = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(), inner, max_size=3)
        | st.fixed_dictionaries(
            {
                "__type__": st.sampled_from(KINDS),
                "__value__": inner,
            }
        )
    ),
    max_leaves=8,
)


@given(value=_json_like)
def test_decoding_any_typed_value_gives_a_value_or_a_decode_error(value: Any) -> None:
    for name, encode in (("json", msgspec.json.encode), ("msgpack", msgspec.msgpack.encode)):
        with contextlib.suppress(DecodeError):
            registry.decode(encode(value), registry.content_type_of(name), ALL)


@given(data=st.binary(), content_type=st.text())
def test_decoding_any_content_type_gives_a_value_or_one_of_two_errors(
    data: bytes, content_type: str
) -> None:
    with contextlib.suppress(DecodeError, ContentDisallowed):
        registry.decode(data, content_type, {"json"})
