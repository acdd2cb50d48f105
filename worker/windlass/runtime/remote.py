"""Remote commands, the worker's side: `windlass inspect`, `windlass control`, `app.control`.

Runs in the control listener's thread, so it works while every slot is busy; what belongs to the
supervisor's loop is looked at and changed there, between two turns (`InLoop`). Loaded with the
first command a worker gets. Whoever may publish on the keyspace's channels may send commands: the
permission is the broker's credentials.
Next in the walk: `windlass.runtime.remote_views` (inspect), `windlass.runtime.remote_orders`.
"""

from __future__ import annotations

import fnmatch
import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec

from windlass import events
from windlass.errors import WindlassError, nearest
from windlass.log import get_logger
from windlass.runtime.control import InLoop

if TYPE_CHECKING:
    from windlass.app import Windlass
    from windlass.brokers.base import ControlMessage
    from windlass.connections import AnyBroker
    from windlass.pools.base import Pool
    from windlass.runtime.chores import Chores
    from windlass.runtime.facts import Describer
    from windlass.runtime.supervisor import Parts
    from windlass.runtime.worker import WorkerOptions

log = get_logger(__name__)

#: An answer is at most so many bytes; a longer one is refused in words.
MAX_ANSWER_BYTES = 1024 * 1024
#: The loop turns at least once a second; it is asked for so long.
LOOP_ANSWERS_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What commands work on. `parts` belongs to the loop: touched in `in_loop` only."""

    app: Windlass
    options: WorkerOptions
    worker_id: str
    pool: Pool
    parts: Parts
    describer: Describer
    chores: Chores
    broker: AnyBroker
    post: Callable[[object], None]
    started_at: float

    def in_loop(self, work: Callable[[float], Any]) -> Any:
        """Have the loop do something, and return what came of it."""
        item = InLoop(work)
        self.post(item)
        return item.result(LOOP_ANSWERS_S)


#: Takes the context and the command's arguments by name; returns plain data.
Command = Callable[..., Any]


class CommandError(WindlassError):
    """A remote command that cannot be carried out; its text is the answer."""


def commands() -> tuple[dict[str, Command], dict[str, Command]]:
    """Return the commands that look, and those that change something, by name."""
    views = importlib.import_module("windlass.runtime.remote_views")
    orders = importlib.import_module("windlass.runtime.remote_orders")
    return views.COMMANDS, orders.COMMANDS


class Remote:
    """Answers calls.

    Args:
        context: What they work on.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        views, self._orders = commands()
        self._commands = views | self._orders

    def on_call(self, message: ControlMessage) -> None:
        """Carry a call out, and answer if an answer is wanted; never raises for a bad call."""
        context = self._context
        answer: dict[str, Any] = {
            "worker": context.options.hostname,
            "worker_id": context.worker_id,
        }
        if not is_meant(message, context.options.hostname, context.worker_id):
            if message.reply_to:  # so that the caller need not wait for us
                context.broker.answer_call(message.reply_to, encode({**answer, "skipped": True}))
            return
        answer["reply"] = self.carry_out(message.method, message.arguments)
        if message.reply_to:
            context.broker.answer_call(message.reply_to, encode(answer))

    def carry_out(self, method: str, arguments: dict[str, Any]) -> Any:
        """Run one command; what is wrong with it becomes {"error": text}, as in Celery."""
        command = self._commands.get(method)
        if command is None:
            hint = nearest(method, self._commands)
            return {
                "error": f"unknown command {method!r}.{hint} Known: {', '.join(self._commands)}"
            }
        note = log.info if method in self._orders else log.debug  # tools look every second
        note(events.REMOTE_COMMAND_RECEIVED, command=method, arguments=arguments or None)
        try:
            inspect.signature(command).bind(self._context, **arguments)
        except TypeError as error:
            return {"error": f"{method}: {error}. Expected {signature_of(command)}."}
        try:
            return command(self._context, **arguments)
        except (WindlassError, ValueError, TypeError, TimeoutError) as error:
            return {"error": f"{method}: {error}"}
        except Exception as error:  # the caller learns of it, and the listener goes on
            log.exception(events.REMOTE_COMMAND_FAILED, command=method)
            return {"error": f"{method} failed: {type(error).__name__}: {error}"}


def is_meant(message: ControlMessage, hostname: str, worker_id: str) -> bool:
    """Whether a call is for the worker of this name and id."""
    if message.workers and not {hostname, worker_id}.intersection(message.workers):
        return False
    if not message.pattern:
        return True
    if not message.is_regex:
        return fnmatch.fnmatchcase(hostname, message.pattern)
    try:
        return re.search(message.pattern, hostname) is not None
    except re.error:
        return False


def signature_of(command: Command) -> str:
    """Render what a command takes, without the context."""
    parameters = list(inspect.signature(command).parameters.values())[1:]
    return f"({', '.join(str(each).partition(':')[0] for each in parameters)})"


def encode(answer: dict[str, Any]) -> bytes:
    """Encode an answer; what JSON does not know is shown as text, what is too long is refused."""
    try:
        payload = msgspec.json.encode(answer, enc_hook=repr)
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        return encode({**answer, "reply": {"error": f"the answer cannot be encoded: {error}"}})
    if len(payload) > MAX_ANSWER_BYTES:
        text = (
            f"the answer has {len(payload):,} bytes, and {MAX_ANSWER_BYTES:,} are the most. "
            "Look at single tasks with query_task."
        )
        return encode({**answer, "reply": {"error": text}})
    return payload


def uptime_s(context: Context) -> int:
    """Seconds since the worker was assembled."""
    return int(monotonic() - context.started_at)
