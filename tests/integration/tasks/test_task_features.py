"""What tasks can do, in a real worker of each pool, over a real Redis."""

from __future__ import annotations

import ast
from typing import Any

import feature_tasks as tasks
import pytest

from waiting import eventually
from windlass import Windlass
from windlass.exceptions import TaskRevokedError

WAIT_S = 20


def noted(app: Windlass, name: str) -> Any:
    """Wait for what a `note` task stored, and return it."""
    backend = app.backend
    assert backend is not None
    return ast.literal_eval(eventually(lambda: backend.get_raw(name)).decode())


def test_delay_and_bulk_return_results(app: Windlass) -> None:
    assert tasks.add.delay(1, 2).get(timeout=WAIT_S) == 3
    results = tasks.add.send_many([(n, n) for n in range(50)])

    assert [result.get(timeout=WAIT_S) for result in results] == [2 * n for n in range(50)]


async def test_async_twins_and_await(app: Windlass) -> None:
    assert await (await tasks.add.adelay(1, 2)) == 3
    results = await tasks.add.asend_many([(1, 2), (3, 4)])

    assert [await result for result in results] == [3, 7]
    await app.aclose()  # the connections of this test's event loop; the app stays usable


def test_coroutine_task(app: Windlass) -> None:
    assert tasks.who.apply_async(queue="default").get(timeout=WAIT_S) == [False, "default"]


def test_process_is_told_once_before_its_first_task(app: Windlass) -> None:
    results = tasks.resources_of_process.send_many([()] * 6)

    assert all(result.get(timeout=WAIT_S) for result in results)


def test_link_is_sent_with_the_result(app: Windlass) -> None:
    tasks.add.apply_async((1, 2), link=tasks.add.s(10).set(link=tasks.note.si("linked", "x")))

    assert noted(app, "linked") == "x"


def test_link_error_is_called_inline_and_sent(app: Windlass) -> None:
    links = [tasks.errback.s(), tasks.note.si("failed", "sent")]
    result = tasks.fail.apply_async(("boom",), link_error=links)
    with pytest.raises(KeyError, match="boom"):
        result.get(timeout=WAIT_S)

    assert noted(app, "errback") == [result.id, "KeyError", True]
    assert noted(app, "failed") == "sent"


def test_retries_keep_the_id_and_end_in_success(app: Windlass) -> None:
    assert tasks.flaky.delay(2).get(timeout=WAIT_S) == [2, True]


def test_retries_that_are_used_up_end_in_the_exception(app: Windlass) -> None:
    with pytest.raises(ValueError, match="3"):
        tasks.flaky.delay(9).get(timeout=WAIT_S)
    with pytest.raises(ValueError, match="async"):
        tasks.aflaky.delay("async").get(timeout=WAIT_S)


def test_replacement_answers_for_the_task(app: Windlass) -> None:
    assert tasks.replaced.delay().get(timeout=WAIT_S) == 42


def test_progress_is_seen_while_the_task_runs(app: Windlass) -> None:
    result = tasks.progressing.delay("seen")
    eventually(lambda: result.state == "HALFWAY")
    assert result.info == {"n": 1}
    assert app.backend is not None
    app.backend.store_raw("seen", b"yes", 60_000)

    assert result.get(timeout=WAIT_S) == "done"


def test_children_are_known_from_the_parent(app: Windlass) -> None:
    result = tasks.parent.delay()
    ids = result.get(timeout=WAIT_S)

    assert [child.id for child in result.children or []] == ids
    assert [child.get(timeout=WAIT_S) for child in result.children or []] == [3, 7]


def test_soft_limit_reaches_a_coroutine_that_waits(app: Windlass) -> None:
    assert tasks.limited.delay().get(timeout=WAIT_S) == "cleaned"


def test_pydantic_models_cross_the_wire_as_data(app: Windlass) -> None:
    assert tasks.mirror.delay(tasks.Point(x=1, y=2)).get(timeout=WAIT_S) == {"x": 2, "y": 1}


def test_expired_call_is_revoked(app: Windlass) -> None:
    with pytest.raises(TaskRevokedError, match="expired"):
        tasks.add.apply_async((1, 2), expires=-1).get(timeout=WAIT_S)


def test_countdown_holds_a_call_back_and_the_handle_says_so(app: Windlass) -> None:
    result = tasks.add.apply_async((1, 2), countdown=0.3)

    assert (result.state, result.stage.name) == ("PENDING", "SCHEDULED")
    assert result.get(timeout=WAIT_S) == 3


def test_ignore_leaves_the_state_as_the_task_set_it(app: Windlass) -> None:
    result = tasks.ignoring.delay()
    eventually(lambda: result.state == "LEFT" and result.stage.name == "DONE")

    assert result.info == "as it was"
    assert not result.ready()


def test_wrong_arguments_of_send_task_are_the_tasks_failure(app: Windlass) -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        app.send_task(tasks.add.name, (1,)).get(timeout=WAIT_S)
