"""Bodies that are cut apart when declared and joined when released mean what a whole one would."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windlass.continuations import FAIL_TASK, LOST, PURGED, Failure, Hole, Part, Release, part_of
from windlass.messages import Headers, Outgoing, Then, decode_message, then_of
from windlass.released import (
    failing_message_of,
    make_release,
    message_of,
    open_failing_body,
    take_pieces,
    value_piece,
)
from windlass.serializers import registry
from workflow_samples import chain, chord, release, wait_for

PREFIX = b"\x010" + bytes(18)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
SERIALIZERS = st.sampled_from(["json", "msgpack", "pickle"])


def joined(serializer: str, hole: Hole, given_: list[Any], own: list[Any], kwargs: Any) -> Any:
    """Decode what a release becomes with these values."""
    headers = Headers(content_type=registry.content_type_of(serializer), group="g")
    body = registry.encode_body(own, kwargs, {"e": 1}, serializer)
    made = make_release(Outgoing(id="i", queue="q", tail=b""), "t", headers, body, hole=hole)
    pieces = [value_piece(registry.encode_marked(v, made.takes), made.takes) for v in given_]
    message = decode_message("i", PREFIX + message_of(made, pieces))
    assert (message.queue, message.task, message.headers.group) == ("q", "t", "g")
    args, more, embed = registry.decode(
        message.body, message.headers.content_type, {"json", "msgpack", "pickle"}
    )
    assert embed == {"e": 1}
    return list(args), more


@settings(max_examples=40, deadline=None)
@given(SERIALIZERS, st.lists(values, min_size=1, max_size=20), st.lists(values, max_size=20))
def test_a_list_of_values_comes_first(serializer: str, parts: list[Any], own: list[Any]) -> None:
    hole = Hole("list", len(parts), "chord")

    assert joined(serializer, hole, parts, own, {"k": own}) == ([parts, *own], {"k": own})


@settings(max_examples=40, deadline=None)
@given(SERIALIZERS, values, st.lists(values, max_size=20))
def test_one_value_comes_first(serializer: str, value: Any, own: list[Any]) -> None:
    assert joined(serializer, Hole(), [value], own, {}) == ([value, *own], {})


@pytest.mark.parametrize("count", [15, 16, 65_535, 65_536])
def test_msgpack_counts_arguments_of_any_number(count: int) -> None:
    own = [0] * (count - 1)

    assert joined("msgpack", Hole("list", count), [1] * count, own, {}) == ([[1] * count, *own], {})


def test_pieces_that_are_cut_short_are_refused() -> None:
    body = b"l" + (2).to_bytes(4, "big") + value_piece(b"abc", "p") + b"\0\0\0\x09rest"

    with pytest.raises(ValueError, match="2"):
        take_pieces(body)


@pytest.mark.parametrize("headers", [Headers(), Headers(group="g", then=Then("k", 1))])
def test_a_failing_message_names_kind_and_task_and_keeps_its_headers(headers: Headers) -> None:
    made = make_release(
        Outgoing(id="i", queue="q", tail=b""), "my.task", headers, b"[[],{},{}]",
        hole=Hole("value", 1, "chord"), errbacks=b"E",
    )  # fmt: skip

    message = decode_message("i", PREFIX + failing_message_of(made, b"F"))

    assert (message.task, message.queue) == (FAIL_TASK, "q")
    assert message.headers.failing == ("chord", "my.task")
    assert (message.headers.group, message.headers.then) == (headers.group, headers.then)
    assert open_failing_body(message.body) == (b"E", b"F")


def test_what_a_header_says_of_its_continuation() -> None:
    waits = wait_for(
        ["a", "b"],
        release("x", queue="two"),
        release("y", queue="one", serializer="msgpack"),
        release("z", queue="one", hole=Hole("nothing")),
    )

    assert waits.then(1) == Then("k-x", 1, "jm", ("one", "two"))
    assert waits.need == 2
    assert isinstance(waits.releases[0], Release)


def test_a_message_says_what_waits_for_it_without_being_decoded_whole() -> None:
    message, _ = chain("a", "b")
    raw = PREFIX + message.tail

    assert then_of(raw) == Then("k-b", 0, "j", ("q",))
    assert then_of(raw[:-8]) == Then("k-b", 0, "j", ("q",)), "of a head alone, too"
    assert then_of(PREFIX + release("x").address + b"\0\0\0\x02{}[[],{},{}]") is None
    for damaged in (b"", raw[:25], raw.replace(b'"then":[', b'"then":{'), b"\x02" + raw[1:]):
        assert then_of(damaged) is None


def test_a_user_cannot_pass_for_a_continuation() -> None:
    headers = Headers(headers={"then": ["x", 1], "text": '"then":["y",2]'})
    made = make_release(Outgoing(id="i", queue="q", tail=b""), "t", headers, b"[[],{},{}]")

    assert then_of(PREFIX + message_of(made, [b"1"])) is None


def test_the_part_of_a_message_that_no_worker_ends() -> None:
    (message, _), continuation = chord(["a", "b"], "body")
    part = part_of("a", PREFIX + message.tail, PURGED)

    assert isinstance(part, Part)
    assert part.then == continuation.then(0)
    assert Failure.decode(part.failure).state == "REVOKED"
    assert part_of("a", PREFIX + release("x").address + b"\0\0\0\x02{}b", LOST) is None
