"""Every error of Windlass, one tree. Texts are formatted here and nowhere else.

    WindlassError
    ├── ConfigurationError            a setting, option or flag is wrong
    │   ├── UnsafeBrokerError         the broker may drop messages (eviction policy)
    │   └── ScheduleError             (also a ValueError) a periodic task is declared wrongly
    ├── BrokerError
    │   ├── OperationalError          the broker cannot be reached, or refuses the connection
    │   │   └── BrokerAccessError     credentials or rights are wrong: trying again is no use
    │   ├── BrokerFullError           out of memory
    │   └── BrokerReadOnlyError       a replica was asked to write
    ├── SerializationError
    │   ├── EncodeError               a value has no representation in the chosen serializer
    │   ├── DecodeError               bytes are not what their content type says
    │   ├── ContentDisallowed         the content type is not in accept_content
    │   ├── SecurityError             not signed or encrypted as it has to be, or altered
    │   └── MessageTooLarge           over the size cap
    ├── InvalidQueueName
    ├── QueueNotDeclared              task_create_missing_queues is off (alias QueueNotFound)
    ├── NotRegistered                 no such task here
    ├── AlreadyRegistered
    ├── DuplicateTaskError            a unique task was called while another call holds its key
    └── TaskError                     what a task can end with, or raise to steer its end
        ├── TaskPredicate             control flow across user code: Retry, Ignore, Reject, HandBack
        ├── LeaseLostError            a run that may change nothing any more
        ├── MaxRetriesExceededError
        ├── TaskRevokedError
        ├── TimeLimitExceeded, SoftTimeLimitExceeded
        ├── WorkerLostError
        ├── IncompleteStream          the children of a task that has not ended are not known
        ├── TimeoutError              (also the builtin) a result did not come in time
        └── BackendError              results are off, or cannot be read

Public under Celery's names in `windlass.exceptions`.
"""

from __future__ import annotations

import builtins
import difflib
from collections.abc import Iterable
from datetime import datetime
from typing import Any


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the sentence part that names the closest known spelling, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


class WindlassError(Exception):
    """Root of every error that Windlass raises."""


class ConfigurationError(WindlassError):
    """A setting, an option or a flag is wrong; the text says which and how to fix it."""


class UnsafeBrokerError(ConfigurationError):
    """The broker is set up so that it may silently drop messages."""

    def __init__(self, policy: str) -> None:
        super().__init__(
            f"The broker's maxmemory-policy is {policy!r}, which may evict queued messages when "
            "memory runs out. Expected 'noeviction'. Run `CONFIG SET maxmemory-policy noeviction` "
            "on the broker, or accept the loss with broker_allow_eviction=True."
        )


class ScheduleError(ConfigurationError, ValueError):
    """A periodic task is declared wrongly, or may not be changed so; the text says what to do."""


class BrokerError(WindlassError):
    """The broker answered, or failed to, in a way that stops the operation."""


class OperationalError(BrokerError):
    """The broker cannot be reached, or refuses this connection (address, password, ACL)."""


class BrokerAccessError(OperationalError):
    """The broker refuses user, password or command: trying again is no use."""


class BrokerFullError(BrokerError):
    """The broker is out of memory: nothing was stored, or only a part of a large batch.

    Args:
        stored: Messages of the batch that were stored before memory ran out.
        sent: Messages in the batch.
    """

    def __init__(self, stored: int = 0, sent: int = 0) -> None:
        what = f"{stored:,} of {sent:,} messages were" if stored else "nothing was"
        super().__init__(
            f"The broker is out of memory and refused the write; {what} stored. Free memory "
            "(`windlass dlq purge`, shorter result_expires) or raise maxmemory, then send again."
        )
        self.stored = stored


class BrokerReadOnlyError(BrokerError):
    """The broker is a read-only replica: nothing was stored."""

    def __init__(self) -> None:
        super().__init__(
            "The broker is a read-only replica and refused the write; nothing was stored. Point "
            "broker_url at the primary."
        )


class SerializationError(WindlassError):
    """A value or a message cannot be turned into bytes, or back."""


class EncodeError(SerializationError):
    """A value has no representation in the chosen serializer."""


class DecodeError(SerializationError):
    """Bytes are not what their content type says."""


class ContentDisallowed(SerializationError):
    """The content type is not in accept_content, so it was not decoded."""

    def __init__(self, content_type: str, accepted: Iterable[str] = ()) -> None:
        super().__init__(
            f"Refused content type {content_type!r}. Expected one of: "
            f"{', '.join(sorted(accepted)) or 'none'}. Add it to accept_content only if every "
            "producer on this broker is trusted."
        )


class SecurityError(SerializationError):
    """It is not signed or encrypted as it has to be, or was altered since; it was not decoded.

    Attributes:
        reason: One of `windlass.control_plane.dead_letters.Reason`.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class MessageTooLarge(SerializationError):
    """A message or a result is over its size cap."""

    def __init__(self, what: str, size_bytes: int, limit_bytes: int, setting: str) -> None:
        super().__init__(
            f"{what} is {size_bytes:,} bytes; expected at most {limit_bytes:,} ({setting}). Store "
            f"the data elsewhere and pass a reference, or raise {setting}."
        )


class InvalidQueueName(ConfigurationError):
    """A queue name has characters that keys and flags cannot carry."""

    def __init__(self, name: object) -> None:
        super().__init__(
            f"Queue name {name!r} is not usable. Expected 1 to 120 characters out of letters, "
            "digits and '-', '_', '.', ':', '/', '@', starting with a letter or digit."
        )


class QueueNotDeclared(ConfigurationError):
    """task_create_missing_queues is off, and task_queues does not name the queue."""

    def __init__(self, queue: str, declared: Iterable[str], task: str | None = None) -> None:
        names = sorted(declared)
        what = (
            f"Task {task!r} was sent to queue {queue!r}" if task else f"Queue {queue!r} was named"
        )
        super().__init__(
            f"{what}, which is not declared. Expected one of: {', '.join(map(repr, names))}."
            f"{nearest(queue, names)} Add it to task_queues, or set "
            "task_create_missing_queues=True."
        )


QueueNotFound = QueueNotDeclared


class NotRegistered(WindlassError, KeyError):
    """No task of this name is registered here."""

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        super().__init__(name)
        self.name = name
        self._hint = nearest(name, known)

    def __str__(self) -> str:
        return (
            f"Task {self.name!r} is not registered in this app.{self._hint} Import the module "
            "that defines it (the `imports` setting, or autodiscover_tasks)."
        )


class AlreadyRegistered(WindlassError):
    """Two different functions claim one task name."""

    def __init__(self, name: str, known: str, new: str) -> None:
        super().__init__(
            f"Task name {name!r} is taken by {known} and cannot mean {new} as well. Give one of "
            "them another name=."
        )


class DuplicateTaskError(WindlassError):
    """A unique task was called while another call holds its key, and duplicates are rejected.

    Attributes:
        task: The task's name.
        task_id: Of the call that holds the key.
        key: What the two have in common.
        is_running: A worker has it.
    """

    def __init__(
        self,
        task: str,
        task_id: str,
        key: str,
        *,
        is_running: bool = False,
        could_replace: bool = False,
    ) -> None:
        where = "runs" if is_running else "is there"
        why = "Only one that waits can be replaced" if could_replace else "Duplicates are rejected"
        super().__init__(
            f"Task {task!r} was not sent: {task_id} {where} with the same key ({key}). {why}; "
            "expected none until that one lets go of the key. Use on_duplicate='return' to get the "
            "handle of that one instead."
        )
        self.task = task
        self.task_id = task_id
        self.key = key
        self.is_running = is_running


class TaskError(WindlassError):
    """What a task can end with, or raise to steer how it ends."""


class TaskPredicate(TaskError):
    """Steers how a task ends; not a failure."""


class Retry(TaskPredicate):
    """The task is to run again; raised by `Task.retry`.

    Args:
        message: Why.
        exc: The exception that led to the retry, if any.
        when: Seconds from now, an absolute time, or None for at once.
    """

    def __init__(
        self,
        message: str | None = None,
        exc: BaseException | None = None,
        when: float | datetime | None = None,
        sig: Any = None,  # the signature that runs again: any task's
    ) -> None:
        super().__init__(message, exc, when)
        self.message = message
        self.exc = exc
        self.when = when
        self.sig = sig

    def humanize(self) -> str:
        """Say when, in words."""
        if self.when is None:
            return "now"
        return f"in {self.when}s" if isinstance(self.when, int | float) else f"at {self.when}"

    def __str__(self) -> str:
        return self.message or f"Retry {self.humanize()}" + (f": {self.exc!r}" if self.exc else "")


class Ignore(TaskPredicate):
    """Acknowledge the message and store no outcome."""


class Reject(TaskPredicate):
    """Refuse the message: `requeue=True` hands it back, else it goes to the dead letters."""

    def __init__(self, reason: object = None, requeue: bool = False) -> None:
        super().__init__(reason, requeue)
        self.reason = reason
        self.requeue = requeue


class HandBack(Reject):
    """Hand the message back: it runs again, elsewhere; neither a delivery nor a retry is counted.

    `self.checkpoint(data, hands_back=True)` raises it where the worker is to end.
    """

    def __init__(self, reason: object = None) -> None:
        super().__init__(reason, requeue=True)


class LeaseLostError(TaskError):
    """This run has lost its lease: another one has begun, or will, and this one changes nothing."""

    def __init__(self, message_id: str) -> None:
        super().__init__(message_id)
        self.message_id = message_id

    def __str__(self) -> str:
        return (
            f"This run of task {self.message_id} has lost its lease (the worker stood still for "
            "longer than worker_lease_s, or was cut off). Its outcome would be refused too: end it."
        )


class MaxRetriesExceededError(TaskError):
    """The task asked for one retry more than max_retries allows."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.task_args = kwargs.pop("task_args", ())
        self.task_kwargs = kwargs.pop("task_kwargs", {})
        super().__init__(*args)


class TaskRevokedError(TaskError):
    """The task was revoked, or its message expired, before it could finish."""


class TimeLimitExceeded(TaskError):
    """The hard time limit passed and the process that ran the task was killed."""

    def __init__(self, limit_s: float) -> None:
        super().__init__(limit_s)
        self.limit_s = limit_s

    def __str__(self) -> str:
        return f"TimeLimitExceeded({self.limit_s},)"


class SoftTimeLimitExceeded(TaskError):
    """The soft time limit passed; raised once inside the task, which may catch it."""

    def __str__(self) -> str:
        return f"SoftTimeLimitExceeded{self.args!r}"


class ChordError(TaskError):
    """A task of a chord's header failed, so its body cannot run; the cause is `__cause__`."""


class WorkerLostError(TaskError):
    """The process that ran the task died: killed, out of memory, or crashed."""


class IncompleteStream(TaskError):
    """A task has not ended, so what it sent is not known yet."""

    def __init__(self, task_id: str) -> None:
        super().__init__(task_id)
        self.task_id = task_id

    def __str__(self) -> str:
        return (
            f"Task {self.task_id} has not ended, so its children are not known yet. Wait for it "
            "first (collect() does), or pass intermediate=True to step over it."
        )


class TimeoutError(TaskError, builtins.TimeoutError):
    """A result did not come in time."""


class BackendError(TaskError):
    """Results are off, or cannot be read or written."""


ImproperlyConfigured = ConfigurationError
