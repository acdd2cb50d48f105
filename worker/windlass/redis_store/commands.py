"""From the engine's plain data to packed script calls, and from replies back. No I/O.

Next in the walk: `windlass.redis_store.lua`, one file for each script called here.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import TypeGuard

import msgspec

from windlass.attempts import ALONE, REPLAYED, SHARED
from windlass.brokers.base import (
    Again,
    Bury,
    Crashed,
    Delivery,
    Done,
    Fetched,
    FetchRequest,
    HandBack,
    Park,
    Settlement,
    StepDone,
)
from windlass.continuations import Part
from windlass.errors import BrokerFullError
from windlass.messages import RUN_MARK, Outgoing
from windlass.redis_store import continuing, limiting
from windlass.redis_store.connection import server_error
from windlass.redis_store.keys import Keys, QueueKeys
from windlass.redis_store.packing import (
    chunks,
    due_spec,
    expires_spec,
    ids_in,
    payload_bytes,
    read_marks,
    result_args,
    text_bytes,
)
from windlass.redis_store.resp import Argument, pack
from windlass.redis_store.scripts import outcome_script, script
from windlass.redis_store.wire import Reply

#: Queues and priorities whose part of a call is kept packed.
MAX_HEADS = 10_000
#: A fetch stops after so many bytes of messages.
MAX_FETCH_BYTES = 8 * 1024 * 1024


class EnqueueCall(msgspec.Struct, frozen=True):
    """One packed call and which messages of the input it carries."""

    command: bytes
    indexes: Sequence[int]


def checked(calls: Sequence[EnqueueCall], replies: list[Reply]) -> list[Reply]:
    """Return the replies of an enqueue, or raise the first refusal among them.

    Raises:
        BrokerFullError: Says how many messages were stored before memory ran out.
    """
    refused = [i for i, reply in enumerate(replies) if isinstance(reply, Exception)]
    if not refused:
        return replies
    error = server_error(replies[refused[0]])
    if not isinstance(error, BrokerFullError):
        raise error
    sent = sum(len(call.indexes) for call in calls)
    raise BrokerFullError(sent - sum(len(calls[i].indexes) for i in refused), sent)


def fresh(calls: Sequence[EnqueueCall], replies: Sequence[Reply], count: int) -> list[bool]:
    """Return for each message of an enqueue whether it is new."""
    answers = [True] * count
    for call, known in zip(calls, replies, strict=True):
        for index in known:
            answers[call.indexes[index]] = False
    return answers


class SettleCall(msgspec.Struct, frozen=True):
    """One packed call and how to read from its reply which ids were stale."""

    command: bytes
    stale: Callable[[Reply], list[str]]
    #: How to read which continuations are not sent to the end, None where there is none.
    unfinished: Callable[[Reply], list[str]] | None = None
    #: The reply says in which other queues messages wait for a slot that is free now.
    frees: bool = False


def _none(_reply: Reply) -> list[str]:
    return []


def _first(reply: Reply) -> list[str]:
    return ids_in(reply[0])


def _second(reply: Reply) -> list[str]:
    return ids_in(reply[1])


def _is_plain_step(item: Done) -> TypeGuard[StepDone]:
    is_step = type(item) is StepDone and item.part is not None
    return is_step and not (item.followups or item.declares or item.grows)  # type: ignore[attr-defined]  # is_step


class Commands:
    """Builds calls for one keyspace.

    Args:
        keys: The keyspace's key table.
        max_deliveries: The cap where a queue record names none.
    """

    def __init__(self, keys: Keys, max_deliveries: int = 3) -> None:
        self.keys = keys
        self.max_deliveries = max_deliveries
        #: Time given to scripts; empty for the server's clock. Tests set milliseconds.
        self.now = ""
        self._heads: dict[tuple[str, int], tuple[Argument, ...]] = {}

    # -- enqueue ---------------------------------------------------------------------------------

    def _enqueue_head(self, queue: str, priority: int) -> tuple[Argument, ...]:
        """Return the part of an enqueue call that is the same for a queue and priority."""
        head = self._heads.get((queue, priority))
        if head is None:
            if len(self._heads) >= MAX_HEADS:
                self._heads.clear()
            keys, q = self.keys, self.keys.queue(queue)
            touched = (
                keys.messages, keys.queues, q.ready[priority], q.scheduled, q.stats, q.wake, q.idle,
            )  # fmt: skip
            head = (b"EVALSHA", script("enqueue").sha, len(touched), *touched)
            self._heads[queue, priority] = head
        return head

    def enqueue_one(self, message: Outgoing, *, once: bool = False) -> bytes:
        """Pack the call for a single message: the hot path of `delay`.

        Args:
            message: The message.
            once: Leave it as it is also when it has ended and its outcome is kept.
        """
        if once:
            return self.enqueue((message,), once=True)[0].command
        return pack((
            *self._enqueue_head(message.queue, message.priority),
            self.now, message.queue, message.priority, 1,
            message.id, due_spec(message, self.now), expires_spec(message), message.tail,
        ))  # fmt: skip

    def enqueue(self, messages: Sequence[Outgoing], once: bool = False) -> list[EnqueueCall]:
        """Pack calls for many messages: one for each queue, priority and chunk.

        Args:
            messages: The messages.
            once: As for `enqueue_one`, for all of them, whatever they say.
        """
        groups: defaultdict[tuple[str, int, bool], list[int]] = defaultdict(list)
        for index, message in enumerate(messages):
            groups[message.queue, message.priority, once or message.once].append(index)
        calls = []
        for (queue, priority, is_checked), indexes in groups.items():
            head = self._enqueue_head(queue, priority)
            for chunk in chunks(indexes, [len(messages[index].tail) for index in indexes]):
                parts: list[Argument] = [*head]
                if is_checked:
                    parts[2] = len(head) - 3 + len(chunk)
                    parts += [self.keys.result(messages[index].id) for index in chunk]
                parts += (self.now, queue, priority, len(chunk))
                for index in chunk:
                    message = messages[index]
                    due = due_spec(message, self.now)
                    parts += (message.id, due, expires_spec(message), message.tail)
                calls.append(EnqueueCall(pack(tuple(parts)), chunk))
        return calls

    # -- settle ----------------------------------------------------------------------------------

    def settle(self, settlements: Iterable[Settlement]) -> list[SettleCall]:
        """Pack calls for what is finished; plain ends and hand-backs travel in batches."""
        done: defaultdict[str, list[Done]] = defaultdict(list)
        steps: defaultdict[str, list[StepDone]] = defaultdict(list)
        back: defaultdict[str, list[HandBack]] = defaultdict(list)
        settlements = tuple(settlements)
        calls = [self._run_end(item) for item in settlements if item.id[14:15] == RUN_MARK]
        for settlement in settlements:
            if isinstance(settlement, Done):
                if type(settlement) is Done and not settlement.followups:
                    done[settlement.queue].append(settlement)
                elif _is_plain_step(settlement):
                    steps[settlement.queue].append(settlement)
                else:
                    command = continuing.done_whole(self.keys, self.now, settlement)
                    calls.append(SettleCall(command, _first, _second))
            elif isinstance(settlement, HandBack):
                back[settlement.queue].append(settlement)
            else:
                calls += self._single(settlement)
        for queue, ended in done.items():
            parts = chunks(ended, map(payload_bytes, ended))
            calls += [self._done(queue, part) for part in parts]
        calls += [call for queue, ends in steps.items() for call in self._steps(queue, ends)]
        for queue, returned in back.items():
            parts_back = chunks(returned, [0] * len(returned))
            calls += [self._hand_back(queue, part) for part in parts_back]
        for queue, ended_here in limiting.holders(settlements).items():
            for some in chunks(ended_here, [0] * len(ended_here)):
                command = limiting.free(self.keys, queue, some)
                calls.append(SettleCall(command, _none, frees=True))
        return calls

    def _steps(self, queue: str, ended: list[StepDone]) -> Iterable[SettleCall]:
        for part in chunks(ended, map(continuing.part_bytes, ended)):
            command = continuing.done_with_parts(self.keys, self.now, queue, part)
            yield SettleCall(command, _first, _second)

    def _finished(self, part: Part | None) -> list[SettleCall]:
        """Pack the sending of what a part that was given before may have left to be sent."""
        if part is None:
            return []
        then = part.then
        command = continuing.deliver(self.keys, self.now, then.id, then.queues)
        return [SettleCall(command, lambda _: [], lambda reply: [then.id] if reply else [])]

    def _single(self, settlement: Again | Crashed | Bury | Park) -> list[SettleCall]:
        match settlement:
            case Again():
                return [self._again(settlement)]
            case Crashed():
                return [self._crashed(settlement), *self._finished(settlement.part)]
            case Bury():
                return [self.bury(settlement), *self._finished(settlement.part)]
            case Park():
                return [self._park(settlement)]

    def _run_end(self, item: Settlement) -> SettleCall:
        """Pack the call that notes how a run of a schedule ends; before the one that ends it.

        What does not end it notes nothing: an empty state.
        """
        state, took_ms = (item.state, item.duration_ms) if isinstance(item, Done) else ("", 0.0)
        touched = (self.keys.runs, self.keys.queue(item.queue).leased)
        args = (self.now, item.id, item.token, state, round(took_ms))
        command = script("note_run_end").command(touched, args)
        return SettleCall(command, lambda _reply: [])

    def _done(self, queue: str, ended: Sequence[Done]) -> SettleCall:
        keys, q = self.keys, self.keys.queue(queue)
        touched = [
            keys.messages, keys.attempts, q.leased, q.leases, q.grants, q.left, q.stats,
            keys.waiting,
        ]  # fmt: skip
        messages: list[Argument] = []
        outcomes: list[Argument] = []
        service_ms = 0.0
        for item in ended:
            result = item.result
            service_ms += item.duration_ms
            if result is None:
                messages += (item.id, item.token, 0)
            else:
                messages += (item.id, item.token, 1)
                outcomes += (result.ttl_ms, result.payload)
                touched.append(keys.result(item.id))
        args = [keys.done_prefix, int(service_ms * 1000), len(ended), *messages, *outcomes]
        return SettleCall(outcome_script("commit", keys).command(touched, args), ids_in)

    def _again(self, item: Again) -> SettleCall:
        keys, q, message = self.keys, self.keys.queue(item.queue), item.message
        to = keys.queue(message.queue)
        touched = (
            keys.messages, q.leased, q.leases, q.grants, q.left, keys.result(item.id),
            to.ready[message.priority], to.scheduled, to.wake, to.idle, keys.queues, keys.attempts,
        )  # fmt: skip
        args = (
            self.now, item.id, item.token, message.queue, message.priority,
            due_spec(message, self.now),
            expires_spec(message), message.tail, *result_args(item.result), item.attempt,
            int(item.is_deferred),
        )  # fmt: skip
        return SettleCall(outcome_script("commit_retry", keys).command(touched, args), ids_in)

    def _hand_back(self, queue: str, items: Sequence[HandBack]) -> SettleCall:
        keys, q = self.keys, self.keys.queue(queue)
        touched = (
            keys.messages, keys.attempts, q.leased, q.leases, q.grants, q.left, q.wake, q.idle,
            *q.by_urgency,
        )  # fmt: skip
        args: list[Argument] = [len(items)]
        for item in items:
            args += (item.id, item.token, int(item.counted))
        return SettleCall(script("release").command(touched, args), ids_in)

    def _crashed(self, item: Crashed) -> SettleCall:
        keys, q = self.keys, self.keys.queue(item.queue)
        part_keys, part_args = continuing.given(keys, item.part)
        touched = (
            keys.messages, keys.attempts, q.leased, q.leases, q.grants, q.left, q.wake, q.idle,
            q.record, q.dead, q.obits, keys.waiting, keys.result(item.id), *q.by_urgency,
            *part_keys,
        )  # fmt: skip
        args = (
            self.now, item.id, item.token, self.max_deliveries, text_bytes(item.reason),
            text_bytes(item.worker),
            *result_args(item.result), keys.done_prefix, *part_args, item.attempt,
            int(item.is_shared),
        )  # fmt: skip
        return SettleCall(
            outcome_script("crash", keys).command(touched, args),
            lambda reply: [item.id] if reply == b"STALE" else [],
        )

    def bury(self, item: Bury, *, crashed: bool = False) -> SettleCall:
        """Pack the call that makes a dead letter; `crashed` counts the delivery first."""
        keys, q = self.keys, self.keys.queue(item.queue)
        part_keys, part_args = continuing.given(keys, item.part)
        touched = (
            keys.attempts, q.leased, q.leases, q.grants, q.left, q.dead, q.obits, keys.waiting,
            keys.result(item.id), keys.messages, *part_keys,
        )  # fmt: skip
        args = (
            self.now, item.id, item.token, text_bytes(item.reason), text_bytes(item.detail),
            text_bytes(item.worker),
            *result_args(item.result), keys.done_prefix, int(crashed), *part_args, item.attempt,
        )  # fmt: skip
        return SettleCall(outcome_script("bury", keys).command(touched, args), ids_in)

    def _park(self, item: Park) -> SettleCall:
        q = self.keys.queue(item.queue)
        touched = (q.leased, q.leases, q.grants, q.left, q.parked, q.stats)
        args = (self.now, item.id, item.token, item.task)
        return SettleCall(script("park").command(touched, args), ids_in)

    # -- fetch -----------------------------------------------------------------------------------

    def _fetch_keys(self, q: QueueKeys) -> tuple[bytes, ...]:
        return (
            *q.by_urgency, q.leased, q.leases, q.grants, q.left, q.scheduled, q.record, q.stats,
            q.wake, q.idle, q.parked, q.condemned, q.blocked, q.line, q.retry, q.turns,
        )  # fmt: skip

    def fetch(self, request: FetchRequest) -> bytes:
        """Pack a fetch."""
        keys = self.keys
        touched = [keys.messages, keys.attempts, keys.revoked, keys.tokens, keys.cordon]
        touched += (keys.stamps, keys.stamps_generation, keys.limits, keys.holds, keys.gates)
        for name in request.queues:
            touched += self._fetch_keys(keys.queue(name))
        args = (
            self.now, request.worker_id, request.want, request.lease_ms, request.wait_ms,
            int(request.strict), MAX_FETCH_BYTES, request.stamps_seen,
            request.want if request.idle is None else request.idle,
        )  # fmt: skip
        return script("fetch").command(touched, args)

    @staticmethod
    def fetched(request: FetchRequest, reply: Reply) -> Fetched:
        """Read a fetch's reply."""
        now, next_due, cordoned, paused, expired, parked, grants, stamps, keeps = reply
        queues = request.queues
        deliveries: list[Delivery] = []
        for q, token, ids, raws, marks in grants:
            queue, first = queues[q], len(deliveries)
            deliveries += [
                Delivery(id=id_.decode(), queue=queue, token=token, raw=raw)
                for id_, raw in zip(ids, raws, strict=True)
            ]
            for index, tried, handbacks, revoked, generation, flags in marks:
                delivery = deliveries[first + index]
                delivery.deliveries, delivery.handbacks = tried, handbacks
                delivery.revoked, delivery.generation = bool(revoked), generation
                delivery.is_suspect = bool(tried > 1 or flags & (SHARED | ALONE))
                delivery.forgets_retries = bool(flags & REPLAYED)
        return Fetched(
            now_ms=now,
            deliveries=deliveries,
            next_due_ms=math.ceil(float(next_due)),
            cordoned=bool(cordoned),
            expired_leases=tuple(queues[q] for q in expired),
            parked={queues[q]: gen for q, gen in zip(parked[::2], parked[1::2], strict=True)},
            paused=tuple(queues[q] for q in paused),
            stamps=read_marks(*stamps) if stamps else None,
            keeps={
                queues[q]: frozenset(ends.decode().split())
                for q, ends in zip(keeps[::2], keeps[1::2], strict=True)
            },
        )
