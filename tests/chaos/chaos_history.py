"""The log of a run as the auditor looks at it: by call, by message, by run. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import chaos_log as log
from chaos_workload import KILLERS


@dataclass(frozen=True, slots=True)
class Finding:
    """A promise that was not kept.

    Attributes:
        promise: Which, in a word: "lost", "committed-twice", ...
        text: What was found.
    """

    promise: str
    text: str


@dataclass(slots=True)
class Run:
    """One run of a task; `end` is None where it never ended."""

    start: log.Start
    end: log.End | None = None
    end_at: float = float("inf")


@dataclass(slots=True)
class History:
    """Everything in a log, sorted."""

    calls: dict[int, log.Sending] = field(default_factory=dict)
    sent: dict[int, log.Sent] = field(default_factory=dict)
    unsent: dict[int, log.Unsent] = field(default_factory=dict)
    revoked: dict[int, float] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    #: Message id -> its runs, in the order of their deliveries.
    by_id: dict[str, list[Run]] = field(default_factory=lambda: defaultdict(list))
    #: (call, role) -> ids of messages, in the order of their first start.
    by_role: dict[tuple[int, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    seen: dict[str, list[log.Seen]] = field(default_factory=lambda: defaultdict(list))
    faults: list[log.Fault] = field(default_factory=list)
    dead: dict[str, log.Dead] = field(default_factory=dict)
    left: dict[str, int] | None = None
    counted: dict[tuple[str, str], int] = field(default_factory=dict)
    notes: dict[str, float] = field(default_factory=dict)
    #: Worker -> when a task killed its own process there.
    killings: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def outcome(self, id_: str) -> log.Seen | None:
        """The last outcome seen of a message."""
        found = self.seen.get(id_)
        return found[-1] if found else None

    def role(self, n: int, role: str) -> str | None:
        """The id of the message of a role in a call, None if it never began."""
        ids = self.by_role.get((n, role))
        return ids[0] if ids else None

    def is_certain(self, n: int) -> bool:
        """Whether the call is known to have been sent."""
        return n in self.sent


def history(lines: Iterable[log.Any]) -> History:
    """Sort the lines of a log. Lines of one process are in order, those of several nearly so."""
    found = History()
    for line in lines:
        match line:
            case log.Start():
                run = Run(line)
                found.runs[line.run] = run
                found.by_id[line.id].append(run)
                ids = found.by_role[line.n, line.role]
                if line.id not in ids:
                    ids.append(line.id)
            case log.End():
                run = found.runs[line.run]
                run.end, run.end_at = line, line.at
            case log.Seen():
                found.seen[line.id].append(line)
            case _:
                _note(found, line)
    for runs in found.by_id.values():
        runs.sort(key=_place)
        call = found.calls.get(runs[0].start.n)
        if call is not None and call.what in KILLERS:
            for run in runs:
                if run.end is None:
                    found.killings[run.start.worker].append(run.start.at)
    return found


def _place(run: Run) -> tuple[int, int, int, float]:
    """Where a run is among those of its message: by delivery, since a frozen one begins late."""
    start = run.start
    return start.retries, start.deliveries, start.handbacks, start.at


def _note(found: History, line: log.Any) -> None:
    match line:
        case log.Sending():
            found.calls[line.n] = line
        case log.Sent():
            found.sent[line.n] = line
        case log.Unsent():
            found.unsent[line.n] = line
        case log.Revoked():
            found.revoked[line.n] = line.at
        case log.Fault():
            found.faults.append(line)
        case log.Dead():
            found.dead[line.id] = line
        case log.Left():
            found.left = line.sizes
        case log.Counted():
            found.counted[line.queue, line.name] = line.value
        case log.Note():
            found.notes[line.name] = line.value
