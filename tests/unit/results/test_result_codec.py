"""Outcomes as bytes: what is stored of each kind, and that damaged bytes are a clear error."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from windlass import states
from windlass.errors import (
    ContentDisallowed,
    DecodeError,
    EncodeError,
    MessageTooLarge,
    SecurityError,
    TaskRevokedError,
)
from windlass.results import codec
from windlass.results.base import Extended
from windlass.results.codec import About

ALL = frozenset({"json", "msgpack", "pickle"})
NOW_MS = 1_764_000_000_123
NAMED = pytest.mark.parametrize("serializer", sorted(ALL))


def about(**more: Any) -> About:
    return About(now_ms=NOW_MS, **more)


@NAMED
@given(value=st.none() | st.integers() | st.text() | st.lists(st.integers() | st.dates()))
def test_a_value_comes_back(serializer: str, value: Any) -> None:
    raw = codec.encode_success("id", value, about(serializer=serializer))

    meta = codec.decode_meta("id", raw, {serializer})

    assert (meta.task_id, meta.status, meta.result) == ("id", states.SUCCESS, value)
    assert meta.date_done == datetime(2025, 11, 24, 16, 0, 0, 123_000, UTC)
    assert (meta.traceback, meta.children, meta.args) == (None, [], None)


@NAMED
def test_an_exception_comes_back_with_its_traceback(serializer: str) -> None:
    raw = codec.encode_failure("id", KeyError("k", 1), "Traceback…", about(serializer=serializer))

    meta = codec.decode_meta("id", raw, ALL)

    assert (meta.status, meta.traceback) == (states.FAILURE, "Traceback…")
    assert type(meta.result) is KeyError
    assert meta.result.args == ("k", 1)


def test_a_retry_keeps_its_cause_and_does_not_end_a_wait() -> None:
    raw = codec.encode_retry("id", OSError("busy"), "tb", about())

    meta = codec.decode_meta("id", raw, ALL)

    assert (meta.status, type(meta.result)) == (states.RETRY, OSError)
    assert not codec.is_final(raw)


def test_a_retry_without_cause_has_no_result() -> None:
    raw = codec.encode_retry("id", None, None, about())

    assert codec.decode_meta("id", raw, ALL).result is None


def test_a_revoked_task_has_a_revoked_error_and_needs_no_clock() -> None:
    raw = codec.encode_revoked("id", "expired")

    meta = codec.decode_meta("id", raw, ALL)

    assert isinstance(meta.result, TaskRevokedError)
    assert meta.result.args == ("expired",)
    assert (meta.status, meta.date_done) == (states.REVOKED, None)


def test_a_custom_state_keeps_its_meta() -> None:
    raw = codec.encode_state("id", "PROGRESS", {"done": 3}, about())

    meta = codec.decode_meta("id", raw, ALL)

    assert (meta.status, meta.result) == ("PROGRESS", {"done": 3})


def test_a_failure_that_a_task_set_by_hand_keeps_its_meta() -> None:
    raw = codec.encode_state("id", states.FAILURE, {"why": "x"}, about())

    assert codec.decode_meta("id", raw, ALL).result == {"why": "x"}


@pytest.mark.parametrize("state", ["SUCCESS", "PROGRESS"])
def test_a_value_that_looks_like_a_stored_exception_stays_a_value(state: str) -> None:
    value = {"exc_type": "ValueError", "exc_module": "builtins", "exc_message": ["x"]}

    assert (
        codec.decode_meta("id", codec.encode_state("id", state, value, about()), ALL).result
        == value
    )


def test_a_date_that_no_calendar_has_is_a_decode_error() -> None:
    raw = codec.encode_success("id", 1, About(now_ms=2**60))

    with pytest.raises(DecodeError, match="damaged"):
        codec.decode_meta("id", raw, ALL)


@pytest.mark.parametrize(
    ("state", "final"),
    [(s, s in states.READY_STATES) for s in sorted(states.ALL_STATES | {"PROGRESS", "REJECTED"})],
)
def test_26_only_success_failure_and_revoked_end_a_wait(state: str, final: bool) -> None:
    raw = codec.encode_state("id", state, None, about())

    assert codec.is_final(raw) is final
    assert codec.status_of(raw) == state


def test_extended_results_keep_name_arguments_worker_retries_and_queue() -> None:
    more = Extended(
        name="t", args=[datetime(2026, 1, 1)], kwargs={"a": 1}, worker="w@h", retries=2, queue="q"
    )

    meta = codec.decode_meta("id", codec.encode_success("id", 5, about(extended=more)), ALL)

    assert meta.result == 5
    assert (meta.name, meta.args, meta.kwargs) == ("t", [datetime(2026, 1, 1)], {"a": 1})
    assert (meta.worker, meta.retries, meta.queue) == ("w@h", 2, "q")


def test_children_parent_and_group_are_kept() -> None:
    raw = codec.encode_success("id", 1, about(children=["a", "b"], parent_id="p", group_id="g"))

    meta = codec.decode_meta("id", raw, ALL)

    assert (meta.children, meta.parent_id, meta.group_id) == (["a", "b"], "p", "g")


def test_a_result_that_cannot_be_serialised_is_named() -> None:
    with pytest.raises(EncodeError, match=r"^value\['x'\] is of type builtins.object"):
        codec.encode_success("id", {"x": object()}, about())


def test_a_result_over_the_size_cap_is_refused_with_the_setting() -> None:
    with pytest.raises(MessageTooLarge, match=r"result of task id is .*result_max_size_bytes"):
        codec.encode_success("id", "x" * 1000, about(max_bytes=1000))


def test_a_result_of_exactly_the_size_cap_is_stored() -> None:
    size = len(codec.encode_success("id", "x", about()))

    assert codec.encode_success("id", "x", about(max_bytes=size))


def test_a_failure_over_the_size_cap_is_stored_cut_short() -> None:
    more = Extended(name="t", args=["x" * 100_000])
    raw = codec.encode_failure(
        "id",
        ValueError("x" * 100_000),
        "y" * 100_000 + "end",
        about(max_bytes=50_000, extended=more),
    )

    meta = codec.decode_meta("id", raw, ALL)

    assert len(raw) < 50_000
    assert type(meta.result) is ValueError
    assert str(meta.result).startswith("ValueError('xxx")
    assert str(meta.traceback).endswith("yyyend")


def test_a_failure_whose_arguments_cannot_be_extended_is_stored_without_them() -> None:
    more = Extended(name="t", args=[object()])

    raw = codec.encode_failure("id", ValueError(1), None, about(extended=more))

    assert codec.decode_meta("id", raw, ALL).status == states.FAILURE


def test_a_traceback_with_a_lone_surrogate_is_stored_escaped() -> None:
    raw = codec.encode_failure("id", ValueError(1), "bad \ud800", about())

    assert codec.decode_meta("id", raw, ALL).traceback == "bad \\ud800"


# engine.md, statement 49


def test_49_a_refused_content_type_hides_the_value_and_not_the_state() -> None:
    raw = codec.encode_success("id", 5, about(serializer="pickle"))

    assert codec.status_of(raw) == states.SUCCESS
    with pytest.raises(ContentDisallowed, match="x-python-serialize"):
        codec.decode_meta("id", raw, {"json"})


VALID = codec.encode_success("id", 5, about(extended=Extended(name="t", args=[1])))


@pytest.mark.parametrize("cut", range(len(VALID)))
def test_an_outcome_that_is_cut_short_is_a_decode_error(cut: int) -> None:
    with pytest.raises(DecodeError):
        codec.decode_meta("id", VALID[:cut], {"json"})


@given(data=st.binary(max_size=100))
@example(data=b"jF\x00\x00\x00\x02{}1")
@example(data=b'jF\x00\x00\x00\x23{"status":"SUCCESS","extended":true}1')
@example(data=b'jF\xff\xff\xff\xff{"status":"SUCCESS"}1')
@example(data=b'xF\x00\x00\x00\x14{"status":"SUCCESS"}1')
def test_decoding_any_bytes_gives_an_outcome_or_one_of_two_errors(data: bytes) -> None:
    with contextlib.suppress(DecodeError, ContentDisallowed, SecurityError):
        codec.decode_meta("id", data, {"json", "msgpack"})


@given(at=st.integers(0, len(VALID) - 1), byte=st.integers(0, 255))
def test_decoding_an_outcome_with_a_changed_byte_gives_one_or_one_of_three_errors(
    at: int, byte: int
) -> None:
    data = bytearray(VALID)
    data[at] = byte

    with contextlib.suppress(DecodeError, ContentDisallowed, SecurityError):
        codec.decode_meta("id", bytes(data), {"json", "msgpack"})
