"""The result of a task that ran in the caller's own process: `apply()` and task_always_eager."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from windlass import errors, states
from windlass.results import guard
from windlass.results.base import ResultBackend, ResultMeta
from windlass.results.handle import AsyncResult

R = TypeVar("R")


class EagerResult(AsyncResult[R]):
    """A result that is known already; it never asks a backend.

    Args:
        id: The task's id.
        ret_value: The value, or the exception of a task that failed.
        state: How it ended.
        traceback: The traceback as text.
        name: The task's name.
    """

    __slots__ = ("_known_meta",)

    def __init__(
        self,
        id: str,
        ret_value: R | BaseException,
        state: str,
        traceback: str | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(id)
        self._known_meta = ResultMeta(
            task_id=id, status=state, result=ret_value, traceback=traceback, name=name
        )

    @property
    def state(self) -> str:
        """How it ended."""
        return self._known_meta.status

    status = state

    @property
    def stage(self) -> states.Stage:
        """Always DONE: it ran before this handle was made."""
        return states.Stage.DONE

    @property
    def backend(self) -> ResultBackend:
        """There is none.

        Raises:
            BackendError: Always.
        """
        raise _no_backend(self.id)

    @property
    def children(self) -> list[AsyncResult[Any]] | None:
        """None: what it sent is not recorded, as in Celery."""
        return None

    def ready(self) -> bool:
        """Always True."""
        return True

    def exists(self) -> bool:
        """Always False: nothing is stored."""
        return False

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
        """Return the value, or raise the exception. The arguments are those of AsyncResult.get."""
        if disable_sync_subtasks:
            guard.assert_will_not_block()
        return cast("R", self.maybe_throw(propagate=propagate, callback=callback))

    wait = get

    async def aget(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 - the twin of get(timeout=)
        propagate: bool = True,
        follow_parents: bool = True,
        disable_sync_subtasks: bool = True,
    ) -> R:
        """Async twin of `get`."""
        return cast("R", self.maybe_throw(propagate=propagate))

    def forget(self) -> None:
        """Do nothing: nothing is stored."""

    def revoke(
        self,
        connection: object = None,
        terminate: bool = False,
        signal: str | None = None,
        wait: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Mark the result as REVOKED, as Celery does; the task has run already."""
        self._known_meta = ResultMeta(
            task_id=self.id,
            status=states.REVOKED,
            result=errors.TaskRevokedError("revoked"),
            name=self._known_meta.name,
        )

    def __repr__(self) -> str:
        return f"<EagerResult: {self.id}>"

    def __copy__(self) -> EagerResult[R]:
        return EagerResult(*self.__reduce__()[1])

    def __reduce__(self) -> tuple[Any, ...]:
        meta = self._known_meta
        return EagerResult, (self.id, meta.result, meta.status, meta.traceback, meta.name)

    def _known(self) -> ResultMeta:
        return self._known_meta

    def _is_over(self) -> bool:
        return True

    def _look(self) -> bytes | None:
        return None

    def _has_backend(self) -> bool:
        return True


def _no_backend(task_id: str) -> errors.BackendError:
    return errors.BackendError(
        f"Task {task_id} ran eagerly, in this process: nothing of it is stored in a backend. Read "
        "the value from this handle, or set task_store_eager_result."
    )
