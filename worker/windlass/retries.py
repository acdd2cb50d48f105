"""Whether a failed task runs again, and when. Pure: randomness and counts come as arguments.

Next in the walk: `windlass.runtime.classify`, which asks, and `windlass.task` (`Task.retry`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any

from windlass.errors import Ignore, Reject, Retry

DEFAULT_MAX_RETRIES = 3
DEFAULT_DELAY_S = 180.0
DEFAULT_BACKOFF_MAX_S = 600.0

#: Control flow: never a failure, so never retried by autoretry_for.
_STEERING = (Retry, Ignore, Reject)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryDecision:
    """What comes next.

    Attributes:
        retry: Run again; False when the retries are used up.
        delay_s: Seconds from now, None when `eta` says when.
        eta: Not before this time.
    """

    retry: bool
    delay_s: float | None = None
    eta: datetime | None = None

    @property
    def when(self) -> float | datetime | None:
        """Seconds from now, or the absolute time."""
        return self.delay_s if self.eta is None else self.eta


def is_exhausted(retries: int, max_retries: int | None) -> bool:
    """Tell whether a task that has been retried so often may not be retried again.

    Args:
        retries: Retries so far, 0 on the first run.
        max_retries: The cap; None is for ever.
    """
    return max_retries is not None and retries >= max_retries


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """A task's retry options, as Celery names them.

    Attributes:
        autoretry_for: Exceptions that retry the task by themselves.
        dont_autoretry_for: Exceptions among those that do not.
        max_retries: Retries after the first run; None is for ever.
        default_delay_s: Delay of a retry that names none, without backoff.
        backoff_s: First delay of an exponential backoff; 0 is no backoff.
        backoff_max_s: Cap of the backoff.
        jitter: Draw the backoff's delay uniformly from 0 to its value, so that many failing tasks
            do not come back at the same moment.
        kwargs: Arguments for `Task.retry` (countdown, max_retries, …).
    """

    autoretry_for: tuple[type[BaseException], ...] = ()
    dont_autoretry_for: tuple[type[BaseException], ...] = ()
    max_retries: int | None = DEFAULT_MAX_RETRIES
    default_delay_s: float = DEFAULT_DELAY_S
    backoff_s: float = 0.0
    backoff_max_s: float = DEFAULT_BACKOFF_MAX_S
    jitter: bool = True
    kwargs: dict[str, Any] = field(default_factory=dict)

    def covers(self, error: BaseException) -> bool:
        """Tell whether this error retries the task by itself."""
        return (
            isinstance(error, self.autoretry_for)
            and not isinstance(error, _STEERING)
            and not isinstance(error, self.dont_autoretry_for)
        )

    def automatic_delay_s(self, retries: int, random: Random) -> float:
        """Return the delay of an automatic retry.

        Args:
            retries: Retries so far, 0 on the first run.
            random: Source of the jitter.
        """
        if not self.backoff_s:
            return float(self.kwargs.get("countdown", self.default_delay_s))
        # 2**1024 does not fit a float; long before that the cap holds.
        delay_s = min(self.backoff_max_s, self.backoff_s * 2.0 ** min(retries, 64))
        return random.uniform(0.0, delay_s) if self.jitter else delay_s

    def decide(
        self,
        retries: int,
        *,
        max_retries: int | None = None,
        countdown: float | None = None,
        eta: datetime | None = None,
    ) -> RetryDecision:
        """Decide on a retry that the task asks for.

        Args:
            retries: Retries so far, 0 on the first run.
            max_retries: Cap for this decision only; None takes the task's.
            countdown: Delay in seconds; None takes the task's default.
            eta: Not before this time; goes before countdown.
        """
        if is_exhausted(retries, self.max_retries if max_retries is None else max_retries):
            return RetryDecision(retry=False)
        if eta is not None:
            return RetryDecision(retry=True, eta=eta)
        delay_s = self.default_delay_s if countdown is None else countdown
        return RetryDecision(retry=True, delay_s=max(0.0, delay_s))
