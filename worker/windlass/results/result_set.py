"""ResultSet: many results read and waited for together, in few round trips.

Members are read a hundred at a time, so a set of ready results costs a round trip a hundred, and
waiting for one member brings whatever else has ended meanwhile.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from windlass import errors
from windlass.results import guard
from windlass.results.handle import AsyncResult
from windlass.results.reading import OnError, OnReady
from windlass.results.tree import ResultBase
from windlass.shared import current_app

if TYPE_CHECKING:
    from windlass.app import Windlass

R = TypeVar("R")
_BATCH = 100


class ResultSet(ResultBase, Generic[R]):
    """A collection of results.

    Args:
        results: The members.
        app: The app; default: that of the first member, else the current one.
    """

    def __init__(
        self, results: Iterable[AsyncResult[R]] = (), app: Windlass | None = None, **_ignored: Any
    ) -> None:
        self.results: list[AsyncResult[R]] = list(results)
        self._app = app
        self._callbacks: list[tuple[OnReady, OnError | None]] = []

    @property
    def app(self) -> Windlass:
        """The app that the results belong to."""
        if self._app is None:
            self._app = self.results[0].app if self.results else current_app()
        return self._app

    # The collection

    def add(self, result: AsyncResult[R]) -> None:
        """Add a member, unless it is one."""
        if result not in self.results:
            self.results.append(result)

    def update(self, results: Iterable[AsyncResult[R]]) -> None:
        """Add members, except those that are."""
        for result in results:
            self.add(result)

    def remove(self, result: AsyncResult[R] | str) -> None:
        """Remove a member, given as a handle or an id.

        Raises:
            KeyError: It is no member.
        """
        try:
            self.results.remove(result)  # type: ignore[arg-type]  # a handle equals its id
        except ValueError:
            raise KeyError(str(result)) from None

    def discard(self, result: AsyncResult[R] | str) -> None:
        """Remove a member if it is one."""
        if result in self.results:
            self.remove(result)

    def clear(self) -> None:
        """Remove all members."""
        self.results.clear()

    def __iter__(self) -> Iterator[AsyncResult[R]]:
        return iter(self.results)

    def __getitem__(self, index: int) -> AsyncResult[R]:
        return self.results[index]

    def __len__(self) -> int:
        return len(self.results)

    def __eq__(self, other: object) -> bool:
        return other.results == self.results if isinstance(other, ResultSet) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # its members may change

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: [{', '.join(r.id for r in self.results)}]>"

    # What is known of it

    def _leaves(self, start: int = 0) -> Iterator[AsyncResult[Any]]:
        """Yield the members from the one at `start`, those of sets among them in their place."""
        members: list[Any] = self.results  # sets too: of groups that are members
        for result in members[start:] if start else members:
            if isinstance(result, ResultSet):
                yield from result._leaves()
            else:
                yield result

    def _is_over(self) -> bool:
        """Whether all final outcomes are known already, without asking."""
        return all(leaf._is_over() for leaf in self._leaves())

    def ready(self) -> bool:
        """Whether all have ended, well or not."""
        self._look()
        is_ready = all(result.ready() for result in self.results)
        if is_ready:
            self._call_back()
        return is_ready

    def waiting(self) -> bool:
        """Whether any has not ended yet."""
        return not self.ready()

    def successful(self) -> bool:
        """Whether all ended well."""
        self._look()
        return all(result.successful() for result in self.results)

    def failed(self) -> bool:
        """Whether any has failed."""
        self._look()
        return any(result.failed() for result in self.results)

    def completed_count(self) -> int:
        """How many ended well: failures do not count, as in Celery."""
        self._look()
        return sum(result.successful() for result in self.results)

    def maybe_throw(
        self, callback: Callable[[str, Any], object] | None = None, propagate: bool = True
    ) -> None:
        """Raise the exception of the first member that failed, in order."""
        self._look()
        for result in self.results:
            result.maybe_throw(callback=callback, propagate=propagate)

    maybe_reraise = maybe_throw

    # Waiting

    def join(  # noqa: PLR0913 - Celery's signature
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        callback: Callable[[str, R], object] | None = None,
        no_ack: bool = True,
        on_message: Callable[[dict[str, Any]], object] | None = None,
        disable_sync_subtasks: bool = True,
        on_interval: Callable[[], object] | None = None,
    ) -> list[R]:
        """Wait for all members and return their values in order.

        Args:
            timeout: Seconds for all of them together; None waits for ever.
            propagate: Raise the exception of the first member that failed, in order; False puts
                exception instances among the values.
            interval: As in `AsyncResult.get`, as no_ack, on_message and on_interval.
            callback: Called with id and value of each, in order; the list is then empty.
            no_ack: Accepted and without meaning here.
            on_message: As in `AsyncResult.get`.
            disable_sync_subtasks: Refuse to wait inside a task.
            on_interval: As in `AsyncResult.get`.

        Raises:
            TimeoutError: Not all ended in time.
            RuntimeError: Called inside a task (see `allow_join_result`).
            Exception: What the first failed member raised.
        """
        if disable_sync_subtasks:
            guard.assert_will_not_block()
        deadline = None if timeout is None else time.monotonic() + timeout
        values = []
        for index, result in enumerate(self.results):
            if not result._is_over():
                self._look(index)
            value = result.get(
                timeout=None if deadline is None else max(0.0, deadline - time.monotonic()),
                propagate=propagate,
                interval=interval,
                on_message=on_message,
                on_interval=on_interval,
                disable_sync_subtasks=False,
            )
            if callback is None:
                values.append(value)
            else:
                callback(result.id, value)
        self._call_back()
        return values

    get = join
    join_native = join

    def iter_native(
        self, timeout: float | None = None, disable_sync_subtasks: bool = True, **_ignored: Any
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (id, outcome) of each member as it ends, failures included.

        Args:
            timeout: Seconds for all of them together.
            disable_sync_subtasks: Refuse to wait inside a task.

        Yields:
            The id and a dict with task_id, status, result, traceback and the rest.

        Raises:
            TimeoutError: Not all ended in time.
        """
        if disable_sync_subtasks:
            guard.assert_will_not_block()
        deadline = None if timeout is None else time.monotonic() + timeout
        pending = {leaf.id: leaf for leaf in self._leaves() if not leaf.ignored}
        while pending:
            self._look()
            ended = [task_id for task_id, result in pending.items() if result._is_over()]
            if not ended:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                ended = [self._wait_for_any(pending, left, timeout)]
            for task_id in ended:
                yield task_id, msgspec.structs.asdict(pending.pop(task_id)._known())

    def iterate(self, timeout: float | None = None, propagate: bool = True) -> Iterator[R]:
        """Yield values as members end.

        Args:
            timeout: Seconds for all of them together.
            propagate: Raise the first exception that arrives; False yields exceptions.
        """
        by_id = {leaf.id: leaf for leaf in self._leaves()}
        for task_id, _ in self.iter_native(timeout):
            yield by_id[task_id].maybe_throw(propagate=propagate)

    async def aget(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 - the twin of get(timeout=)
        propagate: bool = True,
        disable_sync_subtasks: bool = True,
    ) -> list[R]:
        """Async twin of `get`; `await results` is the same."""
        import asyncio  # noqa: PLC0415 - 5 MB that a worker of plain tasks has no use for

        if disable_sync_subtasks:
            guard.assert_may_await()
        waits = [
            asyncio.ensure_future(result.aget(timeout, propagate, disable_sync_subtasks=False))
            for result in self.results
        ]
        try:
            values = [await wait for wait in waits]
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        self._call_back()
        return values

    def __await__(self) -> Generator[Any, None, list[R]]:
        return self.aget().__await__()

    def then(
        self, callback: OnReady, on_error: OnError | None = None, weak: bool = False
    ) -> ResultSet[R]:
        """Call back with this set once all members are known to have ended (see AsyncResult.then).

        Args:
            callback: Called once, with this set.
            on_error: Called with what the callback raised; without it, it is raised.
            weak: Accepted and without meaning here.

        Returns:
            This set.
        """
        self._callbacks.append((callback, on_error))
        self.ready()
        return self

    # Ending it

    def forget(self) -> None:
        """Remove the stored outcomes of all members."""
        for result in self.results:
            result.forget()

    def revoke(
        self,
        connection: object = None,
        terminate: bool = False,
        signal: str | None = None,
        wait: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Take all members back in one round trip; arguments as in AsyncResult.revoke."""
        ids = [leaf.id for leaf in self._leaves()]
        self.app.control.revoke(ids, terminate=terminate, signal=signal or "SIGTERM")

    def _look(self, start: int = 0) -> None:
        """Read what is not known yet, from the member at `start`: one batch, or all of them."""
        leaves = (leaf for leaf in self._leaves(start) if not leaf._is_over())
        unknown = list(itertools.islice(leaves, _BATCH) if start else leaves)
        for at in range(0, len(unknown), _BATCH):
            batch = unknown[at : at + _BATCH]
            stored = batch[0].backend.get_many_raw([result.id for result in batch])
            for result, raw in zip(batch, stored, strict=True):
                result._learn(raw)

    def _wait_for_any(
        self,
        pending: dict[str, AsyncResult[Any]],
        left: float | None,
        timeout: float | None,
    ) -> str:
        backend = next(iter(pending.values())).backend
        found = backend.wait_raw(tuple(pending), left)
        if found is None:
            raise _not_all(len(pending), len(self.results), timeout)
        pending[found[0]]._learn(found[1])
        return found[0]

    def _call_back(self) -> None:
        while self._callbacks:
            callback, on_error = self._callbacks.pop(0)
            try:
                callback(self)
            except Exception as error:
                if on_error is None:
                    raise
                on_error(error)


def _not_all(missing: int, total: int, timeout_s: float | None) -> errors.TimeoutError:
    return errors.TimeoutError(
        f"{missing} of {total} tasks did not end within {timeout_s} s. They go on; see where they "
        "are with the stage of each, or wait longer."
    )
