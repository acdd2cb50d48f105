"""An app with a recording broker, and a way to send a task and run its message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from recording_broker import make_executor, recording_app, request_for
from windlass import Task, Windlass, sending
from windlass.messages import Outgoing
from windlass.results import codec
from windlass.results.base import ResultMeta
from windlass.runtime.outcome import Outcome


@dataclass
class Ran:
    """A message that was run, and how it ended."""

    sent: Outgoing
    outcome: Any

    @property
    def meta(self) -> ResultMeta:
        """The stored outcome, decoded."""
        assert self.outcome.result is not None, self.outcome
        return codec.decode_meta(self.sent.id, self.outcome.result, {"json", "pickle", "msgpack"})

    @property
    def state(self) -> str:
        """The stored state."""
        return self.meta.status


Run = Callable[..., Ran]


@pytest.fixture
def app() -> Windlass:
    return recording_app()


@pytest.fixture
def run(app: Windlass) -> Run:
    def run_(
        task: Task[..., Any],
        *args: Any,
        options: dict[str, Any] | None = None,
        executor: dict[str, Any] | None = None,
        **message: Any,
    ) -> Ran:
        sent = sending.build(app, task.name, task, args, {}, options or {}, checks=False)
        outcome: Outcome = make_executor(app, **(executor or {})).execute(
            request_for(sent, **message)
        )
        return Ran(sent, outcome)

    return run_
