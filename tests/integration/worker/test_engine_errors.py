"""An error of the engine's own ends the process: its message runs again, and is dead in the end."""

from __future__ import annotations

import pytest

from windlass.exceptions import WorkerLostError


@pytest.mark.parametrize("task", ["broken", "broken_async"])
@pytest.mark.parametrize("pool", ["prefork", "threads", "asyncio"])
def test_a_message_on_which_the_engine_fails_ends_its_process_and_is_counted(
    app, start_worker, pool, task
):
    worker = start_worker("-c", "1", "-P", pool, tasks="engine_error_tasks", lease_s=60)
    result = app.send_task(f"engine_error_tasks.{task}")

    with pytest.raises(WorkerLostError, match="exit code"):
        result.get(timeout=30)
    assert "the engine's own error" in worker.log()
    assert app.send_task("engine_error_tasks.fine").get(timeout=30) == "fine"
