"""Workflows run where they are called end as on workers (Celery semantics 42)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from windlass import chain, chord, group
from windlass.errors import ChordError, NotRegistered
from windlass.result import EagerResult, GroupResult


def test_chain_group_and_chord_run_at_once(eager_shop: SimpleNamespace) -> None:
    add, total = eager_shop.add, eager_shop.total

    assert (add.s(1, 1) | add.s(2)).delay().get() == 4
    assert group(add.s(1, 1), add.s(2, 2)).delay().get() == [2, 4]
    assert chord([add.s(1, 1), add.s(2, 2)])(total.s()).get() == 6
    assert (add.s(1, 1) | group(add.s(1), add.s(2)) | total.s()).delay().get() == 7
    assert add.chunks([(1, 1), (2, 2), (3, 3)], 2)().get() == [[2, 4], [6]]


def test_results_are_linked_as_those_of_a_worker(eager_shop: SimpleNamespace) -> None:
    result = (eager_shop.add.s(1, 1) | group(eager_shop.same.s()) | eager_shop.total.s()).apply()

    assert isinstance(result, EagerResult)
    assert isinstance(result.parent, GroupResult)
    assert result.parent.get() == [2]
    assert result.parent.parent.get() == 2


def test_failure_is_kept_and_ends_what_follows(eager_shop: SimpleNamespace) -> None:
    result = chain(eager_shop.boom.s(), eager_shop.add.s(1)).delay()
    joined = chord([eager_shop.add.s(1, 1), eager_shop.boom.s()])(eager_shop.total.s())

    assert (result.state, type(result.result)) == ("FAILURE", ValueError)
    assert isinstance(joined.result, ChordError)
    assert isinstance(joined.result.__cause__, ValueError)
    assert joined.parent[0].get() == 2


def test_errbacks_are_called_as_on_a_worker(eager_shop: SimpleNamespace) -> None:
    boom, add, errback = eager_shop.boom, eager_shop.add, eager_shop.errback
    chain(boom.s(), add.s(1)).on_error(errback.s()).delay()
    assert [call[1] for call in eager_shop.calls] == ["ValueError"]

    eager_shop.calls.clear()
    body = eager_shop.total.s().on_error(errback.s())
    result = chord([boom.s()], body).delay()
    assert [(call[0], call[1]) for call in eager_shop.calls] == [(result.id, "ChordError")]


def test_task_eager_propagates_raises(eager_shop: SimpleNamespace) -> None:
    eager_shop.app.conf.task_eager_propagates = True

    with pytest.raises(ValueError, match="boom"):
        (eager_shop.boom.s() | eager_shop.add.s(1)).delay()
    with pytest.raises(ValueError, match="boom"):
        group(eager_shop.boom.s()).delay()


def test_unknown_task_cannot_run_here(eager_shop: SimpleNamespace) -> None:
    far: Any = eager_shop.app.signature("far.away")

    with pytest.raises(NotRegistered, match=r"far\.away"):
        (eager_shop.add.s(1, 1) | far).delay()


def test_task_is_replaced_by_a_canvas(eager_shop: SimpleNamespace) -> None:
    add = eager_shop.add

    assert eager_shop.become.delay(add.s(1, 1) | add.s(2)).get() == 4
    assert eager_shop.become.delay(group(add.s(1, 1), add.s(2, 2))).get() == [2, 4]
    assert (eager_shop.become.s(group(add.s(1, 1))) | eager_shop.total.s()).delay().get() == 2


async def test_async_twins(eager_shop: SimpleNamespace) -> None:
    result = await (eager_shop.add.s(1, 1) | eager_shop.add.s(2)).adelay()

    assert await result == 4
    assert await (await group(eager_shop.add.s(1, 1)).adelay()) == [2]


def test_canvas_is_linked(eager_shop: SimpleNamespace) -> None:
    task = eager_shop.add.s(1, 1)
    task.link(group(eager_shop.add.s(1), eager_shop.add.s(2)) | eager_shop.note.s("joined"))
    task.delay()

    assert eager_shop.calls == [([3, 4], "joined")]
