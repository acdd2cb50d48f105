"""What a task can say about its checkpoint, on the in-memory broker."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recording_broker import make_executor
from sealing_keys import sealing, write_keys
from windlass import Windlass
from windlass.brokers.base import Crashed, Done, FetchRequest
from windlass.errors import EncodeError, HandBack, LeaseLostError, MessageTooLarge, SecurityError
from windlass.runtime.executor import RunRequest
from windlass.runtime.outcome import Finished, Retried, Returned
from windlass.stopping import StopFlag

Body = Callable[[Any], Any]


def make_app(**settings: Any) -> Windlass:
    url = f"memory://{uuid.uuid4()}"
    return Windlass("tests", broker=url, backend=url, set_as_current=False, **settings)


def lease(app: Windlass) -> Any:
    request = FetchRequest(worker_id="w", queues=("default",), want=1, lease_ms=60_000)
    fetched = app.broker.exchange([], request)[1]
    assert fetched is not None
    return fetched.deliveries[0]


def run(app: Windlass, body: Body, delivery: Any = None, **options: Any) -> Any:
    """Send a task that does this, and run it; returns its outcome."""
    task = app.tasks.get("t") or app.task(bind=True, name="t", max_retries=9)(
        lambda self: body(self)
    )
    vars(task)["run"] = lambda: body(task)
    task.__dict__.pop("_spec", None)
    if delivery is None:
        task.apply_async(**options)
        delivery = lease(app)
    request = RunRequest(
        id=delivery.id, queue=delivery.queue, token=delivery.token, raw=delivery.raw,
        deliveries=delivery.deliveries,
    )  # fmt: skip
    return delivery, make_executor(app).execute(request)


def crash(app: Windlass, delivery: Any) -> Any:
    """Let a run die; returns the next delivery."""
    died = Crashed(
        id=delivery.id, queue=delivery.queue, token=delivery.token, reason="x", worker="w"
    )
    app.broker.exchange([died], None)
    return lease(app)


def found_by_the_next_run(app: Windlass, body: Body) -> Any:
    """Return what the run after one that did this and crashed finds."""
    delivery, _ = run(app, body)
    found: list[Any] = []
    run(app, lambda self: found.append(self.request.checkpoint), crash(app, delivery))
    return found[0]


def test_the_next_run_finds_the_last_that_was_saved() -> None:
    app = make_app(task_checkpoint_interval=0)

    def body(self: Any) -> None:
        assert self.request.checkpoint is None
        assert self.checkpoint(1)
        assert self.checkpoint({"page": 7})
        assert self.request.checkpoint == {"page": 7}

    assert found_by_the_next_run(app, body) == {"page": 7}


def test_saves_are_an_interval_apart_unless_they_are_forced() -> None:
    app = make_app(task_checkpoint_interval=3600)
    saved: list[bool] = []
    assert (
        found_by_the_next_run(app, lambda self: saved.extend(map(self.checkpoint, range(9)))) == 0
    )
    assert saved == [True] + [False] * 8

    def forces(self: Any) -> None:
        self.checkpoint(1)
        self.checkpoint(2, force=True)
        self.checkpoint(3)

    assert found_by_the_next_run(app, forces) == 2


def test_none_forgets() -> None:
    app = make_app(task_checkpoint_interval=0)

    def body(self: Any) -> None:
        self.checkpoint(1)
        self.checkpoint(None)

    assert found_by_the_next_run(app, body) is None


def test_hands_back_where_the_worker_is_to_end_and_saves_what_was_not_due() -> None:
    app = make_app(task_checkpoint_interval=3600)
    app.stop_flag = StopFlag()

    def body(self: Any) -> str:
        self.checkpoint(1, hands_back=True)
        assert not self.request.should_stop
        app.stop_flag.set()  # type: ignore[union-attr]  # set above
        assert self.request.should_stop
        self.checkpoint(2, hands_back=True)
        return "not reached"

    delivery, outcome = run(app, body)
    assert isinstance(outcome, Returned)
    app.stop_flag = None
    found: list[Any] = []
    run(app, lambda self: found.append(self.request.checkpoint), crash(app, delivery))
    assert found == [2]


@pytest.mark.parametrize("how", ["retry", "hand back"])
def test_what_was_not_due_is_saved_before_a_retry_and_a_hand_back(how: str) -> None:
    app = make_app(task_checkpoint_interval=3600)

    def body(self: Any) -> None:
        self.checkpoint(1)
        self.checkpoint(2)
        if how == "retry":
            raise self.retry(countdown=0)
        raise HandBack("later")

    delivery, outcome = run(app, body)
    assert isinstance(outcome, Retried | Returned)
    assert app.broker.checkpoints.read(delivery.id, 1) is not None
    found: list[Any] = []
    run(app, lambda self: found.append(self.request.checkpoint), crash(app, delivery))
    assert found == [2]


def test_a_run_without_its_lease_is_told() -> None:
    app = make_app(task_checkpoint_interval=0)

    def body(self: Any) -> str:
        crash(app, delivery_of(self))
        with pytest.raises(LeaseLostError, match="has lost its lease"):
            self.checkpoint(1)
        return "told"

    def delivery_of(self: Any) -> Any:
        request = self.request
        return type("D", (), {"id": request.id, "queue": request.queue, "token": request.token})

    _, outcome = run(app, body)
    assert outcome.state == "SUCCESS"


def test_what_cannot_be_saved_is_said_in_the_task() -> None:
    app = make_app(task_checkpoint_interval=0, task_checkpoint_max_bytes=1024)

    def body(self: Any) -> str:
        with pytest.raises(MessageTooLarge, match="task_checkpoint_max_bytes"):
            self.checkpoint("x" * 2000)
        with pytest.raises(EncodeError):
            self.checkpoint(object())
        return "told"

    assert run(app, body)[1].state == "SUCCESS"


def test_a_task_that_took_the_place_begins_at_the_beginning() -> None:
    app = make_app(task_checkpoint_interval=0)
    app.task(bind=True, name="other")(lambda self: self.request.checkpoint)

    def body(self: Any) -> None:
        self.checkpoint(1)
        self.replace(app.signature("other"))

    _, outcome = run(app, body)
    message = outcome.message
    assert isinstance(outcome, Retried)
    raw = b"\x010" + bytes(18) + message.tail
    request = RunRequest(id=message.id, queue=message.queue, token=1, raw=raw)
    seen = make_executor(app).execute(request)
    assert b"null" in (seen.result or b"")


def test_where_there_is_no_next_run_it_is_kept_for_this_one_only() -> None:
    app = make_app()

    @app.task(bind=True)
    def task(self: Any) -> list[Any]:
        saved = self.checkpoint(5, force=True, hands_back=True)
        return [saved, self.request.checkpoint, self.request.should_stop]

    assert task() == [False, 5, False]
    assert task.apply().get() == [False, 5, False]


def test_a_task_that_is_acknowledged_at_start_may_say_it_in_vain() -> None:
    app = make_app(task_acks_late=False, task_checkpoint_interval=0)

    def body(self: Any) -> str:
        app.broker.exchange([done(self.request)], None)
        return str(self.checkpoint(1))

    def done(request: Any) -> Any:
        return Done(id=request.id, queue=request.queue, token=request.token)

    assert b"False" in (run(app, body)[1].result or b"")


def test_it_is_sealed_with_everything_else(tmp_path: Path) -> None:
    path = write_keys(tmp_path / "keys", ["k"])
    app = make_app(task_checkpoint_interval=0, **sealing(path, "require", "require"))
    delivery, _ = run(app, lambda self: self.checkpoint("card 4111"))
    kept = app.broker.checkpoints
    raw = kept.read(delivery.id, 0) or b""
    assert b"4111" not in raw
    kept.save(delivery.id, delivery.queue, delivery.token, 0, raw[:-1] + bytes([raw[-1] ^ 1]))

    def body(self: Any) -> str:
        with pytest.raises(SecurityError):
            _ = self.request.checkpoint
        return "refused"

    assert isinstance(run(app, body, crash(app, delivery))[1], Finished)
