"""Gives a message the key by which limits count it, where its sender could not.

The sender did not know the task, or the key depends on a result that was not there yet. It goes
back with its key and uncounted, so that the broker holds to the limit before it runs.
Next in the walk: `windlass.runtime.again`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from windlass.runtime import again, classify
from windlass.runtime.outcome import Keyed, Outcome

if TYPE_CHECKING:
    from windlass.runtime.executor import Run


def outcome_of(run: Run) -> Outcome | None:
    """Return how a message goes on that says nothing of a key; None: its task needs none."""
    keys = run.spec.keys
    if keys is None:
        return None
    try:
        key = keys(run.args, run.kwargs)
    except ValueError as error:  # as its sender would have been told
        return classify.failed(run, error)
    return Keyed(again.keyed(run, key or ""))
