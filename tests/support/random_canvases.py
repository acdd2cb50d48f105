"""Random canvases, and what each of them should come to by a plain Python evaluation.

    Leaf     a task: its value is its name and what it was given, as text; it may fail
    Many     chain, group or chord of expressions

`expected(expr)` follows the rules of docs/explanation/workflows.md and nothing of the engine.
Where several tasks fail, which failure is told of first is chance: an outcome of a failure is the
set of those that may be told of, as (number of ChordErrors around it, name of the failing task).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any
from zlib import crc32

from hypothesis import strategies as st

from windlass import Task, Windlass, chain, chord, group
from windlass.errors import ChordError
from windlass.result import GroupResult


@dataclass(frozen=True)
class Leaf:
    name: str
    fails: bool = False
    immutable: bool = False


@dataclass(frozen=True)
class Many:
    kind: str  # "chain", "pipe", "group" or "chord"
    members: tuple[Any, ...] = ()
    body: Any = None


@dataclass(frozen=True)
class Failed:
    causes: frozenset[tuple[int, str]] = field(default_factory=frozenset)

    def told_by_a_chord(self) -> Failed:
        return Failed(frozenset((depth + 1, name) for depth, name in self.causes))


Expr = Leaf | Many


def leaves(*, may_fail: bool) -> st.SearchStrategy[Leaf]:
    return st.builds(
        Leaf,
        name=st.sampled_from("abcdefgh"),
        fails=st.sampled_from([False] * 9 + [may_fail]),
        immutable=st.sampled_from([False, False, False, True]),
    )


def _without_empty_ones(members: tuple[Expr, ...]) -> tuple[Expr, ...]:
    return tuple(each if _has_tasks(each) else Leaf("h") for each in members)


def expressions(*, may_fail: bool = True, size: int = 12) -> st.SearchStrategy[Expr]:
    """Canvases of up to about `size` tasks, nested to any depth, empty groups among them."""

    def larger(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
        some, any_number = (st.lists(inner, min_size=n, max_size=4).map(tuple) for n in (1, 0))
        return st.one_of(
            st.builds(Many, st.just("chain"), some),
            # Between pipes an empty group is a chord's header in one place and nothing in another.
            st.builds(Many, st.just("pipe"), some.map(_without_empty_ones)),
            st.builds(Many, st.just("group"), any_number),
            st.builds(Many, st.just("chord"), any_number, inner),
        )

    return st.recursive(leaves(may_fail=may_fail), larger, max_leaves=size)


def text_of(name: str, given: tuple[Any, ...]) -> str:
    """The value of a task: readable where it is short."""
    text = f"{name}({', '.join(map(str, given))})"
    return text if len(text) < 60 else f"{name}#{crc32(text.encode()):x}"


def make_task(app: Windlass) -> Task[..., Any]:
    """Make the task that every leaf is a call of."""

    @app.task(name="leaf")
    def leaf(*args: Any) -> str:
        *given, (name, fails) = args
        if fails:
            raise ValueError(name)
        return text_of(name, tuple(given))

    return leaf


def canvas_of(expr: Expr, task: Task[..., Any]) -> Any:
    """Build the canvas, by the constructors and by `|`."""
    if isinstance(expr, Leaf):
        made = task.si if expr.immutable else task.s
        return made([expr.name, expr.fails])
    members = [canvas_of(member, task) for member in expr.members]
    if expr.kind == "group":
        return group(members, app=task.app)
    if expr.kind == "chord":
        return chord(members, canvas_of(expr.body, task))
    return reduce(or_, members) if expr.kind == "pipe" else chain(*members)


def expected(expr: Expr) -> tuple[Any, bool]:
    """What it comes to: a value, Failed, or for a group at its end the list of its members'.

    Returns:
        That, and whether there is a group at its end.
    """
    return _run(expr, ())


def _run(expr: Expr, fed: Any) -> tuple[Any, bool]:
    """Evaluate with what is before it: () or (value,), or Failed. Tells whether it is a fork."""
    if isinstance(expr, Leaf):
        return _leaf(expr, fed), False
    if expr.kind == "group":
        return [_closed(m, fed) for m in _flat(expr.members) if _has_tasks(m)], True
    if expr.kind == "chord":
        header = [_closed(m, fed) for m in _flat(expr.members) if _has_tasks(m)]
        given = fed if isinstance(fed, Failed) else ([],)
        if header:
            given = _next(header, is_fork=True)
        if not _has_tasks(expr.body):
            return (given if isinstance(given, Failed) else []), False
        return _run(expr.body, given)
    return _sequence(expr.members, fed)


def _sequence(members: tuple[Expr, ...], fed: Any) -> tuple[Any, bool]:
    outcome: Any = None
    is_fork = False
    steps = [m for m in members if _has_tasks(m)]
    if not steps:
        return ([], True) if members else (None, False)
    for number, member in enumerate(steps):
        outcome, is_fork = _run(member, fed if number == 0 else _next(outcome, is_fork))
    return outcome, is_fork


def _leaf(leaf: Leaf, fed: Any) -> Any:
    if isinstance(fed, Failed):
        return fed
    if leaf.fails:
        return Failed(frozenset({(0, leaf.name)}))
    return text_of(leaf.name, () if leaf.immutable else fed)


def _closed(member: Expr, fed: Any) -> Any:
    """A member as one part of what follows its group."""
    return _run(member, fed)


def _next(outcome: Any, is_fork: bool) -> Any:
    """What follows gets: the value, or the failure."""
    if not is_fork:
        return outcome if isinstance(outcome, Failed) else (outcome,)
    values = [_part(part) for part in outcome]
    causes = [part.causes for part in values if isinstance(part, Failed)]
    if causes:
        return Failed(frozenset().union(*causes)).told_by_a_chord()
    return (values,)


def _part(part: tuple[Any, bool]) -> Any:
    outcome, is_fork = part
    if not is_fork:
        return outcome
    told = _next(outcome, is_fork=True)
    return told if isinstance(told, Failed) else told[0]


def _flat(members: tuple[Expr, ...]) -> list[Expr]:
    flat: list[Expr] = []
    for member in members:
        while isinstance(member, Many) and member.kind in ("chain", "pipe"):
            inside = [m for m in member.members if _has_tasks(m)]
            if len(inside) != 1:
                break
            (member,) = inside  # a chain of one task is that task
        is_group = isinstance(member, Many) and member.kind == "group"
        flat += _flat(member.members) if is_group else [member]
    return flat


def _has_tasks(expr: Expr) -> bool:
    if isinstance(expr, Leaf) or expr.kind == "chord":
        return True
    return any(map(_has_tasks, expr.members))


def assert_comes_to(expected: tuple[Any, bool], result: Any, timeout_s: float = 10) -> None:
    """Wait for a result, and compare it with the outcome that is expected."""
    outcome, is_fork = expected
    if is_fork:
        assert isinstance(result, GroupResult)
        assert len(outcome) == len(result)
        for part, member in zip(outcome, result, strict=True):
            assert_comes_to(part, member, timeout_s)
        return
    value = result.get(timeout=timeout_s, propagate=False)
    if isinstance(outcome, Failed):
        assert cause_of(value) in outcome.causes
        assert result.state == "FAILURE"
    else:
        assert outcome == value


def cause_of(error: Any) -> tuple[int, str]:
    """Return how many ChordErrors are around a failure, and the name that failed."""
    depth = 0
    while isinstance(error, ChordError):
        error, depth = error.__cause__, depth + 1
    assert isinstance(error, ValueError)
    return depth, error.args[0]
