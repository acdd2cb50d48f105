"""`helm test` has the operator do what it is for: a pool comes up from zero and does a task."""

from __future__ import annotations

import pytest

from side_by_side import Stage, side_by_side

pytestmark = pytest.mark.e2e


@side_by_side
def test_helm_test_sends_a_real_task(stage: Stage) -> None:
    space = stage.release.namespace
    said = space.helm("test", stage.release.name, "--logs", "--timeout=150s", timeout_s=180)

    assert "Failed" not in said
    name = f"{stage.release.fullname}-test"
    assert f"queue {name}: 2 + 3 = 5, by a worker on {name}-" in said
    # What it made is gone again, with all that the operator made for it.
    space.wait(f"taskqueue/{name}", until="delete", timeout_s=60)
    space.wait(f"workerpool/{name}", until="delete", timeout_s=60)
    space.wait(f"deployment/{name}", until="delete", timeout_s=60)
