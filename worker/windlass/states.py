"""Task states in Celery's vocabulary, and `Stage`, which says where a message really is."""

from __future__ import annotations

from enum import StrEnum

#: Nothing is known of the id: it waits, or never was, or its result has expired.
PENDING = "PENDING"
#: Known from events only; kept for imports.
RECEIVED = "RECEIVED"
#: A worker runs it (stored only with track_started).
STARTED = "STARTED"
SUCCESS = "SUCCESS"
FAILURE = "FAILURE"
#: Revoked, or expired before it ran.
REVOKED = "REVOKED"
#: It failed and will run again.
RETRY = "RETRY"
IGNORED = "IGNORED"
REJECTED = "REJECTED"

READY_STATES = frozenset({SUCCESS, FAILURE, REVOKED})
UNREADY_STATES = frozenset({PENDING, RECEIVED, STARTED, REJECTED, RETRY})
EXCEPTION_STATES = frozenset({RETRY, FAILURE, REVOKED})
PROPAGATE_STATES = frozenset({FAILURE, REVOKED})
ALL_STATES = frozenset({PENDING, RECEIVED, STARTED, SUCCESS, FAILURE, RETRY, REVOKED})


class Stage(StrEnum):
    """Where a message is, as the broker knows it (`AsyncResult.stage`)."""

    UNKNOWN = "UNKNOWN"
    QUEUED = "QUEUED"
    SCHEDULED = "SCHEDULED"
    PARKED = "PARKED"
    BLOCKED = "BLOCKED"
    LEASED = "LEASED"
    DONE = "DONE"
    DEAD = "DEAD"
