"""Runs a canvas here and now, one task after another: `apply()` and task_always_eager.

It ends as it would on workers: what follows a failed task gets its failure, the body of a chord a
ChordError. Members of a group all run, whatever becomes of the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from windlass import context, eager, states
from windlass.canvas.dispatch import contains_itself
from windlass.canvas.unfold import Fork, Given, Items, Step, unfold
from windlass.errors import ChordError, TaskError
from windlass.results.group_result import GroupResult

if TYPE_CHECKING:
    from windlass.app import Windlass
    from windlass.signatures import Signature

#: Options of `apply` that no message has.
_EAGER_ONLY = ("throw", "retries", "logfile", "loglevel", "add_to_parent", "propagate")


class Fed(NamedTuple):
    """What an item gets of what is before it.

    Attributes:
        args: The value, if there is one.
        error: The failure, in place of a value.
        calls_errbacks: The item's own errbacks are called with the failure: it is a chord's body.
    """

    args: tuple[Any, ...] = ()
    error: BaseException | None = None
    calls_errbacks: bool = False


class Done(NamedTuple):
    """How a sequence or an item of one has ended; `result` is its handle."""

    result: Any
    value: Any = None
    error: BaseException | None = None
    failed_id: str = ""


def run(
    sig: Signature[Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Any:  # EagerResult or GroupResult; None for a chain of nothing
    """Run a canvas, see `Composite.apply`.

    Raises:
        NotRegistered: A task is not known here.
        BaseException: What a task raised, with throw=True or task_eager_propagates.
    """
    app = sig.app
    throw = options.get("throw")
    if throw is None:
        throw = app.conf.current.task_eager_propagates
    own = {key: value for key, value in options.items() if key not in _EAGER_ONLY}
    try:
        items = unfold(sig, Given(args, kwargs, own))
    except RecursionError:
        raise contains_itself(sig) from None
    if not items:
        return None
    result = _Inline(app, throw=bool(throw)).sequence(items, Fed()).result
    parent = context.sending_request()
    if parent is not None and options.get("add_to_parent") is not False:
        parent.children.append(result)
    return result


async def arun(
    sig: Signature[Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Any:  # as `run`
    """Run a canvas in a thread, so that the event loop goes on."""
    import asyncio  # noqa: PLC0415 - 5 MB that a worker of plain tasks has no use for

    return await asyncio.to_thread(run, sig, args, kwargs, options)


class _Inline:
    def __init__(self, app: Windlass, *, throw: bool) -> None:
        self._app = app
        self._throw = throw

    def sequence(self, items: Items, fed: Fed) -> Done:
        done = Done(None)
        for item in items:
            if isinstance(item, Fork):
                done = self._fork(item, fed, done.result)
                if done.error is None:
                    fed = Fed((done.value,))
                else:
                    fed = Fed(error=_chord_error(done), calls_errbacks=True)
            else:
                done = self._step(item, fed, done.result)
                fed = Fed((done.value,)) if done.error is None else Fed(error=done.error)
        return done

    def _fork(self, fork: Fork, fed: Fed, parent: Any) -> Done:
        members = [self._member(member, fed) for member in fork.members]
        results = [member.result for member in members]
        group: GroupResult[Any] = GroupResult(fork.id, results, parent=parent, app=self._app)
        failed = next((member for member in members if member.error is not None), None)
        if failed is not None:
            return failed._replace(result=group)
        return Done(group, [member.value for member in members])

    def _member(self, items: Items, fed: Fed) -> Done:
        """Run a member. One that ends in a fork of its own is joined by a task, as in `compile`."""
        done = self.sequence(items, fed)
        if done.error is not None and isinstance(items[-1], Fork):
            return done._replace(error=_chord_error(done))
        return done

    def _step(self, step: Step, fed: Fed, parent: Any) -> Done:
        sig = step.sig
        task = self._app.tasks[sig.task]
        own = {**sig.options, "task_id": step.id}
        if step.group is not None:
            own["group_id"], own["group_index"] = step.group
        if fed.error is None:
            args = sig.args if step.is_sealed else (*fed.args, *sig.args)
            result = task.apply(args, sig.kwargs, **{**own, "throw": self._throw})
        else:
            if not fed.calls_errbacks:
                own.pop("link_error", None)
            result = eager.fail(task, own, fed.error)
        result.parent = parent
        value = result.result
        if result.state == states.SUCCESS:
            return Done(result, value)
        if result.state in (states.IGNORED, states.REJECTED):
            text = (
                f"Task {result.id} was {result.state.lower()}, so it has no result to go on with."
            )
            return Done(result, None, TaskError(text), result.id)
        return Done(result, None, value, result.id)


def _chord_error(done: Done) -> ChordError:
    error = ChordError(f"Dependency {done.failed_id} raised {done.error!r}")
    error.__cause__ = done.error
    return error
