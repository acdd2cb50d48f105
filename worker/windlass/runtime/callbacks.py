"""What follows a task: `link` with its result, `link_error` with its failure, as messages.

They are built here and enqueued in the same commit as the outcome, so they are sent exactly when
the outcome stands. Next in the walk: `windlass.sending`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from windlass import events, sending
from windlass.continuations import Continuation
from windlass.log import get_logger
from windlass.messages import Outgoing
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


def on_success(run: Run, value: Any) -> Followups:
    """Build the messages of the task's callbacks; each gets the value as its first argument.

    Raises:
        EncodeError: The value has no representation in a callback's serializer.
        TypeError: The value does not fit a callback's signature.
    """
    app = run.task.app
    return Followups(
        tuple(_message(app, linked, (value,)) for linked in run.request.callbacks or ())
    )


def on_failure(app: Windlass, request: Context, error: BaseException, traceback: str) -> Followups:
    """Call the errbacks that are local and take (request, exc, traceback); build the others.

    The others are sent with the failed id alone. What goes wrong with one is logged, and does not
    keep the others from being called.
    """
    messages = []
    for linked in request.errbacks or ():
        try:
            signature = Signature.from_dict(linked, app=app)
            if _is_inline(signature):
                signature(request, error, traceback)
            else:
                messages.append(_message(app, signature, (request.id,)))
        except Exception:  # an errback's own failure must not hide the task's
            _log.error(
                events.TASK_HOOK_FAILED,
                exc_info=sys.exc_info(),
                task=request.task,
                hook=f"link_error {linked!r:.200}",
            )
    return Followups(tuple(messages))


def _is_inline(signature: Signature[Any]) -> bool:
    task = signature.app.tasks.get(signature.task)
    return task is not None and task.check_arguments.positional_count() > 1


def _message(app: Windlass, linked: Mapping[str, Any], args: tuple[Any, ...]) -> Outgoing:
    signature = linked if isinstance(linked, Signature) else Signature.from_dict(linked, app=app)
    name = signature.task
    merged_args, kwargs, options = signature.merged(args, {}, {})
    return sending.build(app, name, app.tasks.get(name), merged_args, kwargs, options)
