"""What chain, group and chord have in common: they are sent and run as a whole.

Next in the walk: `windlass.canvas.dispatch` (sent), `windlass.canvas.inline` (run here).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from windlass.canvas import dispatch, handles, inline
from windlass.canvas.unfold import unfold
from windlass.signatures import Signature

if TYPE_CHECKING:
    from windlass.results.handle import AsyncResult

R = TypeVar("R")


class Composite(Signature[R]):
    """A signature made of signatures."""

    def __init__(self, *tasks: Any, **options: Any) -> None:
        text = f"{type(self).__name__} is made by chain(), group() or chord()."
        raise TypeError(text)

    def partial_kwargs(self) -> dict[str, Any]:
        """Return the keyword arguments that its first tasks are to get."""
        return {}

    def frozen_result(self) -> Any:  # AsyncResult[R] or GroupResult; None where nothing is inside
        """Return the handle of its result, by the ids that its tasks have."""
        return handles.result_of(unfold(self), self.app)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # the result; its kind is the canvas's
        """Send it, as in Celery: `chain(a.s(1), b.s())()`."""
        return self.apply_async(args, kwargs)

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> AsyncResult[R]:
        """Send it: its steps are stored on the broker, then its first messages are sent.

        Args:
            args: Go before the arguments of the tasks that come first.
            kwargs: Keyword arguments for them.
            **options: Of a chain for its first task, of a group for each member, of a chord for
                its header and its body; task_id is the id of the whole's result.

        Raises:
            TypeError: Something in it is not a signature, or arguments do not fit a task.
            ValueError: It contains itself.
            EncodeError: An argument cannot be serialised; the text names its place.
            ConfigurationError: The broker cannot keep the steps of a workflow.
            OperationalError: The broker cannot be reached, after the publish retries.
        """
        is_eager = self.app.conf.current.task_always_eager
        run = inline.run if is_eager else dispatch.send
        # A group's is a GroupResult, as its own methods say.
        return cast("AsyncResult[R]", run(self, args or (), kwargs or {}, options))

    async def aapply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> AsyncResult[R]:
        """As `apply_async`, without blocking the event loop."""
        is_eager = self.app.conf.current.task_always_eager
        run = inline.arun if is_eager else dispatch.asend
        return cast("AsyncResult[R]", await run(self, args or (), kwargs or {}, options))

    def apply(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:  # EagerResult[R]; of a group, GroupResult
        """Run all of it here and now, one task after another; nothing is sent.

        It ends as it would with workers: what fails is in the results, unless throw=True or
        task_eager_propagates.
        """
        return inline.run(self, args or (), kwargs or {}, options)
