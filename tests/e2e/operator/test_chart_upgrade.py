"""The chart of an earlier commit is upgraded to this one: CRDs change, and no worker restarts."""

from __future__ import annotations

import pytest

from release_upgrade import POOL, Upgrade, facts

pytestmark = pytest.mark.e2e


def test_upgrade_changes_crds_and_values_and_restarts_no_worker(upgrade: Upgrade) -> None:
    before, release, application = upgrade.before, upgrade.release, upgrade.application
    if before is None:
        pytest.skip("there is no history here to take an earlier chart from")
    # It still works, for the worker that was there before.
    application.start(
        "after",
        """
        import json
        from job import work
        print("SAID", json.dumps(work.apply_async((0.01,), queue="steady").get(timeout=60)))
        """,
        queue=POOL,
    )
    assert application.answer("after", timeout_s=120)[1:] == [0, 0]
    application.namespace.wait(f"workerpool/{POOL}", until="condition=Ready", timeout_s=60)

    after = facts(release, application)

    assert after.worker == before.worker
    assert after.keys == before.keys, "the passwords were made anew"
    assert after.crd != before.crd
    deployment = release.namespace.get(f"deployment/{release.fullname}")
    assert deployment["spec"]["replicas"] == 2
