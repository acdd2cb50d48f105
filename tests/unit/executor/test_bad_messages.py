"""What bad bytes get: a dead letter with its reason, or parking, and no effect beside it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import make_message
from recording_broker import make_executor, recording_app, request_for, stored
from windlass import Windlass, sending
from windlass.control_plane.dead_letters import Reason
from windlass.errors import DecodeError
from windlass.messages import Headers, Outgoing, decode_message
from windlass.runtime.executor import Executor, RunRequest
from windlass.runtime.opening import Opener
from windlass.runtime.outcome import Buried, Finished, Unknown


@pytest.fixture
def executor() -> Executor:
    app = recording_app(task_max_size_bytes=2000)
    app.task(name="tests.noop")(lambda *args, **kwargs: None)
    return make_executor(app)


def run(executor: Executor, outgoing: Outgoing, raw: bytes | None = None) -> Any:
    request = request_for(outgoing)
    request.raw = stored(outgoing) if raw is None else raw
    return executor.execute(request)


def test_unknown_task_is_to_be_parked(executor: Executor) -> None:
    assert run(executor, make_message("shop.unknown")) == Unknown("shop.unknown")


def test_task_declared_after_the_start_is_found() -> None:
    app = recording_app()
    executor = make_executor(app)
    app.task(name="late")(lambda: None)

    assert isinstance(run(executor, make_message("late")), Finished)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b"null", b"[]", b"[[],{}]", b"[{},{},{}]", b"[[],[],{}]", b'"abc"'],
)
def test_body_that_cannot_be_decoded_is_a_dead_letter(executor: Executor, body: bytes) -> None:
    outcome = run(executor, make_message(body=body))

    assert isinstance(outcome, Buried)
    assert outcome.reason == Reason.UNDECODABLE
    assert outcome.detail


@pytest.mark.parametrize("content_type", ["application/x-python-serialize", "text/x-evil"])
def test_refused_content_type_is_a_dead_letter(executor: Executor, content_type: str) -> None:
    message = make_message(headers=Headers(content_type=content_type))
    outcome = run(executor, message)

    assert (outcome.reason, content_type in outcome.detail) == (Reason.CONTENT_DISALLOWED, True)


def test_message_over_the_cap_is_a_dead_letter_before_it_is_decoded(executor: Executor) -> None:
    outcome = run(executor, make_message(body=b"[" * 10_000))

    assert outcome.reason == Reason.TOO_LARGE
    assert "task_max_size_bytes" in outcome.detail


def test_newer_format_version_is_a_dead_letter_of_its_own_kind(executor: Executor) -> None:
    message = make_message()
    assert run(executor, message).state == "SUCCESS"  # the same head, known by now
    outcome = run(executor, message, b"\x02" + stored(message)[1:])

    assert outcome.reason == Reason.UNSUPPORTED_VERSION
    assert "upgrade this worker" in outcome.detail


@pytest.mark.parametrize("headers", [b"[]", b"{", b'{"retries":"x"}', b"\xff"])
def test_damaged_headers_are_a_dead_letter(executor: Executor, headers: bytes) -> None:
    message = make_message()
    good = msgspec.json.encode(Headers())
    head, _, tail = stored(message).partition(len(good).to_bytes(4, "big") + good)
    raw = head + len(headers).to_bytes(4, "big") + headers + tail

    assert run(executor, message, raw).reason == Reason.UNDECODABLE


@given(cut=st.integers(0, 200))
def test_message_that_is_cut_short_is_never_run_or_raises(cut: int) -> None:
    app = recording_app()
    app.task(name="tests.noop")(lambda *args, **kwargs: None)
    message = make_message(args=("abc",))
    raw = stored(message)
    outcome = run(make_executor(app), message, raw[: min(cut, len(raw) - 1)])

    assert isinstance(outcome, Buried)


@given(raw=st.binary(max_size=300))
def test_any_bytes_end_as_an_outcome(raw: bytes) -> None:
    app = recording_app()
    request = RunRequest(id="x", queue="q", token=1, raw=b"\x010" + raw)

    assert isinstance(make_executor(app).execute(request), Buried | Unknown)
    assert make_executor(app).effective_limits(raw) == (None, None) or raw


def test_bad_message_leaves_the_next_one_alone(executor: Executor) -> None:
    good = make_message()
    for body in (b"{", b"[[],{},{}]", b"\xff", b"[[],{},{}]"):
        run(executor, make_message(body=body))

    assert run(executor, good) == run(executor, good)
    assert run(executor, good).state == "SUCCESS"


# -- opening: the quick way says what the plain one says

HEADERS = st.builds(
    Headers,
    root_id=st.none() | st.text(max_size=5),
    parent_id=st.none() | st.text(max_size=5),
    retries=st.integers(0, 3),
    origin=st.none() | st.text(max_size=5),
    headers=st.none() | st.dictionaries(st.text(max_size=3), st.integers(0, 9), max_size=2),
    timelimit=st.none() | st.tuples(st.none() | st.just(1.0), st.none() | st.just(2.0)),
)


@given(
    sent=st.lists(
        st.tuples(st.sampled_from(["a", "b.c"]), st.sampled_from(["q", "r"]), HEADERS), max_size=6
    )
)
def test_opener_agrees_with_decode_message(sent: list[tuple[str, str, Headers]]) -> None:
    opener = Opener()
    for task, queue, headers in sent * 2:
        raw = stored(make_message(task, queue=queue, headers=headers))
        head, body = opener.open(raw)
        message = decode_message("", raw)

        assert (head.task, head.queue, head.headers, body) == (
            message.task,
            message.queue,
            message.headers,
            message.body,
        )


@given(raw=st.binary(max_size=120))
def test_opener_raises_what_decode_message_raises(raw: bytes) -> None:
    try:
        decode_message("", raw)
    except DecodeError:
        with pytest.raises(DecodeError):
            Opener().open(raw)
    else:
        Opener().open(raw)


# -- limits, as the supervisor asks for them


@pytest.mark.parametrize(
    ("task_options", "call_options", "settings", "limits"),
    [
        ({}, {}, {}, (None, None)),
        ({"time_limit": 9, "soft_time_limit": 4}, {}, {}, (9, 4)),
        ({}, {}, {"task_time_limit": 8, "task_soft_time_limit": 3}, (8, 3)),
        ({"time_limit": 9}, {}, {"task_time_limit": 8, "task_soft_time_limit": 3}, (9, 3)),
        ({"time_limit": 9, "soft_time_limit": 4}, {"time_limit": 1}, {}, (1, 4)),
        ({"time_limit": 9}, {"soft_time_limit": 2}, {}, (9, 2)),
        ({"time_limit": 0}, {}, {"task_time_limit": 8}, (None, None)),
    ],
)
def test_call_limits_win_over_the_tasks_and_those_over_the_settings(
    task_options: dict[str, Any],
    call_options: dict[str, Any],
    settings: dict[str, Any],
    limits: tuple[Any, Any],
) -> None:
    app = recording_app(**settings)
    task = app.task(**task_options)(lambda: None)
    raw = stored(sending.build(app, task.name, task, (), {}, call_options))

    assert make_executor(app).effective_limits(raw) == limits


def test_limits_of_a_message_of_an_unknown_task_are_its_own() -> None:
    app: Windlass = recording_app()
    raw = stored(sending.build(app, "far", None, (), {}, {"time_limit": 3}))

    assert make_executor(app).effective_limits(raw) == (3, None)
