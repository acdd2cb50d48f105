"""Sends a canvas: its continuations are stored, then its first messages are sent.

A group is sent as its members are read, a thousand messages in a round trip, so that a generator
never has all of its messages in memory.
Next in the walk: `windlass.brokers.base`, then in the worker `windlass.runtime.executor`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from windlass import context, signals
from windlass.brokers import capabilities
from windlass.brokers.base import Capability
from windlass.canvas import handles, outline
from windlass.canvas.compile import Compiler, Entry, first_step
from windlass.canvas.unfold import Given, Items, group_id, is_empty, unfold, unfold_members
from windlass.continuations import Continuation
from windlass.errors import BrokerError
from windlass.messages import Outgoing
from windlass.publishing import announce_sent, retry_of
from windlass.results.group_result import GroupResult

if TYPE_CHECKING:
    from windlass.app import Windlass
    from windlass.context import Context
    from windlass.signatures import Signature

#: Messages of a group that are sent in one round trip.
_BATCH = 1000
#: A parent's children are stored with their own parents as far as this.
_KEPT_PARENTS = 100


class Batch(NamedTuple):
    """What is sent in one round trip."""

    messages: list[Outgoing]
    continuations: list[Continuation]


class Sending:
    """One canvas on its way out. Iterating it gives the batches; then `result` is known.

    Args:
        sig: The canvas.
        args: Go before the arguments of what comes first.
        kwargs: Keyword arguments for it.
        options: As for `Composite.apply_async`.
    """

    def __init__(
        self,
        sig: Signature[Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: Mapping[str, Any],
    ) -> None:
        self.app: Windlass = sig.app
        self.retry = retry_of(self.app, {**sig.options, **options})
        self.result: Any = None
        self._sig = sig
        own = {key: value for key, value in options.items() if key != "add_to_parent"}
        self._given = Given(args, kwargs, own)
        self._is_child = options.get("add_to_parent") is not False
        self._request: Context | None = context.sending_request()
        request = self._request
        self._items: Items = []
        self._compiler = Compiler(self.app, None if request is None else request.stamps)

    def __iter__(self) -> Iterator[Batch]:
        try:
            yield from self._batches()
        except RecursionError:
            raise contains_itself(self._sig) from None

    def _batches(self) -> Iterator[Batch]:
        if self._sig.subtask_type == "group":
            yield from self._group()
        else:
            items = self._items = unfold(self._sig, self._given)
            if items:
                self.result = handles.result_of(items, self.app)
                if not is_empty(items[0]):
                    yield self._batch(self._first_messages(items))
        if self._is_child and self._request is not None and self.result is not None:
            self._request.children.append(_as_child(self.result, self.app))

    def _group(self) -> Iterator[Batch]:
        sig: Any = self._sig
        its_id = group_id(sig, self._given)
        results, messages = [], []
        for member in unfold_members(sig, self._given, its_id, drains=True):
            results.append(handles.result_of(member, self.app))
            messages += self._first_messages(member)
            if len(messages) >= _BATCH:
                yield self._batch(messages)
                messages = []
        self.result = GroupResult(its_id, results, app=self.app)
        if messages:
            yield self._batch(messages)

    def _first_messages(self, items: Items) -> list[Outgoing]:
        request = self._request
        if request is None:
            parent_id, root_id = None, first_step(items[0]).id
        else:
            parent_id, root_id = request.id, request.root_id or request.id or ""
        self._compiler.root_id = root_id
        outs, _ = self._compiler.sequence(items, Entry(parent_id=parent_id))
        return [out for out in outs if isinstance(out, Outgoing)]

    def _batch(self, messages: list[Outgoing]) -> Batch:
        continuations, self._compiler.continuations = self._compiler.continuations, []
        if continuations:
            what = f"A {self._sig.subtask_type}"
            capabilities.require(self.app.broker, [Capability.JOINS], what)
        return Batch(messages, continuations)

    def keep_outline(self) -> None:
        """Store what `windlass graph` draws; after the messages, since nothing depends on it."""
        with suppress(BrokerError):  # it was sent: a picture less is no reason to say otherwise
            outline.save(self._items, self.result, self.app)

    def announce(self) -> None:
        """Send after_task_publish for the messages of the last batch."""
        published, self._compiler.published = self._compiler.published, []
        announce_sent(published)


def send(
    sig: Signature[Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Any:  # AsyncResult or GroupResult; None for a chain of nothing
    """Send a canvas, see `Composite.apply_async`."""
    sending = Sending(sig, args, kwargs, options)
    for messages, continuations in sending:
        sending.app.broker.enqueue(messages, sending.retry, continuations)
        if signals.after_task_publish.connections:
            sending.announce()
    sending.keep_outline()
    return sending.result


async def asend(
    sig: Signature[Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Any:  # as `send`
    """Send a canvas without blocking the event loop."""
    import asyncio  # noqa: PLC0415 - 5 MB, for those who await only

    sending = Sending(sig, args, kwargs, options)
    for messages, continuations in sending:
        await sending.app.broker.aenqueue(messages, sending.retry, continuations)
        if signals.after_task_publish.connections:
            sending.announce()
    await asyncio.to_thread(sending.keep_outline)
    return sending.result


def contains_itself(sig: Signature[Any]) -> ValueError:
    """Say that a canvas has no end."""
    return ValueError(
        f"This {sig.subtask_type or 'signature'} contains itself, or is nested too deeply: it has "
        "no end that could be sent. Expected a canvas of other signatures; clone() one to use it "
        "twice."
    )


def _as_child(result: Any, app: Windlass) -> Any:
    """Return the handle as it is recorded: without parents where they are many."""
    parents = list(result.parents())
    if len(parents) <= _KEPT_PARENTS:
        return result
    if isinstance(result, GroupResult):
        return GroupResult(result.id, result.results, app=app)
    return type(result)(result.id, app=app)
