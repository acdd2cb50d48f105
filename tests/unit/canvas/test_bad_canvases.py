"""What cannot be a workflow is refused in the caller, in words, before anything is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from recording_broker import broker_of, recording_app
from windlass import Task, Windlass, chain, chord, group, signature
from windlass.brokers.base import Capability
from windlass.errors import ConfigurationError, EncodeError, MessageTooLarge


@pytest.fixture
def app() -> Windlass:
    app = recording_app(backend=None)
    vars(broker_of(app))["capabilities"] = frozenset(Capability)
    return app


@pytest.fixture
def add(app: Windlass) -> Task[..., Any]:
    @app.task(name="add")
    def add(x: int, y: int) -> int:
        return x + y

    return add


@pytest.mark.parametrize("make", [group, chain, lambda tasks: chord(tasks, tasks[0])])
def test_task_without_its_arguments_is_no_signature(
    add: Task[..., Any], make: Callable[[Any], Any]
) -> None:
    with pytest.raises(TypeError, match=r"\(task 1 of a .*\) is not a signature.*add\.s\("):
        make([add.s(1, 2), add])


@pytest.mark.parametrize("value", [7, "add", {"args": ()}, None])
def test_other_values_are_no_signatures(add: Task[..., Any], value: Any) -> None:
    with pytest.raises(TypeError, match="is not a signature"):
        group([add.s(1, 2), value])


def test_generator_is_checked_when_it_is_sent(app: Windlass, add: Task[..., Any]) -> None:
    lazy = group(task for task in (add.s(1, 2), add))

    with pytest.raises(TypeError, match=r"task 1 of a group"):
        lazy.delay()
    assert broker_of(app).sent == []


def test_canvas_that_contains_itself_has_no_end(app: Windlass, add: Task[..., Any]) -> None:
    loop = group([add.s(1, 2)])
    loop.tasks.append(loop)
    ring = add.s(1, 2) | add.s(3)
    ring.tasks.append(ring)
    knot = add.s(1, 2)
    knot.link(knot)

    for canvas in (loop, ring, knot | add.s(1)):
        with pytest.raises((ValueError, EncodeError), match="contains itself"):
            canvas.delay()
    assert broker_of(app).sent == []


def test_argument_deep_inside_is_named_with_its_place(app: Windlass, add: Task[..., Any]) -> None:
    bad = add.s({"when": [object()]})
    canvas = add.s(1, 2) | group(add.s(1), chord([add.s(1)], bad))

    with pytest.raises(EncodeError) as caught:
        canvas.delay()
    text = str(caught.value)
    assert "task 1 of a chain, task 1 of a group, the body of a chord, task 'add'" in text
    assert "args[0]['when'][0]" in text
    assert broker_of(app).sent == []


def test_arguments_are_checked_with_the_value_that_will_come(
    app: Windlass, add: Task[..., Any]
) -> None:
    with pytest.raises(TypeError, match=r"task 1 of a chain, task 'add'.*cannot be called so"):
        (add.s(1, 2) | add.s(3, 4)).delay()


def test_message_over_the_cap_is_refused(app: Windlass, add: Task[..., Any]) -> None:
    with pytest.raises(MessageTooLarge, match="task 1 of a chain"):
        (add.s(1, 2) | add.s("x" * 20_000_000)).delay()


def test_unknown_task_is_sent_by_name(app: Windlass, add: Task[..., Any]) -> None:
    chord([signature("far.away", (1,), app=app), add.s(1, 2)], add.s(1)).delay()

    assert len(broker_of(app).sent) == 2


def test_broker_that_cannot_join_is_named(app: Windlass, add: Task[..., Any]) -> None:
    broker = broker_of(app)
    vars(broker)["capabilities"] = frozenset(Capability) - {Capability.JOINS}

    with pytest.raises(ConfigurationError, match=r"A chord needs .* RecordingBroker has not"):
        chord([add.s(1, 2)], add.s(3)).delay()
    group(add.s(1, 2)).delay()
    assert len(broker.sent) == 1


def test_chunks_of_nothing_are_refused(add: Task[..., Any]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        add.chunks([(1, 2)], 0)


def test_group_of_a_generator_is_sent_in_little_memory_and_once(
    app: Windlass, add: Task[..., Any]
) -> None:
    lazy = group(add.s(i, 1) for i in range(2500))
    lazy.delay()

    assert [len(batch) for batch in broker_of(app).batches] == [1000, 1000, 500]
    with pytest.raises(ValueError, match="has been sent"):
        lazy.delay()
