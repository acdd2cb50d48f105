"""Structured logs: an event name and key-values, for people on a terminal, JSON otherwise.

Built on the standard library alone, so records of any library go through the same formatter and
a worker pays nothing for it. The names are in `windlass.events`; task loggers in
`windlass.utils.log`. No record leaves with a password in it: addresses are scrubbed on the way out.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import msgspec

Style = Literal["auto", "human", "json"]
#: Gives the name and id of the task that runs in this context, None outside a task.
TaskContext = Callable[[], tuple[str, str] | None]

# Greedy up to the last "@" of the word: passwords may contain one.
_PASSWORD_IN_URL = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/@:'\"]*:)[^\s'\"]*(?=@)", re.I)
_PASSWORD_IN_QUERY = re.compile(r"([?&](?:password|passwd|token|secret)=)[^\s&'\"]+", re.I)
#: Logger of what becomes of each task: succeeded, failed, retried.
ROUTINE = "windlass.tasks"
_COLOURS = {"DEBUG": "2", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}


def scrub(text: str) -> str:
    """Replace the passwords of addresses in `text` by `***`."""
    if "://" not in text:
        return text
    text = _PASSWORD_IN_URL.sub(r"\1***", text)
    return _PASSWORD_IN_QUERY.sub(r"\1***", text)


class Event:
    """What our loggers pass to logging: any formatter can print it, ours reads the parts."""

    __slots__ = ("facts", "name")

    def __init__(self, name: str, facts: Mapping[str, Any]) -> None:
        self.name = name
        self.facts = facts

    def __str__(self) -> str:
        return scrub(" ".join((self.name, *_pairs(self.facts))))


class Logger:
    """A thin logger of events. `facts` cost nothing when the level is off.

    Example:
        `log = get_logger(__name__)`, then `log.info(events.SLOT_STARTED, slot=3, pid=4711)`.
    """

    __slots__ = ("_logger",)

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, event: str, **facts: Any) -> None:
        """A step, for whoever debugs the engine."""
        self._log(logging.DEBUG, event, facts)

    def info(self, event: str, **facts: Any) -> None:
        """A stage of life, or a decision."""
        self._log(logging.INFO, event, facts)

    def warning(self, event: str, **facts: Any) -> None:
        """Something went wrong and was recovered without anybody's help."""
        self._log(logging.WARNING, event, facts)

    def error(self, event: str, *, exc_info: Any = None, **facts: Any) -> None:
        """A human has to act. `exc_info` as in logging: True, or an exception."""
        self._log(logging.ERROR, event, facts, exc_info)

    def exception(self, event: str, **facts: Any) -> None:
        """As `error`, with the exception that is being handled."""
        self._log(logging.ERROR, event, facts, True)

    def is_on(self, level: int) -> bool:
        """Whether records of this level go anywhere: asked before facts that are dear to make."""
        return self._logger.isEnabledFor(level)

    def _log(self, level: int, event: str, facts: dict[str, Any], exc_info: Any = None) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, Event(event, facts), exc_info=exc_info, stacklevel=3)


def get_logger(name: str) -> Logger:
    """Return the event logger of a module; pass `__name__`."""
    return Logger(logging.getLogger(name))


class StructuredHandler(logging.StreamHandler[TextIO]):
    """The handler that `configure` installs: a type of its own, so that it is found again."""


def configure(
    level: str | int = "INFO",
    *,
    style: Style = "auto",
    stream: TextIO | None = None,
    format: str | None = None,
    hijack_root: bool = True,
    task_context: TaskContext | None = None,
    colour: bool | None = None,
) -> None:
    """Set up logging for a process of ours: a worker or a command. Never called for a client.

    May be called again; the handler of the last call is replaced.

    Args:
        level: Least severe level that is logged.
        style: `human`, `json`, or `auto`: $WINDLASS_LOG_STYLE, else human on a terminal.
        stream: Where to; standard error by default.
        format: A %-style format of the user's own (worker_log_format); wins over `style`. It may
            use %(task_name)s and %(task_id)s.
        hijack_root: Replace the root logger's handlers, so that all libraries log alike. False
            leaves root alone and sets up the `windlass` logger only.
        task_context: Asked for the current task when a record is printed.
        colour: Colour the levels; None: on a terminal, unless $NO_COLOR is set.
    """
    stream = sys.stderr if stream is None else stream
    handler = StructuredHandler(stream)
    if colour is None:
        colour = stream.isatty() and "NO_COLOR" not in os.environ
    if format is not None:
        handler.setFormatter(UserFormatter(format, task_context))
    elif _chosen(style, stream) == "human":
        handler.setFormatter(HumanFormatter(task_context, colour=colour))
    else:
        handler.setFormatter(JsonFormatter(task_context))
    target = logging.getLogger() if hijack_root else logging.getLogger("windlass")
    for old in list(target.handlers):
        if hijack_root or isinstance(old, StructuredHandler):
            target.removeHandler(old)
    target.addHandler(handler)
    target.setLevel(level.upper() if isinstance(level, str) else level)
    if not hijack_root:
        target.propagate = False
    logging.captureWarnings(True)


def _chosen(style: Style, stream: TextIO) -> Style:
    if style == "auto":
        wanted = os.environ.get("WINDLASS_LOG_STYLE", "auto").lower()
        if wanted == "human" or (wanted != "json" and stream.isatty()):
            return "human"
        return "json"
    return style


def is_for_people(stream: TextIO | None = None) -> bool:
    """Whether logs to this stream (standard error by default) would be for people, not JSON."""
    return _chosen("auto", sys.stderr if stream is None else stream) == "human"


class _TaskAwareFormatter(logging.Formatter):
    def __init__(self, fmt: str | None = None, context: TaskContext | None = None) -> None:
        super().__init__(fmt)
        self._context = context

    def _facts(self, record: logging.LogRecord) -> dict[str, Any]:
        """The record's own facts, and the task's in whose context it was logged."""
        own = dict(record.msg.facts) if isinstance(record.msg, Event) else {}
        task = self._context() if self._context else None
        if task is None:
            return own
        return {"task": task[0], "message_id": task[1], **own}

    def _name(self, record: logging.LogRecord) -> str:
        return (
            record.msg.name if isinstance(record.msg, Event) else record.getMessage().rstrip("\n")
        )

    def _trouble(self, record: logging.LogRecord) -> str:
        parts = []
        if record.exc_info and record.exc_info[0]:
            parts.append(self.formatException(record.exc_info))
        if record.stack_info:
            parts.append(self.formatStack(record.stack_info))
        return "\n".join(parts)


class JsonFormatter(_TaskAwareFormatter):
    """One JSON object a line. What JSON has no type for is written as its repr()."""

    def __init__(self, context: TaskContext | None = None) -> None:
        super().__init__(context=context)
        self._encode = msgspec.json.Encoder(enc_hook=repr).encode

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = datetime.fromtimestamp(record.created, UTC)
        entry: dict[str, Any] = {
            "timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": self._name(record),
            "logger": record.name,
            "pid": record.process,
            **self._facts(record),
        }
        if trouble := self._trouble(record):
            entry["exception"] = trouble
        try:
            line = self._encode(entry).decode()
        except (TypeError, ValueError, msgspec.MsgspecError):  # e.g. keys that JSON cannot have
            line = self._encode({key: repr(value) for key, value in entry.items()}).decode()
        return scrub(line)


class HumanFormatter(_TaskAwareFormatter):
    """`2026-11-24 05:52:31.123 INFO  slot_started  slot=3 pid=4711`, local time."""

    def __init__(self, context: TaskContext | None = None, *, colour: bool = False) -> None:
        super().__init__(context=context)
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and the traceback below it."""
        at = self.formatTime(record, "%Y-%m-%d %H:%M:%S") + f".{int(record.msecs):03d}"
        level = f"{record.levelname:<7}"
        if self._colour:
            level = f"\033[{_COLOURS.get(record.levelname, '0')}m{level}\033[0m"
        facts = " ".join(_pairs(self._facts(record)))
        line = f"{at} {level} {self._name(record)}" + (f"  {facts}" if facts else "")
        trouble = self._trouble(record)
        return scrub(f"{line}\n{trouble}" if trouble else line)


class UserFormatter(_TaskAwareFormatter):
    """The user's own format, with %(task_name)s and %(task_id)s; `???` outside a task."""

    def format(self, record: logging.LogRecord) -> str:
        """Return what the user's format says."""
        task = self._context() if self._context else None
        # On the record itself, as Celery's formatter does: other handlers may want them too.
        record.task_name, record.task_id = task or ("???", "???")
        return scrub(super().format(record))


def _pairs(facts: Mapping[str, Any]) -> list[str]:
    return [f"{key}={_plain(value)}" for key, value in facts.items() if value is not None]


def _plain(value: object) -> str:
    """Text without quotes where they are not needed, so that lines read and grep well."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple | set | frozenset):
        return ",".join(_plain(item) for item in value) or "-"
    text = value if isinstance(value, str) else str(value)
    return repr(text) if not text or any(char in text for char in " \t\n\"'=") else text
