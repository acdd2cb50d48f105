"""What was altered or moved on the broker is a dead letter, and nothing of it was decoded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from recording_broker import broker_of, make_executor, recording_app, request_for, stored
from sealing_keys import sealing, write_keys
from windlass import Windlass, chain, chord
from windlass.canvas.compile import Compiler, Entry
from windlass.canvas.unfold import unfold
from windlass.continuations import Release
from windlass.control_plane.dead_letters import Reason
from windlass.errors import SecurityError, WorkerLostError
from windlass.messages import PREFIX_SIZE, Outgoing, address, decode_message, encode_tail
from windlass.released import failing_message_of, message_of
from windlass.runtime import steps
from windlass.runtime.outcome import Buried, Finished, Retried, Stepped
from windlass.serializers import registry

LOST = WorkerLostError("lost")
MODES = [("require", "off"), ("off", "require"), ("require", "require")]


@pytest.fixture(params=MODES, ids=["signed", "encrypted", "both"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Windlass:
    path = write_keys(tmp_path / "keys", ["k"])
    return make_app(**sealing(path, *request.param))


def make_app(**settings: Any) -> Windlass:
    app = recording_app(accept_content=["json", "pickle"], **settings)
    app.task(name="pay")(lambda *args, **kwargs: [args, kwargs])
    app.task(name="refund")(lambda *args, **kwargs: [args, kwargs])
    return app


def sent(app: Windlass, **options: Any) -> Outgoing:
    app.tasks["pay"].apply_async((1,), **options)
    return broker_of(app).sent[-1]


def compiled(sig: Any) -> tuple[list[Any], list[Release]]:
    """Return the first messages of a canvas, and what its continuation releases."""
    compiler = Compiler(sig.app)
    messages, _ = compiler.sequence(unfold(sig), Entry())
    return messages, [each for made in compiler.continuations for each in made.releases]


def run(app: Windlass, outgoing: Outgoing) -> Any:
    return make_executor(app).execute(request_for(outgoing))


def rebuilt(
    outgoing: Outgoing, *, task: str | None = None, queue: str | None = None, **headers: Any
):
    """Return a message with other words around the same body."""
    message = decode_message(outgoing.id, stored(outgoing))
    its = address(queue or message.queue, task or message.task)
    tail = encode_tail(its, msgspec.structs.replace(message.headers, **headers), message.body)
    return msgspec.structs.replace(outgoing, tail=tail, queue=queue or outgoing.queue)


def test_untouched_it_runs(app: Windlass) -> None:
    assert isinstance(run(app, sent(app)), Finished)


def test_a_released_message_without_values_is_compressed_before_it_is_sealed(
    app: Windlass,
) -> None:
    later = app.signature("pay", ("x" * 50_000,), immutable=True).set(compression="zlib")
    _, (release,) = compiled(chain(app.signature("refund"), later))
    outgoing = Outgoing(id=release.id, queue=release.queue, tail=message_of(release, ()))

    assert len(outgoing.tail) < 2_000
    assert isinstance(run(app, outgoing), Finished)


MOVES: dict[str, Callable[[Outgoing], Outgoing]] = {
    "another task": lambda each: rebuilt(each, task="refund"),
    "another queue": lambda each: rebuilt(each, queue="fast"),
    "another id": lambda each: msgspec.structs.replace(each, id="0" * 36),
    "a time limit": lambda each: rebuilt(each, timelimit=(1.0, None)),
    "a workflow": lambda each: rebuilt(each, then=("c", 0)),
    "a parent": lambda each: rebuilt(each, parent_id="p"),
    "a retry more": lambda each: rebuilt(each, retries=1),
    "own headers": lambda each: rebuilt(each, headers={"user": "root"}),
    "a stamp": lambda each: rebuilt(each, stamps={"a": "b"}),
    "another content type": lambda each: rebuilt(
        each, content_type="application/x-python-serialize"
    ),
    "a schedule": lambda each: rebuilt(each, seal="s", headers={"schedule": "nightly"}),
    "a step": lambda each: rebuilt(each, seal="j"),
    "no such seal": lambda each: rebuilt(each, seal="x"),
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES.keys())
def test_a_message_that_was_changed_around_its_body_is_refused(
    app: Windlass, move: Callable[[Outgoing], Outgoing], monkeypatch: pytest.MonkeyPatch
) -> None:
    message = sent(app)
    monkeypatch.setattr(registry, "decode", lambda *_: pytest.fail("it was decoded"))
    outcome = run(app, move(message))

    assert isinstance(outcome, Buried)
    assert outcome.reason == Reason.BAD_SIGNATURE


def test_every_flipped_bit_behind_the_prefix_is_refused(app: Windlass) -> None:
    message = sent(app)
    executor, ran = make_executor(app), []
    for bit in range(8 * len(message.tail)):
        raw = bytearray(stored(message))
        raw[PREFIX_SIZE + bit // 8] ^= 1 << bit % 8
        request = request_for(message)
        request.raw = bytes(raw)
        outcome = executor.execute(request)
        if isinstance(outcome, Finished):
            ran.append(bit)

    assert ran == []


def test_a_seal_that_was_taken_off_is_missed(app: Windlass) -> None:
    plain = make_app()
    outcome = run(app, sent(plain))

    assert outcome.reason in (Reason.UNSIGNED, Reason.UNENCRYPTED)


def test_a_worker_without_keys_says_what_is_wrong(app: Windlass) -> None:
    outcome = run(make_app(), sent(app))

    assert (outcome.reason, "are off here" in outcome.detail) == (Reason.UNKNOWN_KEY, True)


def test_a_key_that_is_not_known_is_named(app: Windlass, tmp_path: Path) -> None:
    other = make_app(**sealing(write_keys(tmp_path / "others", ["z"]), "verify", "decrypt"))
    outcome = run(other, sent(app))

    assert (outcome.reason, "'k'" in outcome.detail) == (Reason.UNKNOWN_KEY, True)


def test_what_is_remembered_of_attempts_says_no_more_than_the_class_of_an_error(
    app: Windlass,
) -> None:
    @app.task(bind=True, name="secretive", max_retries=1)
    def secretive(self: Any) -> None:
        try:
            raise ValueError("card 4111")
        except ValueError as error:
            raise self.retry(exc=error) from error

    secretive.delay()
    retried = run(app, broker_of(app).sent[-1])
    assert isinstance(retried, Retried)
    assert retried.raised is not None
    is_hidden = "4111" not in f"{retried.raised.message}{retried.raised.traceback}"

    assert is_hidden is app.conf.current.encrypts


def test_a_retry_is_sealed_anew_for_what_it_is(app: Windlass) -> None:
    @app.task(bind=True, name="again", max_retries=1)
    def again(self: Any, x: int) -> int:
        if self.request.retries:
            return x
        raise self.retry(countdown=1)

    again.delay(5)
    retried = run(app, broker_of(app).sent[-1])
    assert isinstance(retried, Retried)

    assert isinstance(run(app, retried.message), Finished)
    assert run(app, rebuilt(retried.message, retries=0)).reason == Reason.BAD_SIGNATURE


@pytest.mark.parametrize("serializer", ["json", "msgpack", "pickle"])
@pytest.mark.parametrize("encryption", ["off", "require"])
def test_a_message_that_the_broker_put_together_is_checked_in_all_its_parts(
    tmp_path: Path, serializer: str, encryption: str
) -> None:
    path = write_keys(tmp_path / "keys", ["k"])
    app = recording_app(
        task_serializer=serializer,
        accept_content=["json", "msgpack", "pickle"],
        **sealing(path, "require", encryption),
    )
    app.task(name="one")(lambda x: [x])
    app.task(name="all")(lambda values, more: [values, more])
    members, releases = [], []
    for more in ("a", "b"):
        header = [app.signature("one", (n,)) for n in range(3)]
        its_members, its_releases = compiled(chord(header, app.signature("all", (more,)), app=app))
        members += its_members
        releases += its_releases
    executor = make_executor(app)
    first = releases[0]
    parts = []
    for member in members:
        outcome = executor.execute(request_for(member))
        assert isinstance(outcome, Stepped)
        assert outcome.part is not None
        parts.append(outcome.part.values[0])

    def outcome_of(values: list[bytes]) -> Any:
        tail = message_of(first, values)
        return executor.execute(request_for(Outgoing(id=first.id, queue=first.queue, tail=tail)))

    good = outcome_of(parts[:3])
    assert isinstance(good, Finished)
    assert good.state == "SUCCESS"
    wrong = {
        "another order": [parts[1], parts[0], parts[2]],
        "one twice": [parts[0], parts[0], parts[2]],
        "one missing": parts[:2],
        "one of another chord": [parts[0], parts[1], parts[5]],
        "one too many": [*parts[:3], parts[3]],
        "none": [],
    }
    assert {
        name: getattr(outcome_of(values), "reason", "ran") for name, values in wrong.items()
    } == dict.fromkeys(wrong, Reason.BAD_SIGNATURE)


def test_a_failure_is_told_and_its_errbacks_cannot_be_forged(app: Windlass) -> None:
    called = []
    app.task(name="one")(lambda x: [x])
    app.task(name="told")(lambda request, exc, traceback: called.append(str(exc)))
    app.task(name="evil")(lambda request, exc, traceback: called.append("evil"))
    body = app.signature("one").on_error(app.signature("told"))
    header = [app.signature("one", (1,)), app.signature("one", (2,))]
    _, (release,) = compiled(chord(header, body, app=app))
    seals = app.conf.current.seals
    told = steps.failure_of("m", ValueError("no"), seals=seals)

    def outcome_of(tail: bytes) -> Any:
        outgoing = Outgoing(id=release.id, queue=release.queue, tail=tail)
        return make_executor(app).execute(request_for(outgoing))

    assert outcome_of(failing_message_of(release, told)).state == "FAILURE"
    assert called == ["Dependency m raised ValueError('no')"]
    forged = msgspec.json.encode({"errbacks": [app.signature("evil")]})
    swapped = msgspec.structs.replace(release, errbacks=forged)
    assert outcome_of(failing_message_of(swapped, told)).reason == Reason.BAD_SIGNATURE
    lie = steps.failure_of("m", ValueError("a lie"))
    refused = outcome_of(failing_message_of(release, lie))
    assert refused.reason in (Reason.UNSIGNED, Reason.UNENCRYPTED)
    # What anybody can do by deleting a message needs no key.
    assert outcome_of(failing_message_of(release, steps.failure_of("m", LOST))).state == "FAILURE"
    assert called == ["Dependency m raised ValueError('no')", called[-1]]


def test_a_value_for_a_sealed_step_needs_keys(app: Windlass) -> None:
    (first,), _ = compiled(chain(app.signature("pay", (1,)), app.signature("refund"), app=app))
    then = decode_message(first.id, stored(first)).headers.then
    assert then is not None

    assert then.formats == "J"
    with pytest.raises(SecurityError, match="are off here"):
        steps.succeeded(then, 1, None, None)
