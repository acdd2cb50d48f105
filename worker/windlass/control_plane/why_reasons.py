"""The reasons that `windlass why` gives: a word each, which is public, and a sentence."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class Cause(StrEnum):
    """Why a task is not running, or how it ended. Public: scripts are written on the words."""

    #: Nothing is known of the id.
    UNKNOWN = "unknown"
    #: Its bytes cannot be read; the next worker makes it a dead letter.
    UNREADABLE = "unreadable"
    #: It is sent when other tasks of its workflow have ended.
    WAITS_FOR_TASKS = "waits_for_tasks"
    #: Its time has not come.
    SCHEDULED = "scheduled"
    #: No worker knows its task.
    NO_WORKER_KNOWS_IT = "no_worker_knows_it"
    #: A limit of its task, its key or its queue has no room for it.
    LIMITED = "limited"
    #: Keys take turns (fair share), and it is not the turn of its own.
    NOT_ITS_TURN = "not_its_turn"
    #: Its queue is paused.
    QUEUE_PAUSED = "queue_paused"
    #: No worker serves its queue.
    NO_WORKER = "no_worker"
    #: The workers of its queue are told to take nothing more.
    WORKERS_CORDONED = "workers_cordoned"
    #: Other messages of its queue come first.
    OTHERS_FIRST = "others_first"
    #: All slots of the workers of its queue are busy.
    SLOTS_BUSY = "slots_busy"
    #: Nothing keeps it: a worker takes it in a moment.
    ABOUT_TO_START = "about_to_start"
    #: A worker has it and has not begun.
    HELD = "held"
    #: It runs.
    RUNNING = "running"
    #: A worker has it; none said that it runs.
    LEASED = "leased"
    #: The worker that had it is gone; it is handed out again.
    LEASE_EXPIRED = "lease_expired"
    #: It was revoked.
    REVOKED = "revoked"
    #: It expired before it was run, or will.
    EXPIRED = "expired"
    EXPIRES = "expires"
    #: It is a dead letter.
    DEAD_LETTER = "dead_letter"
    #: How it ended.
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ENDED = "ended"
    #: A process died under it and others: it runs alone.
    SUSPECT = "suspect"
    #: It was handed back again and again.
    HANDED_BACK = "handed_back"


class Reason(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One reason.

    Attributes:
        cause: A `Cause`.
        text: A sentence for a person, with what to do where there is something.
        facts: Its numbers and names, for programs; times in milliseconds of the broker's clock.
    """

    cause: Cause
    text: str
    facts: dict[str, Any] = {}
