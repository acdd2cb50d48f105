"""Example 09, as its README says."""

from __future__ import annotations

import json

from commands import Project
from repository import ROOT
from waiting import eventually

EXAMPLE = ROOT / "examples" / "09-schedules-in-settings"


def listed(shop: Project) -> dict[str, dict]:
    done = shop.run("schedules", "list", "--json")
    assert done.returncode == 0, done.stderr
    return {each["name"]: each for each in json.loads(done.stdout)}


def test_09_schedules_of_the_settings_are_fired_run_and_steered(shop: Project) -> None:
    (shop.folder / "tasks.py").write_text((EXAMPLE / "tasks.py").read_text())
    shop.start("-A", "tasks", "worker", "-B", "-c", "1")
    eventually(lambda: listed(shop).get("rates", {}).get("state") == "SUCCESS")
    added = shop.run(
        "-A", "tasks", "schedules", "add", "yen", "--every", "10s", "--task", "tasks.rates",
        "--args", '["JPY"]',
    )  # fmt: skip
    assert added.stdout.startswith("yen: created; next "), added.stderr
    assert shop.run("schedules", "trigger", "nightly-report").returncode == 0
    eventually(lambda: listed(shop)["nightly-report"]["state"] == "SUCCESS")

    assert set(listed(shop)) == {"rates", "nightly-report", "in-office-hours", "yen"}
