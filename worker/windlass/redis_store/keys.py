"""Every key name, in one table. All keys of a keyspace share one hash tag, so one slot.

windlass:{ks}:messages     hash   id -> prefix + tail (windlass.messages)
windlass:{ks}:attempts     hash   id -> counters and attempts (lua/lib/attempts.lua) of unusual ones
windlass:{ks}:revoked      zset   id by the time the tombstone expires, ms
windlass:{ks}:signals      hash   revoked id -> signal that ends its run
windlass:{ks}:stamps       zset   revoked stamp by the time its mark expires, ms
windlass:{ks}:stamps:generation string when the marks were changed last
windlass:{ks}:unique       hash   key of a lock -> who holds it and until when, see lua/lib/lock.lua
windlass:{ks}:waiting      zset   id somebody waits for, by the time they give up, ms
windlass:{ks}:tokens       string last fencing token
windlass:{ks}:queues       set    queue names
windlass:{ks}:workers      hash   worker id -> heartbeat, JSON
windlass:{ks}:workers:seen zset   worker id by the time its heartbeat expires, ms
windlass:{ks}:cordon       zset   worker id by the time its cordon ends, ms
windlass:{ks}:schedules    zset   schedule by the time of its next fire, ms; inf when there is none
windlass:{ks}:schedule:<name> hash one schedule: entry, generation, last nominal time, outcomes
windlass:{ks}:runs         hash   id of a schedule's run that has not been counted -> how it ended
windlass:{ks}:changes      string how often schedules were changed
windlass:{ks}:lead         hash   the ticker that leads, and until when
windlass:{ks}:r:<id>       string encoded outcome, with TTL
windlass:{ks}:limits       hash   task -> its limits, JSON
windlass:{ks}:limits:given hash   d<task>, s<task>: what workers declare and what was set, JSON
windlass:{ks}:holds        hash   id -> token, queue and the gates in which it has a slot
windlass:{ks}:gates        hash   n<gate> slots in use, q<gate> who waits, t<gate> tokens from, ms
windlass:{ks}:checkpoints  hash   id -> how far its runs have come, see lua/checkpoint.lua
windlass:{ks}:checked      zset   id of a checkpoint by the time somebody last looked at it, ms
windlass:{ks}:thens        zset   continuation by the time somebody last looked after it, ms
windlass:{ks}:then:<id>    hash   a continuation, see lua/lib/continuation.lua
windlass:{ks}:confirm      string written before a replica is waited for
windlass:{ks}:outbox       zset   id of an outcome to be copied elsewhere, by its generation
windlass:{ks}:outbox:generation string the last generation
windlass:{ks}:outbox:copier string the worker that copies now, for a moment
windlass:{ks}:kept:<id>    string a copy in another store: 8 bytes of generation, encoded outcome
windlass:{ks}:q:<queue>:<part>    see QUEUE_PARTS
channels: windlass:{ks}:done:<id> (outcomes), windlass:{ks}:control (hints to workers),
          windlass:{ks}:answers:<name> (answers of workers to one caller),
          windlass:{ks}:beat (names of schedules that were changed)
"""

from __future__ import annotations

from functools import lru_cache

from windlass.errors import ConfigurationError
from windlass.messages import check_queue_name

#: Part -> Redis type and meaning; ready lists are r9 (first) to r0 (last).
QUEUE_PARTS = {
    "r9..r0": "list   ids ready to be leased, by priority",
    "condemned": "set    ids in r9..r0 that were revoked: dropped when popped",
    "leased": "hash   id -> token of the grant that owns it",
    "leases": "zset   token by deadline, ms",
    "grants": "hash   token -> msgpack list of the ids granted",
    "left": "hash   token -> how many of its ids are not settled yet",
    "scheduled": "zset   priority digit + id by due time, ms",
    "record": "hash   the queue record, see windlass.control_plane.queue_record",
    "stats": "hash   enqueued, completed, service_us, parks; what limits count",
    "wake": "list   tokens that wake a blocked worker",
    "idle": "string exists while a worker waits",
    "parked": "hash   id -> when it was parked, ms, and the task name nobody here knows",
    "blocked": "hash   id -> the gate it waits at and its place in the line",
    "line": "zset   gate, place and id of what is blocked, in that order",
    "retry": "zset   gate by the time at which what waits there may be tried, ms; inf: when told",
    "turns": "zset   line of a key by its turn",
    "dead": "zset   id by the time of death, ms",
    "beat": "zset   schedule that sends here by the time of its next fire, ms",
    "obits": "hash   id -> why it died, JSON",
}
_PARTS = tuple(part for part in QUEUE_PARTS if part != "r9..r0")
PRIORITIES = range(10)


class QueueKeys:
    """The keys of one queue, encoded."""

    __slots__ = (
        "beat", "blocked", "condemned", "dead", "grants", "idle", "leased", "leases", "left",
        "line", "name", "obits", "parked", "ready", "record", "retry", "scheduled", "stats",
        "turns", "wake",
    )  # fmt: skip
    beat: bytes
    blocked: bytes
    condemned: bytes
    dead: bytes
    grants: bytes
    idle: bytes
    leased: bytes
    leases: bytes
    left: bytes
    line: bytes
    obits: bytes
    parked: bytes
    record: bytes
    retry: bytes
    scheduled: bytes
    stats: bytes
    turns: bytes
    wake: bytes

    def __init__(self, base: str, name: str) -> None:
        check_queue_name(name)
        prefix = f"{base}q:{name}:"
        self.name = name
        for part in _PARTS:
            setattr(self, part, (prefix + part).encode())
        #: Indexed by priority, 0 to 9.
        self.ready = tuple(f"{prefix}r{priority}".encode() for priority in PRIORITIES)

    @property
    def by_urgency(self) -> tuple[bytes, ...]:
        """The ready lists, priority 9 first."""
        return self.ready[::-1]


class Keys:
    """The keys of one keyspace, encoded.

    Args:
        keyspace: Its name.
        has_outbox: Outcomes are copied to another store (scripts.outcome_script).
    """

    def __init__(self, keyspace: str, *, has_outbox: bool = False) -> None:
        if not keyspace or "{" in keyspace or "}" in keyspace or len(keyspace) > 120:
            raise ConfigurationError(
                f"Keyspace {keyspace!r} is not usable. Expected 1 to 120 characters without "
                "braces. Set keyspace (WINDLASS_KEYSPACE)."
            )
        self.keyspace = keyspace
        self.has_outbox = has_outbox
        self.base = base = f"windlass:{{{keyspace}}}:"
        self.messages = f"{base}messages".encode()
        self.attempts = f"{base}attempts".encode()
        self.revoked = f"{base}revoked".encode()
        self.signals = f"{base}signals".encode()
        self.stamps = f"{base}stamps".encode()
        self.stamps_generation = f"{base}stamps:generation".encode()
        self.unique = f"{base}unique".encode()
        self.waiting = f"{base}waiting".encode()
        self.tokens = f"{base}tokens".encode()
        self.queues = f"{base}queues".encode()
        self.workers = f"{base}workers".encode()
        self.workers_seen = f"{base}workers:seen".encode()
        self.cordon = f"{base}cordon".encode()
        self.control = f"{base}control".encode()
        self.schedules = f"{base}schedules".encode()
        self.runs = f"{base}runs".encode()
        self.changes = f"{base}changes".encode()
        self.lead = f"{base}lead".encode()
        self.schedule_prefix = f"{base}schedule:".encode()
        self.beat_channel = f"{base}beat".encode()
        self.answers_prefix = f"{base}answers:".encode()
        self.done_prefix = f"{base}done:".encode()
        self.result_prefix = f"{base}r:".encode()
        self.limits = f"{base}limits".encode()
        self.limits_given = f"{base}limits:given".encode()
        self.holds = f"{base}holds".encode()
        self.gates = f"{base}gates".encode()
        self.checkpoints = f"{base}checkpoints".encode()
        self.checked = f"{base}checked".encode()
        self.thens = f"{base}thens".encode()
        self.then_prefix = f"{base}then:".encode()
        self.confirm = f"{base}confirm".encode()
        self.outbox = f"{base}outbox".encode()
        self.outbox_generation = f"{base}outbox:generation".encode()
        self.outbox_copier = f"{base}outbox:copier".encode()
        self.kept_prefix = f"{base}kept:".encode()
        self.queue = lru_cache(maxsize=4096)(self._queue)

    def _queue(self, name: str) -> QueueKeys:
        return QueueKeys(self.base, name)

    def schedule(self, name: str) -> bytes:
        """Key of a schedule."""
        return self.schedule_prefix + name.encode()

    def result(self, message_id: str) -> bytes:
        """Key of an outcome."""
        return self.result_prefix + message_id.encode()

    def kept(self, message_id: str) -> bytes:
        """Key of a copy of an outcome, in another store than the broker's."""
        return self.kept_prefix + message_id.encode()

    def then(self, continuation_id: str) -> bytes:
        """Key of a continuation."""
        return self.then_prefix + continuation_id.encode()

    def done(self, message_id: str) -> bytes:
        """Channel on which an outcome is published while somebody waits for it."""
        return self.done_prefix + message_id.encode()
