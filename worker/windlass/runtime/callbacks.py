"""What follows a task: `link` with its result, `link_error` with its failure, as messages.

They are built here and enqueued in the same commit as the outcome, so they are sent exactly when
the outcome stands. Next in the walk: `windlass.sending`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from windlass import events, sending
from windlass.continuations import Continuation
from windlass.log import get_logger
from windlass.messages import Outgoing, Then
from windlass.signatures import Signature

if TYPE_CHECKING:
    from windlass.app import Windlass
    from windlass.context import Context
    from windlass.runtime.executor import Run

_log = get_logger(__name__)


class Followups(NamedTuple):
    """What is sent after a task: messages, and the continuations of those that are workflows."""

    messages: tuple[Outgoing, ...] = ()
    continuations: tuple[Continuation, ...] = ()


NOTHING = Followups()
#: Parts that are added to a continuation: (index, message id).
Grows = tuple[tuple[int, str], ...]


def on_success(run: Run, value: Any) -> Followups:
    """Build the messages of the task's callbacks; each gets the value as its first argument.

    Raises:
        EncodeError: The value has no representation in a callback's serializer.
        TypeError: The value does not fit a callback's signature.
    """
    built = _Building(run.task.app, run.request)
    for linked in run.request.callbacks or ():
        built.add(Signature.from_dict(linked, app=run.task.app), (value,))
    return built.followups()


def with_added(run: Run, then: Then, sent: Followups) -> tuple[Followups, Grows]:
    """Add the tasks that the task has added to its chord (`Task.add_to_chord`).

    Raises:
        EncodeError: An argument of theirs cannot be encoded.
        TypeError: Arguments do not fit a task.
    """
    # Hardly a task does so.
    from windlass.canvas.inside import added  # noqa: PLC0415

    messages, grows = added(run.task.app, run.request.__dict__["added"], run.request, then)
    return sent._replace(messages=(*sent.messages, *messages)), grows


def on_failure(app: Windlass, request: Context, error: BaseException, traceback: str) -> Followups:
    """Call the errbacks that are local and take (request, exc, traceback); build the others.

    The others are sent with the failed id alone. What goes wrong with one is logged, and does not
    keep the others from being called.
    """
    built = _Building(app, request)
    for linked in request.errbacks or ():
        try:
            signature = Signature.from_dict(linked, app=app)
            if _is_inline(signature):
                signature(request, error, traceback)
            else:
                built.add(signature, (request.id,))
        except Exception:  # an errback's own failure must not hide the task's
            _log.error(
                events.TASK_HOOK_FAILED,
                exc_info=sys.exc_info(),
                task=request.task,
                hook=f"link_error {linked!r:.200}",
            )
    return built.followups()


def _is_inline(signature: Signature[Any]) -> bool:
    task = signature.app.tasks.get(signature.task)
    return task is not None and task.check_arguments.positional_count() > 1


class _Building:
    """Collects what is sent."""

    def __init__(self, app: Windlass, request: Context) -> None:
        self._app = app
        self._request = request
        self._messages: list[Outgoing] = []
        self._continuations: list[Continuation] = []

    def add(self, signature: Signature[Any], args: tuple[Any, ...]) -> None:
        """Build the messages of a signature of any kind."""
        app, name = self._app, signature.task
        if signature.TYPES.get(signature.subtask_type or name) is None:
            merged_args, kwargs, options = signature.merged(args, {}, {})
            task = app.tasks.get(name)
            self._messages.append(sending.build(app, name, task, merged_args, kwargs, options))
            return
        # Most tasks have no canvas linked to them, and need not know of any.
        from windlass.canvas.inside import following  # noqa: PLC0415

        built = following(app, signature, args, self._request)
        self._messages += built.messages
        self._continuations += built.continuations

    def followups(self) -> Followups:
        """Return all of it."""
        return Followups(tuple(self._messages), tuple(self._continuations))
