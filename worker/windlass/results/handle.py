"""AsyncResult: what the caller holds of a task it sent. Waits for it, forgets it, revokes it.

Waiting is by push (`ResultBackend.wait_raw`). What is asked without waiting is in `reading`, the
way to parents and children in `tree`, many results at once in `result_set`.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

import msgspec

from windlass import errors, states
from windlass.results import guard
from windlass.results.base import ResultBackend, ResultMeta
from windlass.results.reading import OnError, OnReady, ResultReader

if TYPE_CHECKING:
    from windlass.app import Windlass

R = TypeVar("R")


class AsyncResult(ResultReader, Generic[R]):
    """The handle of a task's result.

    Args:
        id: The task's id.
        backend: Where results are kept; default: the app's.
        task_name: Not used; Celery has it.
        app: The app; default: the current one.
        parent: The result before this one in a chain.

    Attributes:
        ignored: The task was sent with ignore_result: `get` returns None at once.

    Raises:
        ValueError: The id is None or not a string.
    """

    __slots__ = ()

    TimeoutError: ClassVar[type[errors.TimeoutError]] = errors.TimeoutError

    @property
    def children(self) -> list[AsyncResult[Any]] | None:
        """Results of the tasks that this one sent; None until it is known."""
        meta = self._known()
        if meta.status == states.PENDING:
            return None
        known = (result_from_tuple(child, self._app, self._backend) for child in meta.children)
        return [child._with_members() for child in known]

    def get(  # noqa: PLR0913 - Celery's signature
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        no_ack: bool = True,
        follow_parents: bool = True,
        callback: Callable[[str, Any], object] | None = None,
        on_message: Callable[[dict[str, Any]], object] | None = None,
        on_interval: Callable[[], object] | None = None,
        disable_sync_subtasks: bool = True,
    ) -> R:
        """Wait for the task to end and return its value.

        Args:
            timeout: Seconds to wait at most; None waits for ever.
            propagate: Raise the task's exception here; False returns it.
            interval: Seconds between calls of on_interval, and between looks for on_message. The
                result itself is pushed and does not wait for it.
            no_ack: Accepted and without meaning here.
            follow_parents: Raise the exception of a failed parent too.
            callback: Called with the id and the value.
            on_message: Called with a dict for each state that is seen, progress included.
            on_interval: Called while waiting.
            disable_sync_subtasks: Refuse to wait inside a task.

        Returns:
            The value; None at once for a task sent with ignore_result.

        Raises:
            TimeoutError: It did not end in time. The task itself goes on.
            TaskRevokedError: It was revoked or has expired.
            RuntimeError: Called inside a task (see `allow_join_result`).
            ContentDisallowed: The result's content type is not accepted.
            BackendError: Results are off.
            Exception: What the task raised.
        """
        if self.ignored:
            return cast("R", None)
        if disable_sync_subtasks:
            guard.assert_will_not_block()
        if not self._is_over():
            parents = self._unfinished_parents() if follow_parents and propagate else []
            if on_message is None and on_interval is None:
                self._wait(parents, timeout)
            else:
                self._wait_watching(parents, timeout, interval, on_message, on_interval)
        if follow_parents and propagate:
            self._raise_for_parents()
        return cast("R", self.maybe_throw(propagate=propagate, callback=callback))

    wait = get

    async def aget(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 - the twin of get(timeout=)
        propagate: bool = True,
        follow_parents: bool = True,
        disable_sync_subtasks: bool = True,
    ) -> R:
        """Async twin of `get`; `await result` is `await result.aget()`.

        Args:
            timeout: As in `get`. A time-out or a cancellation leaves the task itself alone.
            propagate: As in `get`.
            follow_parents: As in `get`.
            disable_sync_subtasks: Refuse to wait inside a task, except in the asyncio pool.

        Returns:
            As `get`.

        Raises:
            Exception: As `get`.
        """
        if self.ignored:
            return cast("R", None)
        if disable_sync_subtasks:
            guard.assert_may_await()
        if not self._is_over():
            parents = self._unfinished_parents() if follow_parents and propagate else []
            await self._await(parents, timeout)
        if follow_parents and propagate:
            self._raise_for_parents()
        return cast("R", self.maybe_throw(propagate=propagate))

    def __await__(self) -> Generator[Any, None, R]:
        return self.aget().__await__()

    def then(
        self, callback: OnReady, on_error: OnError | None = None, weak: bool = False
    ) -> AsyncResult[R]:
        """Call back with this handle once its outcome is known to it.

        That is at once if it is already there; else when `get`, `await`, `ready`, `state` or any
        other question sees it first, in the thread that asked.

        Args:
            callback: Called once, with this handle.
            on_error: Called with what the callback raised; without it, it is raised.
            weak: Accepted and without meaning here.

        Returns:
            This handle.
        """
        self._callbacks.append((callback, on_error))
        if self._is_over() or (self._has_backend() and self.ready()):
            self._call_back()
        return self

    def maybe_throw(
        self, propagate: bool = True, callback: Callable[[str, Any], object] | None = None
    ) -> Any:  # a value of the task, or its exception
        """Raise the task's exception if it failed, else return what is known as its result.

        Args:
            propagate: False returns the exception.
            callback: Called with the id and the value.
        """
        meta = self._known()
        if propagate and meta.status in states.PROPAGATE_STATES:
            raise as_exception(meta)
        if callback is not None:
            callback(self.id, meta.result)
        return meta.result

    maybe_reraise = maybe_throw

    def forget(self) -> None:
        """Remove the stored outcome, and those of the parents. The state is PENDING again."""
        nodes = [self, *self._tasks_before()]
        self.backend.forget([node.id for node in nodes])
        for node in nodes:
            node._final = node._meta = None

    def revoke(
        self,
        connection: object = None,
        terminate: bool = False,
        signal: str | None = None,
        wait: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Take the task back; it is done when this returns, whether a worker is up or not.

        Args:
            connection: Accepted and without meaning here, as wait and timeout.
            terminate: End the process that runs it, if it runs.
            signal: The signal for that, SIGTERM by default.
            wait: Without meaning here.
            timeout: Without meaning here.
        """
        self.app.control.revoke(self.id, terminate=terminate, signal=signal or "SIGTERM")

    def revoke_by_stamped_headers(
        self,
        headers: Mapping[str, Any],
        connection: object = None,
        terminate: bool = False,
        signal: str | None = None,
        wait: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Take back every task that has one of these stamps, as `app.control` does.

        Args:
            headers: Name of the stamped header -> a value, or a list any of which is meant.
            connection: Accepted and without meaning here, as wait and timeout.
            terminate: End the processes that run such tasks.
            signal: The signal for that, SIGTERM by default.
            wait: Without meaning here.
            timeout: Without meaning here.
        """
        self.app.control.revoke_by_stamped_headers(
            headers, terminate=terminate, signal=signal or "SIGTERM"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id}>"

    def __str__(self) -> str:
        return self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, AsyncResult):
            return other.id == self.id
        return other == self.id if isinstance(other, str) else NotImplemented

    def __copy__(self) -> AsyncResult[R]:
        return type(self)(self.id, self._backend, None, self._app, self.parent)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.id, None, None, None, self.parent)

    def _unfinished_parents(self) -> list[AsyncResult[Any]]:
        """Parents whose outcome is not known yet, the root first: it decides before the rest.

        The steps of a workflow are told by the engine when one before them fails.
        """
        nodes = [] if self._is_told else self._tasks_before()
        return [node for node in nodes if not node._is_over()]

    def _raise_for_parents(self) -> None:
        for node in self._tasks_before():
            if node._is_over():
                node.maybe_throw()

    def _tasks_before(self) -> list[AsyncResult[Any]]:
        """Return the parents back to the first group, the oldest first.

        What a group's members raise is told by the chord's body: as the cause of its ChordError.
        """
        tasks = itertools.takewhile(lambda node: isinstance(node, AsyncResult), self.parents())
        return list(tasks)[::-1]

    def _wait(self, parents: Sequence[AsyncResult[Any]], timeout: float | None) -> None:
        """Wait until this result is final, or a parent has failed."""
        deadline = None if timeout is None else time.monotonic() + timeout
        awaited: dict[str, AsyncResult[Any]] = {node.id: node for node in (*parents, self)}
        while not self._is_over():
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            found = self.backend.wait_raw(tuple(awaited), left)
            if found is None:
                raise _timed_out(self.id, timeout)
            node = awaited.pop(found[0])
            node._learn(found[1])
            if node is not self:
                node.maybe_throw()

    def _wait_watching(
        self,
        parents: Sequence[AsyncResult[Any]],
        timeout: float | None,
        interval: float,
        on_message: Callable[[dict[str, Any]], object] | None,
        on_interval: Callable[[], object] | None,
    ) -> None:
        """As `_wait`, looking up every interval to tell of states that are not final."""
        deadline = None if timeout is None else time.monotonic() + timeout
        seen: bytes | None = None
        while not self._is_over():
            left = interval if deadline is None else min(interval, deadline - time.monotonic())
            try:
                self._wait(parents, max(0.0, left))
            except errors.TimeoutError:
                if deadline is not None and time.monotonic() >= deadline:
                    raise _timed_out(self.id, timeout) from None
                if on_interval is not None:
                    on_interval()
            raw = self._look()
            if on_message is not None and raw is not None and raw != seen:
                seen = raw
                on_message(msgspec.structs.asdict(self._known()))

    async def _await(self, parents: Sequence[AsyncResult[Any]], timeout_s: float | None) -> None:
        """As `_wait`, in the event loop."""
        import asyncio  # noqa: PLC0415 - 5 MB that a worker of plain tasks has no use for

        backend = self.backend
        awaited = {
            asyncio.ensure_future(backend.await_raw(node.id, timeout_s)): node
            for node in (*parents, self)
        }
        try:
            while not self._is_over():
                done, _ = await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
                for future in done:
                    node = awaited.pop(future)
                    node._learn(future.result())
                    if node is self and not self._is_over():
                        raise _timed_out(self.id, timeout_s)
                    if node is not self and node._is_over():
                        node.maybe_throw()
        finally:
            for future in awaited:
                future.cancel()


def as_exception(meta: ResultMeta) -> BaseException:
    """Return the exception of a failed task, with the worker's traceback as a note."""
    exc = meta.result
    if not isinstance(exc, BaseException):  # e.g. update_state(state="FAILURE", meta={...})
        return errors.TaskError(f"Task {meta.task_id} ended as {meta.status}: {exc!r}")
    if meta.traceback and exc.__traceback__ is None and not hasattr(exc, "__notes__"):
        exc.add_note(f"Traceback of task {meta.task_id} in the worker:\n{meta.traceback}")
    return exc


def result_from_tuple(
    value: Any, app: Windlass | None = None, backend: ResultBackend | None = None
) -> Any:  # an AsyncResult, or a GroupResult
    """Return a handle for what `as_tuple` gave, or for an id.

    Args:
        value: An id, a handle, or `((id, parent), None)` as tuples or lists; with a list of
            members in the place of None it is a GroupResult.
        app: The app; default: the current one.
        backend: Where results are kept; default: the app's.
    """
    # A group's result is made of handles: it imports this module.
    from windlass.results.group_result import GroupResult  # noqa: PLC0415

    if isinstance(value, AsyncResult | GroupResult):
        return value
    if isinstance(value, str):
        return AsyncResult(value, backend, app=app)
    head, members = value
    task_id, parent = head if isinstance(head, list | tuple) else (head, None)
    handle = parent and result_from_tuple(parent, app, backend)
    if members is not None:
        children = [result_from_tuple(member, app, backend) for member in members]
        return GroupResult(task_id, children, parent=handle, app=app)
    return AsyncResult(task_id, backend, app=app, parent=handle)


def _timed_out(task_id: str, timeout_s: float | None) -> errors.TimeoutError:
    return errors.TimeoutError(
        f"Task {task_id} did not end within {timeout_s} s. It goes on; see where it is with "
        "result.stage, or wait longer with get(timeout=...)."
    )
