"""The checks of the auditor, each of one promise. Pure: from a history to findings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import chaos_log as log
from chaos_history import Finding, History, Run
from chaos_workload import DEADLY, KILLERS, POISON_CAP


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a run was under.

    Attributes:
        lease_s: Of the workers.
        faults: Kinds that have to have been seen.
        slack_s: What clocks of two processes and a rounding to milliseconds may differ by.
    """

    lease_s: float
    faults: tuple[str, ...] = ()
    slack_s: float = 0.01


def all_was_sent(found: History, _terms: Terms) -> Iterator[Finding]:
    """The workload was sent whole: what was not sent shows nothing."""
    planned = int(found.notes.get("planned", 0))
    if len(found.sent) < planned:
        text = f"{len(found.sent)} of {planned} calls returned; {len(found.unsent)} raised"
        yield Finding("unsent", text)


#: Kind -> state of its outcome.
_STATES = {"fail": "FAILURE", "revoke": "REVOKED", "early": "*", "poison": "FAILURE",
           "fatal": "FAILURE", "reject": "FAILURE"}  # fmt: skip


def roles_of(call: log.Sending) -> list[str]:
    """The roles of a call's messages, those that others follow from first."""
    match call.what:
        case "link":
            return ["work", "follow"]
        case "fail":
            return ["work", "mourn"]
        case "chain":
            return [f"step{k}" for k in range(call.size)]
        case "chord":
            return [*(f"part{k}" for k in range(call.size)), "body"]
        case "revoke":
            return []
        case _:
            return ["work"]


def parents_of(call: log.Sending, role: str) -> list[str]:
    """The roles whose values a role is given."""
    if role == "follow":
        return ["work"]
    if role.startswith("step") and role != "step0":
        return [f"step{int(role[4:]) - 1}"]
    return [f"part{k}" for k in range(call.size)] if role == "body" else []


def nothing_is_lost(found: History, _terms: Terms) -> Iterator[Finding]:
    """Every message of every call that was sent has come to its end."""
    for call in found.calls.values():
        if not found.is_certain(call.n):
            continue
        if call.what == "revoke":
            yield from _has_state(found, call, call.id, "REVOKED")
            continue
        for role in roles_of(call):
            id_ = found.role(call.n, role) or (_id_of(found, call) if role == "work" else None)
            if id_ is None:
                yield Finding("lost", f"call {call.n} ({call.what}): its {role} never began")
                continue
            if call.what in DEADLY and id_ not in found.dead:
                yield Finding("lost", f"call {call.n} ({call.what}): no dead letter {id_}")
            state = _STATES.get(call.what, "SUCCESS") if role == "work" else "SUCCESS"
            if call.what != "early":
                yield from _has_state(found, call, id_, state)


def _id_of(found: History, call: log.Sending) -> str:
    """The id that the call returned: another call's, where that one is unique and was first."""
    return found.sent[call.n].ids[0]


def _has_state(found: History, call: log.Sending, id_: str, state: str) -> Iterator[Finding]:
    outcome = found.outcome(id_)
    if outcome is None:
        began = len(found.by_id.get(id_, ()))
        text = f"call {call.n} ({call.what}): {id_} has no outcome; {began} runs of it began"
        yield Finding("lost", text)
    elif outcome.state != state:
        text = f"call {call.n} ({call.what}): {id_} is {outcome.state}, expected {state}"
        yield Finding("lost", text)


def commits_once(found: History, _terms: Terms) -> Iterator[Finding]:
    """A follow-up is one message, and names the run whose outcome is stored."""
    for (n, role), ids in found.by_role.items():
        call = found.calls[n]
        if len(ids) > 1:
            text = f"call {n} ({call.what}): {len(ids)} messages are its {role}: {ids}"
            yield Finding("committed-twice", text)
        above = parents_of(call, role)
        if not above:
            continue
        made = [_value_of(found, n, each) for each in above]
        for id_ in ids:
            for run in found.by_id[id_]:
                if run.start.parents != made:
                    text = (
                        f"call {n} ({call.what}): its {role} {id_} follows from the runs "
                        f"{run.start.parents}, but the outcomes stored are of {made}"
                    )
                    yield Finding("committed-twice", text)


def _value_of(found: History, n: int, role: str) -> str:
    id_ = found.role(n, role)
    outcome = found.outcome(id_) if id_ else None
    return outcome.value if outcome else ""


def outcomes_stay(found: History, _terms: Terms) -> Iterator[Finding]:
    """What is final does not change."""
    for id_, seen in found.seen.items():
        for before, after in pairwise(seen):
            if (before.state, before.value) != (after.state, after.value):
                text = (
                    f"{id_} was {before.state} of run {before.value}, "
                    f"then {after.state} of run {after.value}"
                )
                yield Finding("outcome-changed", text)


def outcomes_were_made_by_runs(found: History, _terms: Terms) -> Iterator[Finding]:
    """A value names a run of that message, which ended."""
    for id_, seen in found.seen.items():
        run = found.runs.get(seen[-1].value)
        if seen[-1].state == "SUCCESS" and (
            run is None or run.start.id != id_ or run.end is None or run.end.how != "ok"
        ):
            text = f"{id_}: its outcome names the run {seen[-1].value!r}, which did not end so"
            yield Finding("outcome-unrun", text)


def runs_have_causes(found: History, terms: Terms) -> Iterator[Finding]:
    """A message runs once, unless something happened to the worker that ran it before."""
    for id_, runs in found.by_id.items():
        call = found.calls[runs[0].start.n]
        for before, after in pairwise(runs):
            one, two = before.start, after.start
            counters = (one.retries, one.deliveries, one.handbacks)
            if one.retries != two.retries:
                continue  # its next try
            is_same = counters == (two.retries, two.deliveries, two.handbacks)
            if call.what == "early" and is_same and was_sent_again(found, before, after):
                continue
            if is_same and not _shared_a_process(found, before, after, terms):
                text = f"{id_} ({call.what}): runs {one.run} and {two.run} are of one delivery"
                yield Finding("run-twice", text)
            elif call.what == "early":
                text = f"{id_}: acknowledged at start, and run by {one.worker} and {two.worker}"
                yield Finding("run-twice", text)
            elif not cause_of(found, before, after, terms):
                text = (
                    f"{id_} ({call.what}): run by {one.worker} from {one.at:.3f} to "
                    f"{before.end_at:.3f}, and again by {two.worker} at {two.at:.3f}, and nothing "
                    f"had happened to {one.worker}"
                )
                yield Finding("run-twice", text)


#: What leaves a worker's lease alone.
_HARMLESS = frozenset({"clock", "cordon"})


def cause_of(found: History, before: Run, after: Run, terms: Terms) -> str:
    """What made a message run again: a kind of fault, a task that killed its process, or ""."""
    call = found.calls[before.start.n]
    if call.what in KILLERS:
        return "the task itself"
    # What was leased before its worker was frozen may begin after that, and after the second run.
    since = min(before.start.at, after.start.at) - terms.lease_s
    worker = before.start.worker
    for fault in reversed(found.faults):  # the last before the second run
        is_there = fault.at <= after.start.at and fault.until >= since
        if is_there and fault.target in (worker, "*") and fault.what not in _HARMLESS:
            return fault.what
    is_killed = _was_killed_by_a_task(found, worker, since, after.start.at)
    return "a neighbour" if is_killed else ""


def was_sent_again(found: History, before: Run, after: Run) -> bool:
    """Whether a call was tried again after a lost answer, while its first run was under way.

    What is acknowledged at start leaves no trace on the broker until its outcome is there, so a
    repetition of the call cannot be told from a new one. The report counts these.
    """
    sent = found.sent.get(before.start.n)
    return (
        before.start.token != after.start.token and sent is not None and before.start.at <= sent.at
    )


def _shared_a_process(found: History, before: Run, after: Run, terms: Terms) -> bool:
    """Whether its process died while others ran there: that counts with the next crash only."""
    since, worker = before.start.at - terms.slack_s, before.start.worker
    return _was_killed_by_a_task(found, worker, since, after.start.at) or any(
        fault.at <= after.start.at and fault.until >= since
        for fault in found.faults
        if fault.target == worker and fault.what == "kill_slot"
    )


def _was_killed_by_a_task(found: History, worker: str, since: float, until: float) -> bool:
    """Whether a task killed its process there meanwhile, neighbours and all."""
    return any(since <= at <= until for at in found.killings.get(worker, ()))


#: Ends of attempts that are a crash, of a process or of a worker.
_CRASHES = frozenset({"crashed", "suspected", "lost"})


def dead_letters_had_to_be(found: History, _terms: Terms) -> Iterator[Finding]:
    """A dead letter is of a call that had to become one, for its reason, after so many crashes."""
    reasons = {"poison": "max_deliveries", "fatal": "max_deliveries", "reject": "rejected"}
    by_id = {call.id: call for call in found.calls.values() if call.id}
    for id_, letter in found.dead.items():
        call = by_id.get(id_)
        expected = reasons.get(call.what) if call else None
        if letter.reason != expected:
            what = call.what if call else "a follow-up"
            text = f"{id_} ({what}) is a dead letter: {letter.reason}, expected {expected}"
            yield Finding("dead", text)
        crashes = sum(ending in _CRASHES for ending in letter.attempts)
        if letter.reason == "max_deliveries" and crashes < POISON_CAP:
            text = (
                f"{id_}: its history shows {letter.attempts}, and {POISON_CAP} crashes are the cap"
            )
            yield Finding("dead", text)
    for call in found.calls.values():
        runs = len(found.by_id.get(call.id, ())) if call.queue == "poison" else 0
        if runs > POISON_CAP:
            text = f"{call.id} killed its process {runs} times, and {POISON_CAP} is the cap"
            yield Finding("dead", text)


def revoked_do_not_run(found: History, _terms: Terms) -> Iterator[Finding]:
    """A revoke that returned before the message was due is in time."""
    for n, at in found.revoked.items():
        call = found.calls[n]
        if call.at + call.delay_s > at and found.by_id.get(call.id):
            yield Finding("revoked", f"call {n}: {call.id} was revoked before it was due, and ran")


def nothing_is_early(found: History, terms: Terms) -> Iterator[Finding]:
    """A countdown is a "not before", and so is the delay of a retry."""
    for call in found.calls.values():
        if call.what not in ("delay", "retry"):
            continue
        runs = found.by_id.get(call.id, [])
        if call.what == "delay" and runs:
            early_s = call.at + call.delay_s - runs[0].start.at
            if early_s > terms.slack_s:
                yield Finding("too-early", f"{call.id} began {early_s:.3f} s before it was due")
        for before, after in pairwise(runs if call.what == "retry" else ()):
            if before.start.retries == after.start.retries or before.end is None:
                continue
            early_s = before.end_at + call.delay_s - after.start.at
            if early_s > terms.slack_s and not _was_retried_before(runs, before):
                text = f"{call.id}: try {after.start.retries} began {early_s:.3f} s too early"
                yield Finding("too-early", text)


def _was_retried_before(runs: list[Run], last: Run) -> bool:
    """Whether an earlier run of the same try may be the one whose retry was committed."""
    return any(run is not last and run.start.retries == last.start.retries for run in runs)


def order_is_kept(found: History, _terms: Terms) -> Iterator[Finding]:
    """Of a burst, the first starts are in order, unless a message was in other hands before."""
    bursts: defaultdict[int, list[log.Sending]] = defaultdict(list)
    for call in found.calls.values():
        if call.what == "order" and found.is_certain(call.n):
            bursts[call.burst].append(call)
    for calls in bursts.values():
        begun = [(found.by_id[c.id][0].start, c) for c in calls if found.by_id.get(c.id)]
        untouched = [pair for pair in begun if not (pair[0].deliveries or pair[0].handbacks)]
        untouched.sort(key=lambda pair: pair[0].at)
        for (_, one), (two_start, two) in pairwise(untouched):
            if (-two.priority, two.n) < (-one.priority, one.n):
                text = (
                    f"call {two.n} (priority {two.priority}) began at {two_start.at:.3f}, after "
                    f"call {one.n} (priority {one.priority}), ready at the same time"
                )
                yield Finding("order", text)


def nothing_is_left_behind(found: History, _terms: Terms) -> Iterator[Finding]:
    """At rest: no message but dead letters, no lease, no continuation; counters agree."""
    if found.left is None:
        yield Finding("left-behind", "the broker did not come to rest")
        return
    for key, size in found.left.items():
        yield Finding("left-behind", f"{key} holds {size}")
    revoked = sum(not found.by_id.get(found.calls[n].id) for n in found.revoked)
    for queue in sorted({queue for queue, _ in found.counted}):
        enqueued = found.counted.get((queue, "enqueued"), 0)
        ended = found.counted.get((queue, "completed"), 0)
        dead = sum(letter.queue == queue for letter in found.dead.values())
        expected = ended + dead + (revoked if queue == "main" else 0)
        if enqueued != expected:
            text = (
                f"queue {queue}: {enqueued} were enqueued, but {ended} completed, "
                f"{dead} are dead letters and {expected - ended - dead} were revoked"
            )
            yield Finding("committed-twice" if enqueued < expected else "lost", text)


def nobody_is_idle(found: History, _terms: Terms) -> Iterator[Finding]:
    """At the end every worker takes work: no cordon outlives its time, and no fault its end."""
    for name, seconds in found.notes.items():
        if name.startswith("idle: "):
            text = f"{name[6:]} took no work for {seconds:.0f} s at the end, with work there"
            yield Finding("idle", text)


def faults_happened(found: History, terms: Terms) -> Iterator[Finding]:
    """A run in which a fault did not happen proves nothing about it."""
    happened = {fault.what for fault in found.faults}
    for what in terms.faults:
        if what not in happened:
            yield Finding("fault", f"{what} was not seen to happen")
