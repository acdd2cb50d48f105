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


def test_local_driver_needs_nothing_of_a_cluster() -> None:
    code = "import windlass_operator.local.demo, sys; print(*sorted(sys.modules))"
    loaded = run(code).split()

    assert [name for name in ("kopf", "kubernetes", "aiohttp") if name in loaded] == []


def test_naming_the_local_driver_needs_no_extra() -> None:
    loaded = run("import windlass_operator.local.up, sys; print(*sorted(sys.modules))").split()

    assert [name for name in ("yaml", "rich") if name in loaded] == []


@pytest.mark.parametrize("module", ["windlass", "windlass.cli.main", "windlass_operator.local.up"])
def test_importing_starts_no_thread_and_says_nothing(module: str) -> None:
    code = f"import {module}, threading; assert threading.active_count() == 1"

    assert run(code) == ""
