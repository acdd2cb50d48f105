"""Workers and senders with the same settings, against whatever kind of Redis a test has started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from waiting import eventually
from windlass import Windlass
from windlass.control_plane import heartbeats
from windlass.errors import BrokerError

#: Long enough for a failover of servers that are started here, seconds.
PATIENT = {"max_retries": 200, "interval_start": 0.05, "interval_step": 0.05, "interval_max": 0.2}
SOON = 60  # seconds: bounds a failing test, never slows a passing one


class Shop:
    """An app and its workers.

    Args:
        folder: For what tasks write.
        settings: Of the app and the workers.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder = folder
        self.settings = {"task_publish_retry_policy": PATIENT, "worker_lease_s": 2, **settings}
        self.app = Windlass("sender", set_as_current=False, **self.settings)
        self.add = self.app.signature("forms_tasks.add")
        self._workers: list[subprocess.Popen[bytes]] = []

    def send(self, count: int, first: int = 0) -> list[Any]:
        """Send `add(n, n)` for n from `first` on."""
        send = self.app.send_task
        return [send("forms_tasks.add", (n, n)) for n in range(first, first + count)]

    def hold(self, name: str) -> Any:
        """Send a task that runs until `go`, and return when it runs."""
        result = self.app.send_task("forms_tasks.hold", (name,))
        eventually((self.folder / f"{name}.began").exists, SOON)
        return result

    def go(self, name: str) -> None:
        (self.folder / f"{name}.go").touch()

    def runs(self) -> list[str]:
        path = self.folder / "runs"
        return path.read_text().split() if path.exists() else []

    def start_worker(self, *flags: str, waits: bool = True, **env: str) -> subprocess.Popen[bytes]:
        here = Path(__file__).parent
        command = [sys.executable, "-m", "windlass", "worker", "-A", "forms_tasks", "-c", "2"]
        with self.log_path.open("ab") as log:
            worker = subprocess.Popen(
                [*command, *flags],
                cwd=here, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, **self._environ(), "MARKS": str(self.folder), **env},
            )  # fmt: skip
        self._workers.append(worker)
        if waits:
            eventually(lambda: self._is_up(worker), SOON, self.log_path.read_text)
        return worker

    def _environ(self) -> dict[str, str]:
        return {
            f"WINDLASS_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
            for name, value in self.settings.items()
        }

    def _is_up(self, worker: subprocess.Popen[bytes]) -> bool:
        assert worker.poll() is None, self.log()
        try:
            return worker.pid in [w.pid for w in heartbeats.read_workers(self.app.broker)]
        except BrokerError:
            return False

    @property
    def log_path(self) -> Path:
        return self.folder / "log"

    def log(self) -> str:
        return self.log_path.read_text()

    def close(self) -> None:
        for worker in self._workers:
            if worker.poll() is None:
                tree = psutil.Process(worker.pid).children(recursive=True)
                worker.kill()
                for process in tree:
                    with suppress(psutil.NoSuchProcess):  # it went with its parent
                        process.kill()
            worker.wait()
        self.app.close()


@pytest.fixture
def open_shop(tmp_path: Path) -> Iterator[Callable[..., Shop]]:
    """Make an app with these settings; its workers end with the test."""
    opened: list[Shop] = []

    def open_shop(**settings: Any) -> Shop:
        folder = tmp_path / f"shop-{len(opened)}"
        folder.mkdir()
        opened.append(Shop(folder, settings))
        return opened[-1]

    yield open_shop
    for shop in opened:
        shop.close()
