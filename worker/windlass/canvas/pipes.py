"""What `|` makes of two signatures: Celery's upgrades, one rule each.

    task  | task     chain                    chord | task      the body is body | task
    task  | group    chain                    chord | chord     the body is body | chord
    chain | chain    one chain                chord | group     chain
    group | any      chord with it as body    chord | chain     chain
    chain ending in a group | any but group   its group becomes a chord with it as body
    chain ending in a chord | any             its body is body | any
    any   | group([])                         as it was (after a chain or a group)

A group of one is a group everywhere: its value is a list of one. (Celery unrolls some of them.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

from windlass.canvas.chains import chain
from windlass.canvas.chords import chord
from windlass.canvas.groups import group
from windlass.canvas.lazy import LazyTasks
from windlass.canvas.unfold import has_tasks
from windlass.signature_data import no_signature
from windlass.signatures import Signature

if TYPE_CHECKING:
    from windlass.app import Windlass

_Any = Signature[Any]


def piped(left: _Any, right: object) -> Any:
    """Return `left | right`.

    Raises:
        TypeError: The right one is no signature. (Python would merge two dicts then.)
    """
    if not isinstance(right, Signature):
        raise no_signature(right, "(after |)")
    if isinstance(left, group):
        return left if is_empty(right) else chord(left, right, app=left._app)
    if isinstance(left, chain):
        return _after_chain(left, right)
    if isinstance(left, chord) and not isinstance(right, group | chain):
        return _with_body(left, right)
    steps = right.unchain_tasks() if isinstance(right, chain) else [right]
    return chain.of([left, *steps], left._app)


def folded(tasks: Iterable[_Any], app: Windlass | None = None) -> Any:
    """Return what `chain(*tasks)` is: the tasks joined one after another.

    Linear in their number. All but the last are copied, so one may occur more than once.
    """
    members = list(tasks)
    steps: list[_Any] = []
    other = _add_all(steps, [*(task.clone() for task in members[:-1]), *members[-1:]])
    # A chain of nothing but empty groups is one of them.
    return chain.of(steps or members[:1], app) if other is None else other


def is_empty(task: object) -> bool:
    """Whether it is a group without any task in it; a generator is not looked into."""
    return isinstance(task, group) and not isinstance(task.tasks, LazyTasks) and not has_tasks(task)


def _after_chain(left: chain[Any], right: _Any) -> Any:
    if is_empty(right):
        return left
    steps = left.unchain_tasks()
    other = _add_all(steps, right.unchain_tasks() if isinstance(right, chain) else [right])
    if other is not None:  # no chain any more: a group came first
        return other
    joined = chain.of(steps, left._app, left.first_options(left.options))
    joined.args, joined.immutable = left.args, left.immutable
    joined.kwargs.update(left.partial_kwargs())
    return joined


def _add(steps: list[_Any], task: _Any) -> _Any | None:
    """Add a task to the steps of a chain; what is returned is no chain, and takes their place."""
    while len(steps) > 1 and is_empty(steps[-1]):
        steps.pop()  # behind a chord it stays, until something comes after it
    last = steps[-1] if steps else None
    if isinstance(task, chain):
        return _add_all(steps, task.unchain_tasks())
    if isinstance(task, group):
        if last is None and not is_empty(task):
            return task
        if not is_empty(task):
            _add_group(steps, task)
    elif isinstance(last, group):
        _close(steps, chord(last, task, app=last._app))
    elif isinstance(last, chord) and not isinstance(task, chord):
        steps[-1] = _with_body(last, task)
    else:
        steps.append(task)
    return None


def _add_group(steps: list[_Any], task: group[Any]) -> None:
    last = steps[-1]
    if isinstance(last, chord):
        steps[-1] = _with_body(last, task)
    else:
        steps.append(task)


def _add_all(steps: list[_Any], tasks: Sequence[_Any]) -> _Any | None:
    """Add tasks one after another, as `_add`; once it is no chain, the rest is joined by `|`."""
    for index, task in enumerate(tasks):
        other = _add(steps, task)
        if other is not None:
            return reduce(or_, tasks[index + 1 :], other)
    return None


def _close(steps: list[_Any], made: chord[Any]) -> None:
    """Put a chord in the place of the group at the end; two chords in a row become one."""
    before = steps[-2] if len(steps) > 1 else None
    if isinstance(before, chord):
        steps[-2:] = [_with_body(before, made)]
    else:
        steps[-1] = made


def _with_body(left: chord[Any], right: _Any) -> chord[Any]:
    joined = left.clone()
    joined.body = right if joined.body is None else joined.body | right
    return joined
