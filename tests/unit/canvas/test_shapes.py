"""What expressions make: the same shapes, dicts and texts as with Celery 5.7.

celery_shapes.json holds what Celery made of each expression (recorded once, with lists for tuples):
[expression, class, repr, [task, args, kwargs, options, subtask_type, immutable]].
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from recording_broker import recording_app
from windlass import Signature, Task, Windlass, canvas, signature

_SHAPES = json.loads((Path(__file__).parent / "celery_shapes.json").read_text())


class Named:
    """A task that can be called for its signature: `a(1)` is `a.task.s(1)`."""

    def __init__(self, task: Task[..., Any]) -> None:
        self.task = task
        self.si = task.si

    def __call__(self, *args: Any, **kwargs: Any) -> Signature[Any]:
        return self.task.s(*args, **kwargs)


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    app = recording_app()

    def make(name: str) -> Named:
        return Named(app.task(name=name)(lambda *args, **kwargs: None))

    named: dict[str, Any] = {name: make(name) for name in "abcde"}

    def linked(sig: Any) -> Any:
        sig.link(named["e"](7))
        return sig

    def errlinked(sig: Any) -> Any:
        sig.link_error(named["e"](7))
        return sig

    kinds = {name: getattr(canvas, name) for name in ("chain", "group", "chord")}
    return {**named, **kinds, "linked": linked, "errlinked": errlinked}


def brief(sig: Any) -> Any:
    """A signature as the file has it; numbers and texts are the same after JSON."""
    if not isinstance(sig, dict) or "task" not in sig:
        return sig
    kwargs, options = sig["kwargs"], dict(sig["options"])
    for key in ("link", "link_error"):
        if key in options:
            options[key] = [brief(link) for link in options[key]]
    shown = {
        key: [brief(task) for task in value] if key in ("tasks", "header") else brief(value)
        for key, value in kwargs.items()
    }
    return [sig["task"], sig["args"], shown, options, sig["subtask_type"], sig["immutable"]]


def as_json(value: Any) -> Any:
    return json.loads(json.dumps(value, default=list))


def text_of(sig: Any) -> str:
    """Without what differs in kind: addresses, lazy lists, and tuples against lists."""
    text = re.sub(r"<(LazyTasks|_regen):.*\]>", "<lazy>", repr(sig))
    text = re.sub(r"\[\[a\(\*x\).*", "", text)
    return "<empty>" if "0x" in text else re.sub(r"[()\[\]]", "", text)


@pytest.mark.parametrize("recorded", _SHAPES, ids=[shape[0] for shape in _SHAPES])
def test_expression_makes_what_celery_makes(names: dict[str, Any], recorded: Any) -> None:
    expression, kind, text, shape = recorded
    made = eval(expression, dict(names))  # the file is ours

    assert kind == type(made).__name__
    assert shape == as_json(brief(made))
    expected = re.sub(r"<(LazyTasks|_regen):.*\]>", "<lazy>", text)
    assert re.sub(r"[()\[\]]", "", expected) == text_of(made)


@pytest.mark.parametrize("recorded", _SHAPES, ids=[shape[0] for shape in _SHAPES])
def test_it_comes_back_from_json_as_it_went(names: dict[str, Any], recorded: Any) -> None:
    made = eval(recorded[0], dict(names))
    sent = as_json(made)

    again = signature(sent, app=names["a"].task.app)

    assert as_json(again) == sent
    assert type(again) is type(made)


def test_group_of_one_is_a_group_everywhere(names: dict[str, Any]) -> None:
    a, b, c, group = (names[name] for name in ("a", "b", "c", "group"))

    assert repr(a(1) | group(b())) == "a(1) | group([b()])"
    assert repr(a(1) | group(b()) | c()) == "a(1) | %c([b()])"


def test_partial_arguments_stay_with_a_copy(names: dict[str, Any]) -> None:
    a, b = names["a"], names["b"]

    assert (a(1) | b(2)).clone((9,)).args == (9,)


def test_chain_in_the_header_of_a_chord_is_one_member(names: dict[str, Any]) -> None:
    a, b, c, chord = (names[name] for name in ("a", "b", "c", "chord"))

    assert repr(chord(a(1) | b(), c())) == "%c([a(1) | b()])"


def test_groups_cannot_be_added(names: dict[str, Any]) -> None:
    group, a = names["group"], names["a"]

    with pytest.raises(TypeError):
        group(a(1)) + group(a(2))


def test_operands_are_left_alone(names: dict[str, Any]) -> None:
    a, b, c, d, chord = (names[name] for name in ("a", "b", "c", "d", "chord"))
    left, right = chord([a(1)], b()), c() | d()
    before = as_json([left, right])

    _ = left | right, left | c(), right | left

    assert as_json([left, right]) == before


def test_task_may_occur_twice(names: dict[str, Any]) -> None:
    a, chain = names["a"], names["chain"]
    once = a(1)
    result = chain(once, once).freeze()

    assert result.id != result.parent.id


def test_app_is_that_of_the_tasks(names: dict[str, Any]) -> None:
    a, b, group, chord = (names[name] for name in ("a", "b", "group", "chord"))
    app: Windlass = a.task.app

    assert (a(1) | b()).app is app
    assert group(a(1)).app is app
    assert chord([], b()).app is app
