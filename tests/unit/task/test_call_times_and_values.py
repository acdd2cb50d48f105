"""Times and values of a call: how they travel (Celery semantics 3 to 5)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from recording_broker import NOW_MS, body_of, broker_of, expires_ms, opened, recording_app
from windlass import Task, Windlass
from windlass.errors import EncodeError, MessageTooLarge
from windlass.messages import Outgoing
from windlass.serializers.registry import content_type_of


def add(x: int, y: int = 2) -> int:
    return x + y


@pytest.fixture
def app() -> Windlass:
    return recording_app()


@pytest.fixture
def task(app: Windlass) -> Task[..., Any]:
    return app.task(add)


def last(app: Windlass) -> Outgoing:
    return broker_of(app).sent[-1]


def send(app: Windlass, task: Task[..., Any], **options: Any) -> Outgoing:
    task.apply_async((1,), **options)
    return last(app)


# -- statement 3


def test_countdown_travels_as_a_duration(app: Windlass, task: Task[..., Any]) -> None:
    sent = send(app, task, countdown=1.5)

    assert (sent.delay_ms, sent.eta_ms) == (1500, None)
    assert send(app, task, countdown=timedelta(minutes=1)).delay_ms == 60_000
    assert send(app, task, countdown=0).delay_ms is None
    assert send(app, task, countdown=-5).delay_ms is None


def test_naive_eta_is_in_the_apps_time_zone() -> None:
    app = recording_app(timezone="Europe/Paris")
    sent = send(app, app.task(add), eta=datetime(2026, 7, 1, 12, 0))

    assert sent.eta_ms == datetime(2026, 7, 1, 10, 0, tzinfo=UTC).timestamp() * 1000


def test_aware_eta_is_taken_as_given(app: Windlass, task: Task[..., Any]) -> None:
    eta = datetime(2026, 7, 1, 12, 0, tzinfo=timezone(timedelta(hours=5)))

    assert send(app, task, eta=eta).eta_ms == eta.timestamp() * 1000
    assert send(app, task, eta=eta, countdown=5).delay_ms is None


@pytest.mark.parametrize("options", [{"countdown": "5"}, {"countdown": True}, {"eta": 5}])
def test_ill_typed_times_are_refused(task: Task[..., Any], options: Any) -> None:
    with pytest.raises(TypeError, match=next(iter(options))):
        task.apply_async((1,), **options)


# -- statement 4, the sender's part


def test_expires_as_seconds_travels_as_a_duration(app: Windlass, task: Task[..., Any]) -> None:
    sent = send(app, task, expires=2)

    assert (sent.ttl_ms, sent.expires_at_ms) == (2000, None)


def test_expires_in_the_past_is_expired_on_arrival(app: Windlass, task: Task[..., Any]) -> None:
    for expires in (-3, 0):
        assert 0 < expires_ms(send(app, task, expires=expires)) < NOW_MS


def test_expires_as_a_time_is_taken_as_given(app: Windlass, task: Task[..., Any]) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)

    assert send(app, task, expires=at).expires_at_ms == at.timestamp() * 1000


def test_the_tasks_own_expires_holds_for_calls_without(app: Windlass) -> None:
    task = app.task(expires=30)(add)

    assert send(app, task).ttl_ms == 30_000
    assert send(app, task, expires=5).ttl_ms == 5_000


# -- statement 5


def test_typed_values_survive_json_and_tuples_become_lists(
    app: Windlass, task: Task[..., Any]
) -> None:
    values = [datetime(2026, 1, 1, tzinfo=UTC), Decimal("1.10"), UUID(int=5), b"\x00"]
    task.delay((1, 2), y={1: values})

    assert body_of(last(app))[:2] == [[[1, 2]], {"y": {"1": values}}]


def test_argument_without_representation_is_named_in_the_caller(
    app: Windlass, task: Task[..., Any]
) -> None:
    with pytest.raises(EncodeError, match=r"args\[0\]\['when'\]"):
        task.delay({"when": object()})

    assert broker_of(app).sent == []


@pytest.mark.parametrize("serializer", ["msgpack", "pickle"])
def test_serializer_of_a_call_and_of_a_task(app: Windlass, serializer: str) -> None:
    task = app.task(serializer=serializer)(add)
    task.delay(1)
    app.task(name="plain")(add).apply_async((1,), serializer=serializer)

    for sent in broker_of(app).sent:
        assert content_type_of(serializer) == opened(sent).headers.content_type
        assert [list(part) for part in body_of(sent)[:1]] == [[1]]


def test_message_over_the_size_cap_is_refused_in_the_caller() -> None:
    app = recording_app(task_max_size_bytes=2000)
    with pytest.raises(MessageTooLarge, match="task_max_size_bytes"):
        app.task(add).delay("x" * 2000)

    assert broker_of(app).sent == []
