"""A serializer of the user's own: registered as with kombu, used by name, accepted by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from recording_broker import broker_of, make_executor, opened, recording_app, request_for
from windlass import serializers
from windlass.errors import ConfigurationError, ContentDisallowed, DecodeError, EncodeError
from windlass.results import codec
from windlass.runtime.outcome import Buried, Finished
from windlass.serializers import registry


def to_text(value: Any) -> str:
    return repr(value)


def from_text(text: str) -> Any:
    assert isinstance(text, str)
    return eval(text, {"__builtins__": {}})


@pytest.fixture
def literal() -> Iterator[str]:
    serializers.register("literal", to_text, from_text, "text/x-literal", "utf-8")
    yield "literal"
    serializers.unregister("literal")


def test_arguments_and_results_take_the_users_form(literal: str) -> None:
    app = recording_app(
        task_serializer=literal, result_serializer=literal, accept_content=[literal]
    )

    @app.task
    def swap(pair: Any) -> Any:
        return {pair[1]: {pair[0]}}

    swap.delay((1, 2))
    (sent,) = broker_of(app).sent
    assert opened(sent).headers.content_type == "text/x-literal"
    outcome = make_executor(app).execute(request_for(sent))
    assert isinstance(outcome, Finished)
    assert outcome.result is not None
    assert codec.decode_meta("", outcome.result, ["literal"]).result == {2: {1}}
    with pytest.raises(ContentDisallowed):
        codec.decode_meta("", outcome.result, ["json"])


def test_worker_that_does_not_accept_it_runs_nothing(literal: str) -> None:
    app = recording_app()

    @app.task
    def see(value: Any) -> None: ...

    see.apply_async((1,), serializer=literal)
    outcome = make_executor(app).execute(request_for(broker_of(app).sent[-1]))
    assert isinstance(outcome, Buried)
    assert outcome.reason == "content_disallowed"


def test_failure_is_stored_in_the_users_form(literal: str) -> None:
    app = recording_app(result_serializer=literal)

    @app.task
    def fail() -> None:
        raise KeyError("paper")

    fail.delay()
    outcome = make_executor(app).execute(request_for(broker_of(app).sent[-1]))
    meta = codec.decode_meta("", outcome.result, ["literal"])
    assert (type(meta.result), meta.result.args) == (KeyError, ("paper",))


def test_what_its_functions_raise_is_an_error_of_ours(literal: str) -> None:
    with pytest.raises(DecodeError, match="'literal' cannot decode 1 bytes"):
        registry.decode(b"(", "text/x-literal", {"literal"})
    serializers.register("strict", lambda _: 1 / 0, from_text, "text/x-strict", "binary")
    with pytest.raises(EncodeError, match="'strict' cannot encode"):
        registry.encode(1, "strict")
    serializers.unregister("strict")


def test_names_of_ours_are_taken_and_unknown_ones_say_how_to_register() -> None:
    with pytest.raises(ConfigurationError, match="is a serializer of ours"):
        serializers.register("json", to_text, from_text, "text/x-mine")
    with pytest.raises(ConfigurationError, match="is a serializer of ours"):
        serializers.register("mine", to_text, from_text, "application/json")
    with pytest.raises(ConfigurationError, match=r"windlass\.serializers\.register"):
        recording_app(task_serializer="literal")
    serializers.unregister("json")
    assert registry.encode(1) == b"1"
