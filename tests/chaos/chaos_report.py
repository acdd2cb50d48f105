"""The report of a run: for people (Markdown) and for programs (JSON). Pure."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any

import msgspec

from chaos_audit import Verdict
from chaos_checks import cause_of, was_sent_again
from chaos_history import History
from chaos_limits import busiest_second, counted_runs, most_at_once
from chaos_workload import LIMITS

if TYPE_CHECKING:
    from chaos_run import Plan

_SHOWN = 40


def report(plan: Plan, verdict: Verdict, logs: str) -> tuple[str, bytes]:
    """Return the report as text and as JSON."""
    facts = figures(plan, verdict, logs)
    return _text(facts, verdict), msgspec.json.format(msgspec.json.encode(facts), indent=1)


def figures(plan: Plan, verdict: Verdict, logs: str) -> dict[str, Any]:
    """Count what the report shows."""
    found = verdict.history
    starts = [run.start for run in found.runs.values()]
    again = [start for start in starts if start.deliveries]
    early = [c for c in found.calls.values() if c.what == "early" and found.is_certain(c.n)]
    return {
        "plan": {"seed": plan.seed, "tasks": plan.tasks, "lease_s": plan.lease_s,
                 "appendfsync": plan.fsync, "workers": len(plan.posts)},
        "calls": len(found.calls),
        "calls_that_raised": len(found.unsent),
        "by_kind": dict(Counter(c.what for c in found.calls.values()).most_common()),
        "messages": len(found.by_id),
        "runs": len(starts),
        "runs_cut_short": sum(run.end is None for run in found.runs.values()),
        "retries": sum(run.end is not None and run.end.how == "retry"
                       for run in found.runs.values()),
        "second_runs": sum(
            sum(a.start.retries == b.start.retries for a, b in pairwise(runs))
            for runs in found.by_id.values()
        ),
        "causes_of_second_runs": _causes(plan, found),
        "handed_back_unharmed": logs.count('"event":"task_handed_back"'),
        "most_deliveries": max((s.deliveries for s in again), default=0),
        "outcomes": sum(len(seen) > 0 for seen in found.seen.values()),
        "dead_letters": dict(Counter(d.reason for d in found.dead.values())),
        "early_without_outcome": sum(found.outcome(c.id) is None for c in early),
        "early_sent_again_while_it_ran": sum(
            was_sent_again(found, a, b)
            for c in early
            for a, b in pairwise(found.by_id.get(c.id, ()))
            if a.start.retries == b.start.retries
        ),
        "jumped_clock_runs": _jumped(found),
        "limits": _limits(found),
        "faults": dict(Counter(f.what for f in found.faults).most_common()),
        "recovery_s": _recovery(found),
        "fenced_runs": _fenced(found),
        "workers_told_of_lost_leases": logs.count('"event":"leases_lost"'),
        "seconds": _span(found),
        "findings": dict(Counter(f.promise for f in verdict.findings)),
    }  # fmt: skip


def _span(found: History) -> float:
    times = [run.start.at for run in found.runs.values()]
    return round(max(times) - min(times), 1) if times else 0.0


def _causes(plan: Plan, found: History) -> dict[str, int]:
    """What made messages run again -> how often."""
    causes: Counter[str] = Counter()
    for runs in found.by_id.values():
        for before, after in pairwise(runs):
            if before.start.retries == after.start.retries:
                cause = cause_of(found, before, after, plan.terms)
                is_again = not cause and was_sent_again(found, before, after)
                causes["sent again" if is_again else cause or "UNKNOWN"] += 1
    return dict(causes.most_common())


def _limits(found: History) -> dict[str, str]:
    """Kind and key -> what was used of its limit at most."""
    return {
        f"{what} {key}".strip(): f"{most_at_once(runs)[0]} at once, "
        f"{busiest_second([run.start.at for run in runs])} in a second, of {len(runs)} "
        f"(limit: {LIMITS[what].at_once or '-'} at once, {LIMITS[what].per_second or '-'} a second)"
        for (what, key), runs in sorted(counted_runs(found).items())
    }


def _fenced(found: History) -> int:
    """Runs that ended well and whose outcome was refused: another run's is stored."""
    return sum(
        run.end is not None and run.end.how == "ok" and outcome.value != run.start.run
        for id_, runs in found.by_id.items()
        if (outcome := found.outcome(id_)) is not None and outcome.state == "SUCCESS"
        for run in runs
    )


def _jumped(found: History) -> int:
    """Runs that saw a wall clock other than the first run's by more than a minute."""
    starts = [run.start for run in found.runs.values()]
    return sum(abs(start.wall_s - starts[0].wall_s) > 60 for start in starts)


def _recovery(found: History) -> dict[str, dict[str, float]]:
    """Fault -> how long after its end it took until a run began anywhere: median and most."""
    times = sorted(run.start.at for run in found.runs.values())
    gaps: dict[str, list[float]] = {}
    for fault in found.faults:
        nxt = next((at for at in times[_first_after(times, fault.until) :]), None)
        if nxt is not None:
            gaps.setdefault(fault.what, []).append(nxt - fault.until)
    return {what: {"median": round(median(each), 3), "most": round(max(each), 3)}
            for what, each in gaps.items()}  # fmt: skip


def _first_after(times: list[float], at: float) -> int:
    from bisect import bisect_left

    return bisect_left(times, at)


def _text(facts: dict[str, Any], verdict: Verdict) -> str:
    lines = ["# Chaos report", ""]
    plain = {k: v for k, v in facts.items() if not isinstance(v, dict)}
    lines += ["| what | how many |", "|---|---|"]
    lines += [f"| {name.replace('_', ' ')} | {value:,} |" for name, value in plain.items()]
    lines += ["", "| fault | seen | work went on after, s (median, most) |", "|---|---|---|"]
    for what, count in facts["faults"].items():
        gap = facts["recovery_s"].get(what, {})
        lines.append(f"| {what} | {count} | {gap.get('median', '-')}, {gap.get('most', '-')} |")
    lines += ["", "| limited | used at most |", "|---|---|"]
    lines += [f"| {name} | {text} |" for name, text in facts["limits"].items()]
    lines += ["", f"Calls by kind: {_pairs(facts['by_kind'])}"]
    lines += [f"Second runs by cause: {_pairs(facts['causes_of_second_runs'])}"]
    lines += [f"Dead letters by reason: {_pairs(facts['dead_letters'])}", ""]
    if not verdict.findings:
        return "\n".join([*lines, "Every promise was kept.", ""])
    lines += [f"**{len(verdict.findings)} findings**: {_pairs(facts['findings'])}", ""]
    lines += [f"- {f.promise}: {f.text}" for f in verdict.findings[:_SHOWN]]
    return "\n".join([*lines, ""])


def _pairs(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"
