"""Reading a result: its state, value, traceback and all else that is known of a task.

A handle is an id and an app; making one costs no I/O. Once a final outcome was seen it is kept, so
every later question is answered without the backend.
Next in the walk: `windlass.results.handle`, which waits.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from windlass import errors, states
from windlass.results import codec
from windlass.results.base import ResultBackend, ResultMeta
from windlass.results.tree import ResultTree
from windlass.shared import current_app

if TYPE_CHECKING:
    from windlass.app import Windlass

#: Called with the handle once its outcome is known.
OnReady = Callable[[Any], object]
#: Called with what an OnReady raised.
OnError = Callable[[BaseException], object]


class ResultReader(ResultTree):
    """What can be asked of a result without waiting. The public class is AsyncResult."""

    __slots__ = (
        "__weakref__",
        "_app",
        "_backend",
        "_callbacks",
        "_final",
        "_is_told",
        "_meta",
        "id",
        "ignored",
        "parent",
    )

    def __init__(
        self,
        id: str,
        backend: ResultBackend | None = None,
        task_name: str | None = None,
        app: Windlass | None = None,
        parent: Any = None,  # an AsyncResult, or a GroupResult
    ) -> None:
        if not isinstance(id, str):
            raise _no_id(id)
        self.id = id
        self.parent = parent
        self.ignored = False
        #: Set for a step of a workflow: it ends when one before it fails.
        self._is_told = False
        self._app = app
        self._backend = backend
        self._final: bytes | None = None
        self._meta: ResultMeta | None = None
        self._callbacks: list[tuple[OnReady, OnError | None]] = []

    @property
    def task_id(self) -> str:
        """The task's id."""
        return self.id

    @property
    def app(self) -> Windlass:
        """The app that the result belongs to.

        Raises:
            ConfigurationError: None was given and there is no current app.
        """
        if self._app is None:
            self._app = current_app()
        return self._app

    @property
    def backend(self) -> ResultBackend:
        """Where results are kept.

        Raises:
            BackendError: Results are off.
        """
        backend = self._backend if self._backend is not None else self.app.backend
        if backend is None:
            raise _results_are_off(self.id)
        return backend

    @property
    def state(self) -> str:
        """The state, in Celery's words.

        PENDING (nothing is known: it waits, or the id is wrong, or its result has expired; `stage`
        tells which), STARTED (with track_started), RETRY, SUCCESS, FAILURE, REVOKED, or what the
        task set by update_state.
        """
        raw = self._look()
        return states.PENDING if raw is None else codec.status_of(raw)

    status = state

    @property
    def stage(self) -> states.Stage:
        """Where the message is, by the broker's own account."""
        if self._final is not None:
            return states.Stage.DONE
        found = self.app.broker.stage(self.id)
        if found is states.Stage.UNKNOWN and self._has_backend() and self.ready():
            return states.Stage.DONE
        return found

    @property
    def result(self) -> Any:  # a value, an exception or the meta of a custom state
        """The value; the exception of a task that failed; the meta of a custom state."""
        return self._known().result

    info = result

    @property
    def traceback(self) -> str | None:
        """The worker's traceback of a task that failed or is retried."""
        return self._known().traceback

    @property
    def date_done(self) -> datetime | None:
        """When the outcome was stored, UTC."""
        return self._known().date_done

    @property
    def name(self) -> str | None:
        """The task's name (with result_extended)."""
        return self._known().name

    @property
    def args(self) -> Any:  # as the caller gave them
        """The positional arguments (with result_extended)."""
        return self._known().args

    @property
    def kwargs(self) -> Any:  # as the caller gave them
        """The keyword arguments (with result_extended)."""
        return self._known().kwargs

    @property
    def worker(self) -> str | None:
        """The worker that ran it (with result_extended)."""
        return self._known().worker

    @property
    def retries(self) -> int | None:
        """Retries it took (with result_extended)."""
        return self._known().retries

    @property
    def queue(self) -> str | None:
        """The queue it came from (with result_extended)."""
        return self._known().queue

    def ready(self) -> bool:
        """Whether it has ended: SUCCESS, FAILURE or REVOKED."""
        self._look()
        return self._final is not None

    def successful(self) -> bool:
        """Whether it ended well."""
        return self.state == states.SUCCESS

    def failed(self) -> bool:
        """Whether it failed; False while it is pending."""
        return self.state == states.FAILURE

    def exists(self) -> bool:
        """Whether anything is stored for the id: tells a pending task from a forgotten result."""
        return self.backend.get_raw(self.id) is not None

    def _look(self) -> bytes | None:
        """Return the outcome as stored now; a final one is read once only."""
        if self._final is None:
            return self._learn(self.backend.get_raw(self.id))
        return self._final

    def _learn(self, raw: bytes | None) -> bytes | None:
        """Take note of an outcome that was read."""
        if raw is not None and codec.is_final(raw) and self._final is None:
            self._final = raw
            self._call_back()
        return raw

    def _is_over(self) -> bool:
        """Whether the final outcome is known already, without asking."""
        return self._final is not None

    def _known(self) -> ResultMeta:
        """Return all that is known now."""
        if self._meta is not None:
            return self._meta
        raw = self._look()
        if raw is None:
            return ResultMeta(task_id=self.id, status=states.PENDING)
        settings = self.app.conf.current
        cap_bytes = settings.result_max_size_bytes
        meta = codec.decode_meta(self.id, raw, self._accepted(), cap_bytes, settings.seals)
        if self._final is not None:
            self._meta = meta
        return meta

    def _accepted(self) -> frozenset[str]:
        settings = self.app.conf.current
        accept = settings.result_accept_content
        return frozenset(settings.accept_content if accept is None else accept)

    def _has_backend(self) -> bool:
        return self._backend is not None or self.app.backend is not None

    def _call_back(self) -> None:
        while self._callbacks:
            callback, on_error = self._callbacks.pop(0)
            try:
                callback(self)
            except Exception as error:
                if on_error is None:
                    raise
                on_error(error)


def _no_id(value: object) -> ValueError:
    return ValueError(
        f"AsyncResult needs a task's id, got {value!r}. Expected the string that delay() or "
        "apply_async() gave as result.id."
    )


def _results_are_off(task_id: str) -> errors.BackendError:
    return errors.BackendError(
        f"The result of task {task_id} cannot be read: results are off. Expected a result_backend. "
        "Set backend='redis://' on the app (results on the broker's own server)."
    )
