"""What a worker of plain tasks does without: each of these is megabytes in every process."""

from __future__ import annotations

import pytest

#: redis-py brings all of its clients; asyncio is for async tasks, ssl for rediss://, the metrics
#: library for --health-port.
ABSENT = {"redis", "asyncio", "ssl", "concurrent.futures", "prometheus_client", "http.server"}


@pytest.mark.parametrize(
    ("module", "expected"),
    [("plain_tasks", set()), ("worker_tasks", {"asyncio", "ssl", "concurrent.futures"})],
)
def test_worker_of_plain_tasks_imports_neither_redis_py_nor_asyncio(
    app, start_worker, module, expected
):
    """Supervisor, zygote and slots, nested calls included; the second case sees the check fail."""
    worker = start_worker("-c", "2", tasks=module, PYTHONPROFILEIMPORTTIME="1")
    if module == "plain_tasks":
        nested = app.send_task("plain_tasks.add_later", [1, 2]).get(timeout=10)
        assert app.AsyncResult(nested).get(timeout=10) == 3
    imported = {line.rpartition("|")[2].strip() for line in worker.log().splitlines()}

    assert {"windlass.runtime.supervisor", "windlass.runtime.executor"} <= imported
    assert imported & ABSENT == expected
