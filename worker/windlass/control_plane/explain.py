"""Why a task is not running, or how it ended: reasons from facts, the foremost first. Pure.

    what ended it                  an outcome, a dead letter, a revoke
    what keeps it from being sent  tasks of its workflow that have not ended
    what keeps it in its place     its time, a limit, no worker that knows the task
    what keeps its queue waiting   paused, limits, no worker, cordons, what is ahead, busy slots
    who has it                     a worker, and since when

Next in the walk: `windlass.control_plane.explain_queue`.
"""

from __future__ import annotations

from collections.abc import Iterator

from windlass.attempts import node_of
from windlass.control_plane.explain_queue import closed_reasons, limit_reasons, queue_reasons
from windlass.control_plane.spans import age, moment
from windlass.control_plane.why_facts import Facts, Outcome
from windlass.control_plane.why_reasons import Cause, Reason
from windlass.states import FAILURE, READY_STATES, REVOKED, SUCCESS, Stage

#: Ids of other tasks that are named.
MOST_NAMED = 5
#: From so many hand-backs on they are worth a word.
_OFTEN = 5


def explain(facts: Facts) -> list[Reason]:
    """Say why a task is where it is, the foremost reason first; never empty."""
    if not facts.is_readable:
        return [_unreadable(), *(_dead(facts))]
    stage = facts.stage
    if stage is Stage.LEASED:
        found = list(_leased(facts))
    elif stage is Stage.DEAD:
        found = list(_dead(facts))
    elif stage in (Stage.UNKNOWN, Stage.DONE):
        found = list(_absent(facts))
    else:
        found = list(_waiting(facts))
    return [*found, *_remarks(facts)]


def _waiting(facts: Facts) -> Iterator[Reason]:
    """What waits on the broker, in one place or another."""
    if facts.is_revoked:
        yield _revoked("It was revoked: the next worker that meets it drops it.")
    if 0 < facts.expires_ms <= facts.now_ms:
        yield _expired(facts)
    queue = facts.queue
    if facts.stage is Stage.SCHEDULED and facts.due_ms > facts.now_ms:
        yield _scheduled(facts)
    elif facts.stage is Stage.PARKED:
        yield _parked(facts)
    elif facts.stage is Stage.BLOCKED:
        yield from list(limit_reasons(facts)) or [_room_again(facts)]
    else:
        keeps = list(queue_reasons(facts))
        yield from keeps or [_about_to_start(facts)]
        return
    if queue is not None:
        yield from closed_reasons(queue)


def _scheduled(facts: Facts) -> Reason:
    again = f" That is retry {facts.retries}." if facts.retries else ""
    return Reason(
        cause=Cause.SCHEDULED,
        text=f"It is due at {moment(facts.due_ms)}, in {age(facts.due_ms - facts.now_ms)}.{again}",
        facts={"due_ms": facts.due_ms, "in_ms": facts.due_ms - facts.now_ms},
    )


def _parked(facts: Facts) -> Reason:
    queue = facts.queue
    limit_s = 0 if queue is None else queue.record.park_limit_s
    since = f" since {moment(facts.parked_ms)}" if facts.parked_ms else ""
    ends = ""
    if limit_s and facts.parked_ms:
        ends = f" At {moment(facts.parked_ms + limit_s * 1000)} it becomes a dead letter."
    return Reason(
        cause=Cause.NO_WORKER_KNOWS_IT,
        text=f"No worker that met it knows the task {facts.task!r}. It waits{since}, uncounted, "
        "for one that does: deploy the code, or check the task's name and that its module is "
        "imported." + ends,
        facts={"task": facts.task, "parked_ms": facts.parked_ms, "limit_s": limit_s},
    )


def _room_again(facts: Facts) -> Reason:
    return Reason(
        cause=Cause.LIMITED,
        text=f"A limit of {facts.task} held it; there is room again, and a worker of its queue "
        "takes it with its next fetch.",
    )


def _about_to_start(facts: Facts) -> Reason:
    queue = "" if facts.queue is None else f" of queue {facts.queue.name}"
    return Reason(
        cause=Cause.ABOUT_TO_START,
        text=f"Nothing keeps it: by the last heartbeats a worker{queue} has room, and takes it "
        "with its next fetch.",
    )


def _leased(facts: Facts) -> Iterator[Reason]:
    holder = facts.holder
    if facts.is_revoked:
        yield _revoked(
            "It was revoked while a worker has it: it is not begun, but what runs goes on unless "
            "`windlass revoke --terminate` ends it."
        )
    if holder is not None and holder.is_running:
        since = ""
        if holder.since_ms:
            ran = age(max(1, facts.now_ms - holder.since_ms))
            since = f" since {moment(holder.since_ms)}, for {ran}"
        process = f" in process {holder.pid}" if holder.pid else ""
        yield Reason(
            cause=Cause.RUNNING,
            text=f"It runs on {holder.node}{process}{since}.",
            facts={"worker": holder.node, "since_ms": holder.since_ms, "pid": holder.pid},
        )
    elif holder is not None:
        yield Reason(
            cause=Cause.HELD,
            text=f"Worker {holder.node} has it and begins it with its next free slot.",
            facts={"worker": holder.node},
        )
    elif 0 < facts.lease_ms <= facts.now_ms:
        yield _lease_expired(facts)
    else:
        yield Reason(
            cause=Cause.LEASED,
            text=f"{_owner(facts)} has it, and did not say in time whether it runs. Its lease is "
            f"good until {moment(facts.lease_ms)}; a worker that is gone does not renew it.",
            facts={"lease_ms": facts.lease_ms, "worker": facts.lease_worker},
        )


def _lease_expired(facts: Facts) -> Reason:
    ago = age(max(1, facts.now_ms - facts.lease_ms))
    alive = facts.queue is not None and bool(facts.queue.workers)
    then = "The next look of a worker of its queue hands it out again."
    if not alive:
        then = "No worker serves its queue: it is handed out again as soon as one does."
    return Reason(
        cause=Cause.LEASE_EXPIRED,
        text=f"{_owner(facts)} had it and has not renewed its lease since {moment(facts.lease_ms)} "
        f"({ago} ago): it was killed, or hangs. {then}",
        facts={"lease_ms": facts.lease_ms, "worker": facts.lease_worker},
    )


def _owner(facts: Facts) -> str:
    """Name the worker of the lease, by its node."""
    node = node_of(facts.lease_worker)
    return f"Worker {node}" if node else "A worker"


def _dead(facts: Facts) -> Iterator[Reason]:
    why = facts.obituary
    if why is None:
        if facts.is_readable:  # replayed or deleted between two reads
            yield Reason(cause=Cause.DEAD_LETTER, text="It was a dead letter a moment ago.")
        return
    queue = "" if facts.queue is None else f" -Q {facts.queue.name}"
    detail = f": {why.detail}" if why.detail else ""
    yield Reason(
        cause=Cause.DEAD_LETTER,
        text=f"It is a dead letter since {moment(why.at_ms)}, reason {why.reason}{detail}. Look at "
        f"it with `windlass dlq show {facts.id}`, run it again with `windlass dlq replay{queue} "
        f"{facts.id}`.",
        facts={
            "reason": why.reason, "detail": why.detail, "at_ms": why.at_ms, "worker": why.worker,
        },
    )  # fmt: skip


def _absent(facts: Facts) -> Iterator[Reason]:
    """What is not on the broker: to be sent, ended, acknowledged at its start, or never there."""
    outcome = facts.outcome
    if outcome is not None and outcome.state in READY_STATES:
        yield _ended(facts, outcome)
    elif facts.holder is not None:
        yield from _leased(facts)
    elif facts.waits_for is not None:
        yield _waits_for_tasks(facts)
    elif facts.is_revoked:
        yield _revoked("It was revoked and is not here: should it still arrive, it is not run.")
    elif outcome is not None:
        yield Reason(
            cause=Cause.ENDED,
            text=f"It is not on the broker; what it last said is {outcome.state}. It was "
            "acknowledged at its start (acks_late=False) and its worker is gone, or it is over and "
            "stored nothing more.",
            facts={"state": outcome.state},
        )
    else:
        yield Reason(
            cause=Cause.UNKNOWN,
            text="Nothing is known of it: it was never sent here, or its result has expired, or it "
            "stores none, or it is a later step of a workflow, or another call stood for it "
            "(unique tasks). Check the id, the broker's address and the keyspace.",
        )


def _waits_for_tasks(facts: Facts) -> Reason:
    waits = facts.waits_for
    assert waits is not None  # noqa: S101  # the caller asked
    arrived = set(waits.arrived)
    missing = [id_ for n, id_ in enumerate(waits.members) if n not in arrived]
    more = f" and {len(missing) - MOST_NAMED:,} more" if len(missing) > MOST_NAMED else ""
    count = "1 task" if len(missing) == 1 else f"{len(missing):,} of {len(waits.members):,} tasks"
    return Reason(
        cause=Cause.WAITS_FOR_TASKS,
        text=f"It is sent when {count} of its workflow {'has' if len(missing) == 1 else 'have'} "
        f"ended: {', '.join(missing[:MOST_NAMED])}{more}.",
        facts={"missing": missing[:100], "arrived": len(arrived), "needed": len(waits.members)},
    )


def _ended(facts: Facts, outcome: Outcome) -> Reason:
    when = ""
    if outcome.ended_ms:
        ago = age(max(1, facts.now_ms - outcome.ended_ms))
        when = f" at {moment(outcome.ended_ms)}, {ago} ago"
    where = f", on {outcome.worker}" if outcome.worker else ""
    said = f": {outcome.error}" if outcome.error else ""
    cause, verb = {
        SUCCESS: (Cause.SUCCEEDED, "succeeded"),
        FAILURE: (Cause.FAILED, "failed for good"),
        REVOKED: (Cause.REVOKED, "was revoked, or expired before it was run,"),
    }[outcome.state]
    more = f" `windlass result --traceback {facts.id}` shows more." if cause is Cause.FAILED else ""
    return Reason(
        cause=cause,
        text=f"It {verb}{when}{where}{said}.{more}",
        facts={"state": outcome.state, "ended_ms": outcome.ended_ms, "error": outcome.error},
    )


def _revoked(text: str) -> Reason:
    return Reason(cause=Cause.REVOKED, text=text)


def _expired(facts: Facts) -> Reason:
    keeps = facts.queue is not None and facts.queue.record.dead_expired
    end = "makes it a dead letter" if keeps else "ends it as REVOKED"
    return Reason(
        cause=Cause.EXPIRED,
        text=f"It expired at {moment(facts.expires_ms)}: the next worker that meets it {end}, "
        "without running it.",
        facts={"expires_ms": facts.expires_ms},
    )


def _unreadable() -> Reason:
    return Reason(
        cause=Cause.UNREADABLE,
        text="Its bytes cannot be read: they are cut short, or of another version of windlass. The "
        "worker that meets it makes it a dead letter.",
    )


def _remarks(facts: Facts) -> Iterator[Reason]:
    """What is worth knowing beside it, while it is not over."""
    if facts.stage in (Stage.UNKNOWN, Stage.DONE, Stage.DEAD):
        return
    if facts.expires_ms > facts.now_ms and facts.stage is not Stage.LEASED:
        yield Reason(
            cause=Cause.EXPIRES,
            text=f"It expires at {moment(facts.expires_ms)}, in "
            f"{age(facts.expires_ms - facts.now_ms)}, if it has not begun by then.",
            facts={"expires_ms": facts.expires_ms},
        )
    counters = facts.counters
    if counters.is_suspect:
        yield Reason(
            cause=Cause.SUSPECT,
            text="A process died while it and others ran there: it runs alone from now on, so that "
            "it cannot take others with it.",
        )
    if counters.handbacks >= _OFTEN:
        yield Reason(
            cause=Cause.HANDED_BACK,
            text=f"It was handed back {counters.handbacks:,} times: workers are stopped before it "
            "is done. Raise their grace period (timeLimits.hard or drainTimeout of the "
            "WorkerPool), or save checkpoints.",
            facts={"handbacks": counters.handbacks},
        )
