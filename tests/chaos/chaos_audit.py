"""Proves from the log of a run that promises were kept, or says which were not. Pure.

    promise           what is checked
    unsent            every call of the workload returned
    lost              a call that was sent has its outcome, or is a dead letter that had to be one
    committed-twice   a follow-up is one message, and follows from the run whose outcome is stored
    outcome-changed   an outcome that was seen is the one that is there at the end
    outcome-unrun     an outcome was made by a run that ended
    run-twice         no two runs of one delivery, nor of acks_late=False; a second run has a cause
    dead              dead letters are those that had to be, for the reason that they had to be
    revoked           what was revoked before it was due has not run
    too-early         nothing runs before its delay is over
    order             of what was ready together, the urgent first, then in the order of sending
    limit             runs at once, and runs that begin in any window, are within the limits
    left-behind       at rest the broker holds nothing; counters agree with what was sent
    idle              at the end every worker takes work: no cordon outlives its time
    fault             each kind of fault was seen to happen
Next in the walk: `chaos_checks`, one function for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import chaos_checks as checks
import chaos_limits as limits
import chaos_log as log
from chaos_history import Finding, History, history

Check = Callable[[History, checks.Terms], Iterable[Finding]]

CHECKS: tuple[Check, ...] = (
    checks.all_was_sent,
    checks.nothing_is_lost,
    checks.commits_once,
    checks.outcomes_stay,
    checks.outcomes_were_made_by_runs,
    checks.runs_have_causes,
    checks.dead_letters_had_to_be,
    checks.revoked_do_not_run,
    checks.nothing_is_early,
    checks.order_is_kept,
    limits.hold,
    checks.nothing_is_left_behind,
    checks.nobody_is_idle,
    checks.faults_happened,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an audit came to.

    Attributes:
        findings: Promises not kept; empty is what a run should come to.
        history: What it was drawn from, for the report.
    """

    findings: list[Finding]
    history: History

    def kinds(self) -> set[str]:
        """The promises that were not kept."""
        return {finding.promise for finding in self.findings}


def audit(lines: Iterable[log.Any], terms: checks.Terms) -> Verdict:
    """Look at a whole log."""
    return judge(history(lines), terms)


def judge(found: History, terms: checks.Terms, which: Sequence[Check] = CHECKS) -> Verdict:
    """Apply checks to a history."""
    return Verdict([finding for check in which for finding in check(found, terms)], found)
