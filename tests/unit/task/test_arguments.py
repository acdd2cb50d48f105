"""The quick check of arguments says what Python itself would say."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.arguments import ArgumentCheck

NAMES = ("a", "b", "c", "d")


def fun_of(source: str) -> Any:
    space: dict[str, Any] = {}
    exec(f"def fun({source}): pass", space)
    return space["fun"]


SIGNATURES = [
    "",
    "a",
    "a, b",
    "a, b=1",
    "a=1, b=2, c=3",
    "a, /, b",
    "a, /",
    "a, *, b",
    "a, *, b=1",
    "*a",
    "**a",
    "a, *b, c, **d",
    "a, b=1, *, c",
]


@given(
    source=st.sampled_from(SIGNATURES),
    args=st.lists(st.just(0), max_size=5),
    kwargs=st.dictionaries(st.sampled_from(NAMES), st.just(0), max_size=4),
)
def test_check_agrees_with_python(source: str, args: list[int], kwargs: dict[str, int]) -> None:
    fun = fun_of(source)
    check = ArgumentCheck("t", fun)
    try:
        inspect.signature(fun).bind(*args, **kwargs)
    except TypeError:
        with pytest.raises(TypeError, match="cannot be called so"):
            check(args, kwargs)
    else:
        check(args, kwargs)


@pytest.mark.parametrize(
    ("source", "most"), [("", 0), ("a", 1), ("a, b=1, /, c=2", 3), ("a, *, b", 1), ("a, *b", 9e99)]
)
def test_positional_count(source: str, most: float) -> None:
    count = ArgumentCheck("t", fun_of(source)).positional_count()

    assert count == most or (most > 9 and count > 1e9)


def test_text_shows_name_and_signature() -> None:
    with pytest.raises(TypeError, match=r"shop\.pay\(a, b=1\) cannot be called so: missing .* 'a'"):
        ArgumentCheck("shop.pay", fun_of("a, b=1"))((), {})
