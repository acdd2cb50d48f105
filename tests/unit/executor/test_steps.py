"""How a step of a workflow ends: every end is a part, and a failing message ends as a failure."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from recording_broker import make_executor, opened, recording_app, request_for
from windlass import Task, Windlass, sending
from windlass.continuations import Failure, Hole, Release
from windlass.errors import ChordError, Ignore, Reject, Retry, TaskError, TaskRevokedError
from windlass.messages import Headers, Outgoing, Then, decode_message, encode_tail
from windlass.messages import address as address_of
from windlass.released import failing_message_of, make_release, message_of, value_piece
from windlass.results import codec
from windlass.results.exceptions import rebuild
from windlass.runtime.outcome import Buried, Finished, Retried, Stepped
from windlass.runtime.steps import failure_of
from windlass.serializers import registry

ALL = {"json", "msgpack", "pickle"}
THEN = Then("next", 3, "j", ("q",))


def step(
    app: Windlass, task: Task[..., Any], *args: Any, then: Then = THEN, **options: Any
) -> Outgoing:
    """The message of a task that is part of something."""
    sent = sending.build(app, task.name, task, args, {}, options, checks=False)
    message = opened(sent)
    headers = msgspec.structs.replace(message.headers, then=then)
    sent.tail = encode_tail(address_of(sent.queue, task.name), headers, message.body)
    return sent


def ended(app: Windlass, task: Task[..., Any], *args: Any, **options: Any) -> Any:
    message = options.pop("message", {})
    return make_executor(app).execute(request_for(step(app, task, *args, **options), **message))


def failure_in(outcome: Stepped) -> tuple[Failure, Exception]:
    """What the part of an outcome says."""
    assert outcome.part is not None
    failure = Failure.decode(outcome.part.failure)
    return failure, rebuild(registry.decode_marked(failure.error[1:], failure.error[:1], ALL))


def meta_of(outcome: Any) -> Any:
    return codec.decode_meta("", outcome.result, ALL)


# -- parts


@pytest.mark.parametrize("settings", [{}, {"result_extended": True}, {"backend": None}])
def test_a_value_is_the_part_with_and_without_a_stored_outcome(settings: dict[str, Any]) -> None:
    app = recording_app(**settings)

    outcome = ended(app, app.task(lambda: {"k": [1, "ü"]}))

    assert type(outcome) is Stepped
    assert outcome.part.then == THEN
    assert msgspec.json.decode(outcome.part.values[0]) == {"k": [1, "ü"]}
    assert (outcome.result is None) is ("backend" in settings)


def test_the_value_is_encoded_once_for_each_format_that_is_wanted(app: Windlass) -> None:
    outcome = ended(app, app.task(lambda: b"\x00"), then=Then("next", 0, "jmp"))

    assert [
        registry.decode_marked(piece, marker.encode(), ALL)
        for piece, marker in zip(outcome.part.values[:2], "jm", strict=True)
    ] == [b"\x00", b"\x00"]
    assert outcome.part.values[2] == value_piece(registry.encode(b"\x00", "pickle"), "p")


def test_no_value_travels_where_only_the_fact_counts(app: Windlass) -> None:
    assert ended(app, app.task(lambda: 1), then=Then("next", 0, "")).part.values == ()


def test_an_ignored_result_is_a_value_all_the_same(app: Windlass) -> None:
    outcome = ended(app, app.task(lambda: 7, ignore_result=True))

    assert outcome.result is None
    assert outcome.part.values == (b"7",)


def test_a_value_that_the_next_step_cannot_take_is_a_failure(app: Windlass) -> None:
    outcome = ended(app, app.task(lambda: 2 + 3j, ignore_result=True))

    assert outcome.state == "FAILURE"
    assert "complex" in str(failure_in(outcome)[1])


def test_a_failure_is_the_part_with_its_traceback(app: Windlass) -> None:
    def fails() -> None:
        raise KeyError("k", 1)

    outcome = ended(app, app.task(fails))

    failure, error = failure_in(outcome)
    assert (type(error), error.args, failure.state) == (KeyError, ("k", 1), "FAILURE")
    assert failure.traceback is not None
    assert "in fails" in failure.traceback


def test_a_failure_that_cannot_be_encoded_or_is_huge_is_summarised() -> None:
    for error in (ValueError(object(), "\ud800"), ValueError("x" * 100_000)):
        failure = Failure.decode(failure_of("id", error, traceback="\ud800" + "t" * 9000))
        described = registry.decode_marked(failure.error[1:], failure.error[:1], ALL)
        assert isinstance(rebuild(described), ValueError)
        assert len(failure.encode()) < 8000


def test_ignore_is_a_failure_that_says_so(app: Windlass) -> None:
    def ignores() -> None:
        raise Ignore

    outcome = ended(app, app.task(ignores))

    assert (outcome.state, outcome.result) == ("IGNORED", None)
    error = failure_in(outcome)[1]
    assert isinstance(error, TaskError)
    assert "was ignored" in str(error)


def test_an_expired_message_is_a_revoked_part(app: Windlass) -> None:
    task = app.task(lambda: 1)

    outcome = ended(app, task, expires=1, message={"later_ms": 5000})

    failure, error = failure_in(outcome)
    assert (failure.state, type(error), error.args) == ("REVOKED", TaskRevokedError, ("expired",))


def test_a_rejected_message_tells_the_reject(app: Windlass) -> None:
    def rejects() -> None:
        raise Reject("broken", requeue=False)

    outcome = ended(app, app.task(rejects))

    assert isinstance(outcome, Buried)
    failure = Failure.decode(outcome.failure)
    assert msgspec.json.decode(failure.error[1:])["exc_message"] == ["broken", False]


def test_a_retry_keeps_what_waits_for_it(app: Windlass) -> None:
    def again(task: Any) -> None:
        raise task.retry(countdown=1)

    outcome = ended(app, app.task(again, bind=True))

    assert isinstance(outcome, Retried)
    assert opened(outcome.message).headers.then == THEN


def test_a_replacement_keeps_what_waits_for_it(app: Windlass) -> None:
    other = app.task(lambda x: x, name="tests.other")

    def replaces(task: Any) -> None:
        task.replace(other.s(1))

    outcome = ended(app, app.task(replaces, bind=True))

    assert isinstance(outcome, Retried)
    assert (opened(outcome.message).headers.then, opened(outcome.message).task) == (
        THEN,
        "tests.other",
    )


def test_a_retry_with_new_arguments_of_joined_pickles_is_an_ordinary_pickle() -> None:
    app = recording_app(accept_content=["json", "pickle"])
    seen: list[Any] = []

    def again(task: Any, *args: Any) -> None:
        seen.append(args)
        if task.request.retries == 0:
            raise task.retry(args=[*args, "more"], countdown=0)

    task = app.task(again, bind=True)
    body = registry.encode_body(("own",), {}, {}, "pickle")
    headers = Headers(content_type=registry.content_type_of("pickle"), then=THEN)
    made = make_release(
        Outgoing(id="i", queue="q", tail=b""), task.name, headers, body, hole=Hole("list", 2)
    )
    pieces = [value_piece(registry.encode(v, "pickle"), "p") for v in ({1}, {2})]
    sent = Outgoing(id="i", queue="q", tail=message_of(made, pieces))
    outcome: Any = make_executor(app).execute(request_for(sent))

    assert isinstance(outcome, Retried)
    make_executor(app).execute(request_for(outcome.message))
    assert seen == [([{1}, {2}], "own"), ([{1}, {2}], "own", "more")]


def test_joined_pickles_are_refused_where_pickle_is() -> None:
    app = recording_app()
    task = app.task(lambda *args: args)
    body = registry.encode_body((), {}, {}, "pickle")
    headers = Headers(content_type=registry.content_type_of("pickle"))
    made = make_release(Outgoing(id="i", queue="q", tail=b""), task.name, headers, body)
    piece = value_piece(registry.encode(1, "pickle"), "p")
    sent = Outgoing(id="i", queue="q", tail=message_of(made, [piece]))

    outcome = make_executor(app).execute(request_for(sent))

    assert isinstance(outcome, Buried)
    assert outcome.reason == "content_disallowed"
    damaged = Outgoing(id="i", queue="q", tail=sent.tail[:-60])
    app.conf.accept_content = ["pickle"]
    assert make_executor(app).execute(request_for(damaged)).reason == "undecodable"  # type: ignore[union-attr]


# -- failing messages


def failing(
    task: str, *, fails: Any = "same", then: Then | None = None, error: Exception, **more: Any
) -> Outgoing:
    """A failing message of a task, told of an error of task "first"."""
    state = more.pop("state", "FAILURE")
    errbacks = more.pop("errbacks", b"")
    headers = Headers(then=then, group="g", parent_id="p", **more)
    made: Release = make_release(
        Outgoing(id="me", queue="q", tail=b""), task, headers, b"[[],{},{}]",
        hole=Hole("value", 1, fails), errbacks=errbacks,
    )  # fmt: skip
    tail = failing_message_of(made, failure_of("first", error, state, "its traceback"))
    return Outgoing(id="me", queue="q", tail=tail)


def told(app: Windlass, message: Outgoing) -> Any:
    return make_executor(app).execute(request_for(message))


def test_a_step_that_is_told_of_a_failure_ends_with_it_unrun(app: Windlass) -> None:
    ran: list[int] = []
    app.task(lambda: ran.append(1), name="tests.second")

    outcome = told(app, failing("tests.second", error=KeyError("k"), then=THEN))

    meta = meta_of(outcome)
    assert (meta.status, type(meta.result), meta.result.args) == ("FAILURE", KeyError, ("k",))
    assert (meta.traceback, meta.group_id, meta.parent_id) == ("its traceback", "g", "p")
    assert failure_in(outcome)[0].id == "first"
    assert (outcome.part.then, ran) == (THEN, [])


def test_a_body_that_is_told_of_a_failure_ends_as_chord_error_with_the_cause(app: Windlass) -> None:
    outcome = told(app, failing("tests.unknown", fails="chord", error=KeyError("k"), then=THEN))

    meta = meta_of(outcome)
    assert isinstance(meta.result, ChordError)
    assert str(meta.result) == "Dependency first raised KeyError('k')"
    assert isinstance(meta.result.__cause__, KeyError)
    failure, error = failure_in(outcome)
    assert failure.id == "me"
    assert isinstance(error, ChordError)
    assert isinstance(error.__cause__, KeyError)


def test_a_revoked_step_makes_the_next_one_revoked_and_a_body_fail(app: Windlass) -> None:
    error = TaskRevokedError("revoked")

    step_ = told(app, failing("tests.t", error=error, state="REVOKED"))
    body = told(app, failing("tests.t", fails="chord", error=error, state="REVOKED"))

    assert type(step_) is Finished
    assert (step_.state, meta_of(step_).status) == ("REVOKED", "REVOKED")
    assert (body.state, meta_of(body).status) == ("FAILURE", "FAILURE")


def test_the_errbacks_of_a_body_are_called_once_inline_or_sent(app: Windlass) -> None:
    seen: list[Any] = []

    def inline(request: Any, exc: Exception, traceback: str) -> None:
        seen.append((request.id, request.task, exc, traceback))

    inline_task = app.task(inline, name="tests.inline")
    embed = {"errbacks": [dict(inline_task.s()), dict(app.signature("tests.elsewhere"))]}
    message = failing(
        "tests.body", fails="chord", error=KeyError("k"), errbacks=registry.encode(embed)
    )

    outcome = told(app, message)

    ((id_, task, exc, traceback),) = seen
    assert (id_, task, type(exc), traceback) == ("me", "tests.body", ChordError, "its traceback")
    (sent,) = outcome.followups
    assert opened(sent).task == "tests.elsewhere"


@pytest.mark.parametrize(
    ("settings", "headers", "stores"),
    [
        ({}, {}, True),
        ({}, {"ignore_result": True}, False),
        ({"task_ignore_result": True}, {}, False),
        ({"task_ignore_result": True}, {"ignore_result": False}, True),
        ({"task_store_errors_even_if_ignored": True}, {"ignore_result": True}, True),
        ({"backend": None}, {}, False),
    ],
)
@pytest.mark.parametrize("is_known", [True, False])
def test_the_failure_is_stored_as_the_tasks_own_would_be(
    settings: dict[str, Any], headers: dict[str, Any], stores: bool, is_known: bool
) -> None:
    app = recording_app(**settings)
    if is_known:
        app.task(lambda: 1, name="tests.t")

    outcome = told(app, failing("tests.t", error=KeyError("k"), **headers))

    assert (outcome.result is not None) is stores


def test_a_failing_message_that_cannot_be_read_is_a_dead_letter(app: Windlass) -> None:
    message = failing("tests.t", error=KeyError("k"))
    message.tail = message.tail[:-200]

    assert told(app, message).reason == "undecodable"


def test_an_unknown_task_is_parked_as_ever(app: Windlass) -> None:
    sent = step(app, app.task(lambda: 1, name="tests.t"))
    head = decode_message("i", b"\x010" + bytes(18) + sent.tail)
    sent.tail = encode_tail(address_of("q", "tests.unknown"), head.headers, head.body)

    assert told(app, sent).task == "tests.unknown"


def test_what_raises_retry_itself_keeps_its_place_too(app: Windlass) -> None:
    def raises() -> None:
        raise Retry(when=1)

    outcome = ended(app, app.task(raises))
    assert opened(outcome.message).headers.then == THEN
