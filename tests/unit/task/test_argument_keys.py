from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from windlass.argument_keys import MAX_KEY, KeyMaker, KeySpec
from windlass.errors import ConfigurationError


def add(x: int, y: int = 2, *, loud: bool = False) -> int:
    return x + y


def many(first: Any, *rest: Any, **named: Any) -> None: ...


def maker(spec: KeySpec = None, fun: Callable[..., Any] | None = add) -> KeyMaker:
    return KeyMaker.of(spec, None if fun is None else inspect.signature(fun))


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((1, 2), {}),
        ((1,), {}),
        ((1,), {"y": 2}),
        ((), {"y": 2, "x": 1}),
        ((), {"x": 1, "loud": False}),
    ],
)
def test_calls_that_mean_the_same_have_one_key(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    assert maker()((1, 2), {}) == maker()(args, kwargs)


@pytest.mark.parametrize(
    "other", [(2, 1), (1, 3), ("1", 2), (1.0, 2), (True, 2), ([1], 2), (None, 2), ({"a": 1}, 2)]
)
def test_calls_that_differ_have_different_keys(other: tuple[Any, ...]) -> None:
    assert maker()((1, 2), {}) != maker()(other, {})


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ((1, 2), [1, 2]),
        ({"x", "y", "z"}, {"z", "y", "x"}),
        (Decimal("1.10"), Decimal("1.10")),
        (UUID(int=7), UUID(int=7)),
    ],
)
def test_values_are_compared_as_they_are_sent(one: object, same: object) -> None:
    assert maker()((one,), {}) == maker()((same,), {})


def test_more_arguments_and_named_ones_count_too() -> None:
    keys = maker(fun=many)

    assert keys((1, 2), {"a": 3}) != keys((1,), {"a": 3})
    assert keys((1,), {"a": 3, "b": 4}) == keys((1,), {"b": 4, "a": 3})


def test_a_key_is_the_same_in_every_process() -> None:
    program = (
        "from windlass.argument_keys import KeyMaker;"
        "print(KeyMaker.of(None, None)((set('abcdef'),), {'k': {'b', 'a'}}))"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip

    assert len(seen) == 1


@pytest.mark.parametrize(
    ("spec", "args", "kwargs", "key"),
    [
        ("{0}", (7,), {}, "7"),
        ("{x}-{y}", (), {"x": 7}, "7-2"),
        ("{1}", (7,), {}, "2"),
        ("user {x[id]}", ({"id": 5},), {}, "user 5"),
        ('q"{x}\\', ("é%\n",), {}, "q%22%C3%A9%25%0A%5C"),
        (lambda x, **_: x, (7,), {}, "7"),
        (lambda x: None, (7,), {}, None),
    ],
)
def test_a_template_or_a_function_makes_readable_keys(
    spec: KeySpec, args: tuple[Any, ...], kwargs: dict[str, Any], key: str | None
) -> None:
    assert key == maker(spec)(args, kwargs)


def test_names_of_parameters_compare_those_only() -> None:
    keys = maker(["x"])

    assert keys((1, 2), {}) == keys((), {"x": 1, "y": 9})
    assert keys((1,), {}) != keys((2,), {})


def test_a_long_key_is_hashed() -> None:
    key = maker("{0}")(("long " * 100,), {})

    assert key is not None
    assert len(key) < MAX_KEY
    assert key != maker("{0}")(("long " * 101,), {})


@pytest.mark.parametrize(
    "spec", ["all the same", "{}", "{x", "{user}", "{2}", ["user"], 5, [5], "{user[id]}"]
)
def test_a_specification_that_cannot_work_is_refused_at_once(spec: Any) -> None:
    with pytest.raises(ConfigurationError, match="unique_key"):
        maker(spec)


@pytest.mark.parametrize("spec", ["{x[id]}", "{x.name}", lambda *_: 1 / 0])
def test_a_specification_that_does_not_fit_the_arguments_says_so(spec: KeySpec) -> None:
    with pytest.raises(ValueError, match="unique_key"):
        maker(spec)((7,), {})


def test_an_argument_that_cannot_be_compared_is_refused_and_the_text_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="Name those that matter with unique_key"):
        maker()((object(),), {})


def test_a_default_that_cannot_be_compared_is_as_if_it_were_not_there() -> None:
    nothing = object()

    def task(x: int, cache: object = nothing) -> None: ...

    assert maker(fun=task)((1,), {}) == maker(fun=task)((), {"x": 1})
    assert maker("{1}", task)((1, 5), {}) == "5"


def test_the_arguments_of_an_unknown_task_are_compared_as_they_are_given() -> None:
    keys = maker(fun=None)

    assert keys((1,), {"b": 2, "a": 1}) == keys((1,), {"a": 1, "b": 2})
    assert keys((1,), {}) != keys((), {"x": 1})
    assert maker("{name}", None)((), {"name": "n"}) == "n"
