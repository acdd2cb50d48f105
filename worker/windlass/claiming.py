"""Sends messages that must not be beside others like them, and says what each call came to.

Next in the walk: `windlass.brokers.base` (enqueue_unique), `lua/enqueue_unique.lua`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from windlass import plans, sending
from windlass.brokers import capabilities
from windlass.brokers.base import Capability, StoredResult
from windlass.brokers.publish_retry import PublishRetry
from windlass.brokers.unique import Claimed, ReplacedResult
from windlass.errors import DuplicateTaskError
from windlass.messages import Outgoing
from windlass.results import codec

if TYPE_CHECKING:
    from windlass.app import Windlass
    from windlass.publishing import Call


class Sent:
    """Many messages, those with locks among them, on their way out.

    Args:
        app: Whose broker.
        calls: The calls, for each of the messages.
        messages: As built.
    """

    def __init__(self, app: Windlass, calls: Sequence[Call], messages: Sequence[Outgoing]) -> None:
        self._app = app
        self._calls = calls
        self._messages = messages
        self._locked = [i for i, message in enumerate(messages) if message.unique is not None]
        self.plain = [message for message in messages if message.unique is None]
        self.locked = [messages[index] for index in self._locked]
        capabilities.require(app.broker, [Capability.UNIQUE], "A unique task")

    @property
    def result_for(self) -> ReplacedResult:
        """Outcomes of messages that are replaced."""
        settings = self._app.conf.current
        if not settings.results_enabled:
            return lambda _: None
        about = codec.About(now_ms=round(time.time() * 1000), serializer=settings.result_serializer)
        ttl_ms = round((settings.result_expires or 0) * 1000)

        def replaced(task_id: str) -> StoredResult:
            payload = codec.encode_revoked(task_id, "replaced by a newer call", about)
            return StoredResult(payload=payload, ttl_ms=ttl_ms)

        return replaced

    @property
    def tails(self) -> Callable[[int, str], bytes] | None:
        """How a message is made for another id; None where the id is no part of it."""
        if plans.sealing_in(self._app.conf.current) is None:
            return None
        return self._tail

    def _tail(self, index: int, message_id: str) -> bytes:
        name, task, args, kwargs, options, checks = self._calls[self._locked[index]]
        args, kwargs = sending.prepare(task, args, kwargs, checks)
        plan = sending.plan_calls(self._app, name, task, options, args, kwargs)
        return plan.message(args, kwargs, message_id).tail

    def ids(self, answers: Sequence[Claimed]) -> list[str]:
        """Return for each call the id that it came to.

        Raises:
            DuplicateTaskError: One is not to be beside the one that is there, and its caller wants
                to know; the others were sent.
        """
        ids = [message.id for message in self._messages]
        rejected: DuplicateTaskError | None = None
        for index, answer in zip(self._locked, answers, strict=True):
            ids[index] = answer.id
            rejected = rejected or self._rejected(self._messages[index], index, answer)
        if rejected is not None:
            raise rejected
        return ids

    def were_sent(self, answers: Sequence[Claimed]) -> list[Call]:
        """Return the calls whose message was stored, or brought the one that waits up to date."""
        held = {i for i, answer in zip(self._locked, answers, strict=True) if answer.is_held}
        return [call for index, call in enumerate(self._calls) if index not in held]

    def _rejected(
        self, message: Outgoing, index: int, answer: Claimed
    ) -> DuplicateTaskError | None:
        unique = message.unique
        if unique is None or not answer.is_held or unique.on_duplicate == "return":
            return None
        return DuplicateTaskError(
            self._calls[index].name,
            answer.id,
            unique.key,
            is_running=answer.is_running,
            could_replace=unique.on_duplicate == "replace",
        )


def send(
    app: Windlass,
    calls: Sequence[Call],
    messages: Sequence[Outgoing],
    retry: PublishRetry | None,
) -> tuple[list[str], list[Call]]:
    """Send messages of which some have locks.

    Returns:
        For each call the id that it came to; and the calls that were sent.

    Raises:
        DuplicateTaskError: See `Sent.ids`.
    """
    sent = Sent(app, calls, messages)
    if sent.plain:
        app.broker.enqueue(sent.plain, retry)
    answers = app.broker.enqueue_unique(
        sent.locked, retry, result_for=sent.result_for, tails=sent.tails
    )
    return sent.ids(answers), sent.were_sent(answers)


async def asend(
    app: Windlass,
    calls: Sequence[Call],
    messages: Sequence[Outgoing],
    retry: PublishRetry | None,
) -> tuple[list[str], list[Call]]:
    """As `send`, without blocking the event loop."""
    sent = Sent(app, calls, messages)
    if sent.plain:
        await app.broker.aenqueue(sent.plain, retry)
    answers = await app.broker.aenqueue_unique(
        sent.locked, retry, result_for=sent.result_for, tails=sent.tails
    )
    return sent.ids(answers), sent.were_sent(answers)
