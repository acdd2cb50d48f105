"""Schedules on Redis: the calls of `windlass.beat.store.Schedules`, each one round trip.

Next in the walk: the scripts set_schedule, tick_schedules, fire_schedule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from windlass.beat.store import Fire, Fired, Tick
from windlass.messages import Outgoing, open_envelope
from windlass.redis_store.connection import server_error
from windlass.redis_store.resp import Argument, packed
from windlass.redis_store.scripts import script
from windlass.redis_store.waiting import ChannelLink
from windlass.redis_store.wire import Refusal, Reply

if TYPE_CHECKING:
    from windlass.brokers.redis import RedisBroker

#: Calls in one write: so many are on their way while the first are answered.
CHUNK = 250


def _fields(reply: Reply) -> dict[str, bytes]:
    """A key of another type has no fields of a schedule, and hides none of the others."""
    if isinstance(reply, Refusal) and str(reply).startswith("WRONGTYPE"):
        return {"": str(reply).encode()}
    if isinstance(reply, Exception):
        raise server_error(reply)
    pairs = zip(reply[::2], reply[1::2], strict=True)
    return {field.decode(errors="replace"): value for field, value in pairs}


class RedisSchedules:
    """Implements `windlass.beat.store.Schedules`.

    Args:
        broker: Where they are kept; its connections are used.
    """

    def __init__(self, broker: RedisBroker) -> None:
        self._broker = broker
        self._keys = broker.keys
        self._channel: ChannelLink | None = None

    @property
    def _now(self) -> str:
        return self._broker.commands.now

    def _key(self, name: str) -> bytes:
        return self._keys.schedule(name)

    def now_ms(self) -> int:
        """See `Schedules.now_ms`."""
        if self._now:
            return int(self._now)
        seconds, us = self._broker.links.call([packed("TIME")])[0]
        return int(seconds) * 1000 + int(us) // 1000

    def names(self) -> list[str]:
        """See `Schedules.names`."""
        found = self._broker.links.call([packed("ZRANGE", self._keys.schedules, 0, -1)])[0]
        return sorted(name.decode() for name in found)

    def load(self, names: Sequence[str]) -> list[dict[str, bytes]]:
        """See `Schedules.load`."""
        found: list[dict[str, bytes]] = []
        for at in range(0, len(names), CHUNK):
            calls = [packed("HGETALL", self._key(name)) for name in names[at : at + CHUNK]]
            found += map(_fields, self._broker.links.try_call(calls))
        return found

    def run_ends(self, ids: Sequence[str]) -> dict[str, str]:
        """See `Schedules.run_ends`."""
        if not ids:
            return {}
        ends, there = self._broker.links.call(
            [packed("HMGET", self._keys.runs, *ids), packed("HMGET", self._keys.messages, *ids)]
        )
        found = {
            id_: (end or b"").decode()
            for id_, end, raw in zip(ids, ends, there, strict=True)
            if raw is None
        }
        left = {id_: raw for id_, raw in zip(ids, there, strict=True) if raw is not None}
        noted = {id_: (end or b"").decode() for id_, end in zip(ids, ends, strict=True)}
        return found | self._ended_with_bytes(left, noted)

    def _ended_with_bytes(
        self, raws: Mapping[str, bytes], noted: Mapping[str, str]
    ) -> dict[str, str]:
        """Return those of messages that will not run again: dead letters, revoked ones."""
        if not raws:
            return {}
        calls = []
        for id_, raw in raws.items():
            q = self._keys.queue(open_envelope(raw).queue)
            calls += [packed("ZSCORE", q.dead, id_), packed("SISMEMBER", q.condemned, id_)]
        replies = self._broker.links.call(calls)
        found = {}
        for id_, died, condemned in zip(raws, replies[::2], replies[1::2], strict=True):
            if died is not None:
                found[id_] = noted[id_] or f"FAILURE:0:{int(float(died))}"
            elif condemned:
                found[id_] = ""
        return found

    def set(
        self,
        name: str,
        *,
        queue: str,
        old_queue: str,
        expected: int,
        fresh: bool,
        fire_at_ms: int | None,
        fields: Mapping[str, bytes],
    ) -> int:
        """See `Schedules.set`."""
        keys = self._keys
        touched = (
            self._key(name), keys.schedules, keys.queue(queue).beat, keys.queue(old_queue).beat,
            keys.changes,
        )  # fmt: skip
        args: list[Argument] = [
            name, keys.beat_channel, expected, int(fresh), "" if fire_at_ms is None else fire_at_ms
        ]  # fmt: skip
        for field, value in fields.items():
            args += (field, value)
        return int(self._broker.links.call([script("set_schedule").command(touched, args)])[0])

    def remove(self, name: str, *, queue: str, expected: int) -> bool:
        """See `Schedules.remove`."""
        keys = self._keys
        touched = (
            self._key(name), keys.schedules, keys.queue(queue).beat, keys.runs, keys.changes
        )  # fmt: skip
        args = (name, keys.beat_channel, expected)
        return bool(self._broker.links.call([script("remove_schedule").command(touched, args)])[0])

    def tick(self, holder: str, *, lead_ms: int, ahead_ms: int, limit: int) -> Tick:
        """See `Schedules.tick`."""
        touched = (self._keys.lead, self._keys.schedules, self._keys.changes)
        args = (self._now, holder, lead_ms, ahead_ms, limit, self._keys.beat_channel)
        call = script("tick_schedules").command(touched, args)
        now, until, leads, changes, head, due = self._broker.links.call([call])[0]
        names = zip(due[::2], due[1::2], strict=True)
        return Tick(
            now_ms=now,
            until_ms=until,
            leads=bool(leads),
            changes=changes,
            head_ms=head,
            due=[(name.decode(), int(float(at))) for name, at in names],
        )

    def fire(self, fires: Sequence[Fire]) -> list[Fired]:
        """See `Schedules.fire`."""
        answers: list[Fired] = []
        for at in range(0, len(fires), CHUNK):
            calls = [self._fire_call(fire) for fire in fires[at : at + CHUNK]]
            answers += [
                Fired(what.decode(), now) for what, now in self._broker.links.call(calls)
            ]  # fmt: skip
        return answers

    def _fire_call(self, fire: Fire) -> bytes:
        keys, message = self._keys, fire.message
        q = keys.queue(message.queue)
        touched = (
            self._key(fire.name), keys.schedules, q.beat, keys.runs, *self._message_keys(message)
        )  # fmt: skip
        args = (
            self._now, fire.name, fire.generation, fire.nominal_ms, fire.fire_at_ms,
            "" if fire.next_at_ms is None else fire.next_at_ms, fire.missed, int(fire.fires),
            fire.overlap, fire.max_runs or 0, message.queue, message.priority,
            *self._message_args(message), "" if fire.latest_ms is None else fire.latest_ms,
        )  # fmt: skip
        return script("fire_schedule").command(touched, args)

    def trigger(self, name: str, *, generation: int, nominal_ms: int, message: Outgoing) -> bool:
        """See `Schedules.trigger`."""
        touched = (self._key(name), self._keys.runs, *self._message_keys(message))
        args = (
            self._now, generation, nominal_ms, message.queue, message.priority,
            *self._message_args(message),
        )  # fmt: skip
        call = script("trigger_schedule").command(touched, args)
        return bool(self._broker.links.call([call])[0])

    def _message_keys(self, message: Outgoing) -> tuple[bytes, ...]:
        keys, q = self._keys, self._keys.queue(message.queue)
        return (
            keys.messages, keys.queues, q.ready[message.priority], q.scheduled, q.stats, q.wake,
            q.idle, q.dead, q.condemned,
        )  # fmt: skip

    def _message_args(self, message: Outgoing) -> tuple[Argument, ...]:
        due = "" if message.delay_ms is None else f"+{message.delay_ms}"
        expires = "" if message.ttl_ms is None else f"+{message.ttl_ms}"
        return (message.id, due, expires, message.tail)

    def wait(self, timeout_s: float) -> bool:
        """See `Schedules.wait`."""
        if self._channel is None:
            self._channel = ChannelLink(self._broker.links, self._keys.beat_channel)
            self._channel.subscribe()
            return True  # what changed before the subscription was not heard of
        return self._channel.next_payload(timeout_s) is not None

    def interrupt(self) -> None:
        """See `Schedules.interrupt`."""
        if self._channel is not None:
            self._channel.interrupt()

    def close(self) -> None:
        """See `Schedules.close`."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
