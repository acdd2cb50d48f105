"""A client that imports windlass pays for what it uses, and nothing happens at import."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("structlog", "prometheus_client", "click", "http.server", "celery", "kubernetes", "kopf")


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_client_imports_none_of_the_workers_libraries() -> None:
    loaded = run("import windlass, sys; print(*sorted(sys.modules))").split()

    assert [name for name in HEAVY if name in loaded] == []


def test_commands_on_queues_do_not_import_the_worker() -> None:
    loaded = run("import windlass.cli.queues, sys; print(*sorted(sys.modules))").split()

    assert "prometheus_client" not in loaded
    assert "windlass.runtime.worker" not in loaded


@pytest.mark.parametrize("module", ["windlass", "windlass.cli.main", "windlass_operator.local.up"])
def test_importing_starts_no_thread_and_says_nothing(module: str) -> None:
    code = f"import {module}, threading; assert threading.active_count() == 1"

    assert run(code) == ""
