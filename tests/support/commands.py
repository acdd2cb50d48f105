"""The `windlass` command as a user runs it: a process of its own, in a folder with their module."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from waiting import eventually

#: Variables of the machine that would change what a test sees.
_CLEARED = ("WINDLASS_", "NO_COLOR", "FORCE_COLOR")


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without our own variables, and then these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_CLEARED)}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **variables}


@dataclass
class Project:
    """A folder with an application in it; every process started here ends with the test."""

    folder: Path
    broker: str = ""
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def write(self, name: str, text: str) -> None:
        """Write a file of the application."""
        (self.folder / name).write_text(textwrap.dedent(text))

    def run(
        self, *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `windlass` with these arguments to its end."""
        return subprocess.run(
            [sys.executable, "-m", "windlass", *arguments],
            cwd=self.folder,
            env=self._env(env),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def start(self, *arguments: str, env: Mapping[str, str] | None = None) -> Running:
        """Start `windlass` with these arguments; its output goes to a file."""
        return self.start_python("-m", "windlass", *arguments, env=env)

    def start_python(self, *arguments: str, env: Mapping[str, str] | None = None) -> Running:
        """Start this interpreter with these arguments; its output goes to a file."""
        log = self.folder / f"process-{len(self.processes)}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=self.folder,
                env=self._env(env),
                stdout=output,
                stderr=output,
                text=True,
                start_new_session=True,
            )
        self.processes.append(process)
        return Running(process, log)

    def _env(self, extra: Mapping[str, str] | None) -> dict[str, str]:
        broker = {"WINDLASS_BROKER_URL": self.broker} if self.broker else {}
        return environment(**{**broker, **(extra or {})})

    def end(self) -> None:
        """End every process that was started, and what it started."""
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()


@dataclass
class Running:
    """A command that runs."""

    process: subprocess.Popen[str]
    log: Path

    def output(self) -> str:
        """What it has printed so far."""
        return self.log.read_text(errors="replace")

    def says(self, text: str, timeout: float = 30) -> str:
        """Wait until it has printed the text; returns all of its output."""
        eventually(
            lambda: text in self.output() or self._fail_if_over(text),
            timeout,
            f"{text!r} in the output of {self.process.args}",
        )
        return self.output()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self, timeout: float = 30) -> int:
        """Wait for its end; returns the exit code."""
        return self.process.wait(timeout)

    def _fail_if_over(self, text: str) -> bool:
        code = self.process.poll()
        if code is not None and text not in self.output():
            message = f"It ended with {code} without saying {text!r}:\n{self.output()[-3000:]}"
            raise RuntimeError(message)
        return False


def projects(folder: Path, broker: str = "") -> Iterator[Project]:
    """Yield a project and end its processes: the body of a fixture."""
    project = Project(folder, broker)
    try:
        yield project
    finally:
        project.end()
