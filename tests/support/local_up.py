"""A `windlass up` of a test: what it says, what it started, and an app to send it work."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from commands import Project, Running
from waiting import eventually
from windlass import Windlass

TASKS = """\
    import os, time
    from windlass import Windlass

    app = Windlass("shop", backend="redis://")

    @app.task(queue="emails")
    def send(number, seconds=0.0):
        with open(f"began-{number}", "a") as marks:
            marks.write(f"{os.getpid()} {os.getppid()}\\n")
        time.sleep(seconds)
        return number
"""
RESOURCES = """\
    apiVersion: windlass.dev/v1alpha1
    kind: TaskQueue
    metadata: {name: emails}
    spec: {drainTarget: 1s}
    ---
    apiVersion: windlass.dev/v1alpha1
    kind: WorkerPool
    metadata: {name: emails}
    spec:
      app: shop
      image: registry.example/shop:1.0
      queues: [{name: emails}]
      concurrency: 2
      autoscaling:
        maxReplicas: 2
        scaleDown: {window: 1s, toZeroAfter: 1s, maxDisruptionPercent: 100}
"""


@dataclass
class Up:
    """A `windlass up --plain` that runs."""

    project: Project
    running: Running
    app: Windlass

    def output(self) -> str:
        return self.running.output()

    def says(self, pattern: str, timeout: float = 40) -> re.Match[str]:
        """Wait until the output has the pattern."""

        def found() -> re.Match[str] | None:
            match = re.search(pattern, self.output())
            ended = self.running.process.poll() is not None
            assert match or not ended, self.output()[-3000:]
            return match

        match = eventually(found, timeout, f"{pattern!r} in the output")
        assert match is not None
        return match

    def workers(self) -> list[psutil.Process]:
        """The supervisors of workers."""
        return [
            child
            for child in psutil.Process(self.running.process.pid).children()
            if "worker" in child.cmdline()
        ]

    def send(self, *calls: tuple[int, float]) -> list[str]:
        """Send tasks: (number, seconds)."""
        return [self.app.send_task("shop.send", call, queue="emails").id for call in calls]

    def results(self, ids: Sequence[str]) -> list[int]:
        return [self.app.AsyncResult(each).get(timeout=60) for each in ids]

    def tree(self) -> list[psutil.Process]:
        """Everything that it has started."""
        return psutil.Process(self.running.process.pid).children(recursive=True)
