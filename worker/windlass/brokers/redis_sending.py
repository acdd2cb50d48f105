"""The sending half of the Redis broker: enqueue, try again, confirm.

The first try of a plain enqueue looks at nothing but the messages that are there. What is tried
again after a lost answer may have been stored by the try before, and have been run since: it looks
at kept outcomes too, and so does whatever was given its id by the caller.
Next in the walk: `windlass.redis_store.commands`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from windlass.brokers.publish_retry import PublishRetry
from windlass.brokers.redis_continuations import Continuations, Phase
from windlass.brokers.unique import Claimed, ReplacedResult, Swept, Tails, no_result
from windlass.continuations import Continuation
from windlass.errors import BrokerAccessError, OperationalError
from windlass.messages import Outgoing
from windlass.redis_store import locking
from windlass.redis_store.async_connection import AsyncLinks
from windlass.redis_store.commands import Commands, EnqueueCall, checked, fresh
from windlass.redis_store.connection import Links
from windlass.redis_store.keys import Keys
from windlass.redis_store.locking import Claims
from windlass.redis_store.resp import packed


class RedisSending:
    """The base of `RedisBroker`, which makes what this needs."""

    keys: Keys
    links: Links
    async_links: AsyncLinks
    commands: Commands
    continuations: Continuations
    retry: PublishRetry
    _confirm_ms = 0
    _confirm: tuple[bytes, ...] = ()

    def _confirm_within(self, confirm_ms: int) -> None:
        """Have every enqueue be on a replica within so long; 0: it need not."""
        self._confirm_ms = confirm_ms
        # The write makes WAIT count what an earlier try has stored over another connection, too.
        mark, wait = packed("SET", self.keys.confirm, "1"), packed("WAIT", 1, confirm_ms)
        self._confirm = (mark, wait) if confirm_ms else ()

    def enqueue(
        self,
        messages: Sequence[Outgoing],
        retry: PublishRetry | None = None,
        continuations: Sequence[Continuation] = (),
    ) -> list[bool]:
        """Store messages; safe to repeat, since an id that is already there is left as it is.

        Args:
            messages: Any number. One with `once` is left as it is also when it has ended and its
                outcome is kept.
            retry: Instead of the broker's own policy.
            continuations: Stored before the first message.

        Raises:
            OperationalError: The broker could not be reached, after the retries.
            BrokerAccessError: It refuses user, password or command; that is not tried again.
            BrokerFullError: It is out of memory; it says how many were stored, if any.
        """
        if len(messages) == 1 and not continuations:
            return [not self._with_retry(partial(self._enqueue_one, messages[0]), retry)[0]]
        calls, replies = [], []
        for phase in self._phases(messages, continuations):
            made, answers = self._with_retry(partial(self._try_enqueue, phase), retry)
            calls += made
            replies += answers
        return fresh(calls, replies, len(messages))

    def _enqueue_one(self, message: Outgoing, is_again: bool) -> list[Any]:
        command = self.commands.enqueue_one(message, once=is_again or message.once)
        return self._confirmed(self.links.call((command, *self._confirm)))

    def _phases(
        self, messages: Sequence[Outgoing], continuations: Sequence[Continuation]
    ) -> Iterable[Phase]:
        if continuations:
            return self.continuations.phases(messages, continuations)
        return [partial(self.commands.enqueue, messages)] if messages else []

    def _try_enqueue(self, phase: Phase, is_again: bool) -> tuple[list[EnqueueCall], list[Any]]:
        calls = phase(is_again)
        commands = [*(call.command for call in calls), *self._confirm]
        return calls, self._confirmed(checked(calls, self.links.try_call(commands)))

    def _with_retry(self, call: Callable[[bool], Any], retry: PublishRetry | None) -> Any:
        """Call with False, then, while the broker cannot be reached and tries are left, with True.

        True: an earlier try may have done it.
        """
        is_again = False
        for pause_s in (retry or self.retry).pauses():
            try:
                return call(is_again)
            except BrokerAccessError:
                raise
            except OperationalError:
                self.links.close()
                time.sleep(pause_s)
                is_again = True
        return call(is_again)

    async def aenqueue(
        self,
        messages: Sequence[Outgoing],
        retry: PublishRetry | None = None,
        continuations: Sequence[Continuation] = (),
    ) -> list[bool]:
        """As `enqueue`, without blocking the event loop."""
        calls, replies = [], []
        for phase in self._phases(messages, continuations):
            call = partial(self._atry_enqueue, phase)
            made, answers = await (retry or self.retry).acall(call)
            calls += made
            replies += answers
        return fresh(calls, replies, len(messages))

    async def _atry_enqueue(
        self, phase: Phase, is_again: bool
    ) -> tuple[list[EnqueueCall], list[Any]]:
        calls = phase(is_again)
        commands = [*(call.command for call in calls), *self._confirm]
        return calls, self._confirmed(checked(calls, await self.async_links.try_call(commands)))

    def enqueue_unique(
        self,
        messages: Sequence[Outgoing],
        retry: PublishRetry | None = None,
        *,
        result_for: ReplacedResult = no_result,
        tails: Tails = None,
    ) -> list[Claimed]:
        """Store messages with locks, each unless another one holds its lock; see `Broker`."""
        claims = Claims(self.keys, messages, result_for, tails)
        while claims.is_pending:
            claims.take(self._with_retry(partial(self._try_claims, claims), retry))
        self.continuations.finish(claims.freed)
        return claims.answers

    def _try_claims(self, claims: Claims, is_again: bool) -> list[Any]:
        commands = claims.commands(self.commands.now, is_again=is_again)
        return self._confirmed(self.links.call((*commands, *self._confirm)))

    async def aenqueue_unique(
        self,
        messages: Sequence[Outgoing],
        retry: PublishRetry | None = None,
        *,
        result_for: ReplacedResult = no_result,
        tails: Tails = None,
    ) -> list[Claimed]:
        """As `enqueue_unique`, without blocking the event loop."""
        claims = Claims(self.keys, messages, result_for, tails)
        while claims.is_pending:
            call = partial(self._atry_claims, claims)
            claims.take(await (retry or self.retry).acall(call))
        if claims.freed:
            import asyncio  # noqa: PLC0415 - it is there: this runs in its loop

            await asyncio.to_thread(self.continuations.finish, claims.freed)
        return claims.answers

    async def _atry_claims(self, claims: Claims, is_again: bool) -> list[Any]:
        commands = claims.commands(self.commands.now, is_again=is_again)
        return self._confirmed(await self.async_links.call((*commands, *self._confirm)))

    def sweep_unique(self, cursor: str = "0") -> Swept:
        """Drop locks that hold nothing any more, a bounded part of them."""
        reply = self.links.call([locking.sweep(self.keys, self.commands.now, cursor)])[0]
        return locking.swept(reply)

    def _confirmed(self, replies: list[Any]) -> list[Any]:
        """Return the replies without those of `_confirm`.

        Raises:
            OperationalError: No replica has what was stored.
        """
        if not self._confirm:
            return replies
        if replies[-1] < 1:
            raise OperationalError(
                f"The broker stored the call, and no replica had it within {self._confirm_ms} ms: "
                "broker_publish_confirm is 'replicated'. It is tried again, which stores it once. "
                "Check that a replica follows."
            )
        return replies[: -len(self._confirm)]
