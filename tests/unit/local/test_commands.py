"""The command line and environment of a local worker."""

from __future__ import annotations

from pathlib import Path

from operator_builders import make_pool
from windlass_operator.desired.worker_deployment import WorkerInputs, worker_template
from windlass_operator.local.commands import (
    Surroundings,
    WorkerCommand,
    folder_of_app,
    worker_command,
)

SECRETS = {
    "emails-binding": {
        "WINDLASS_BROKER_URL": "redis://here/0",
        "WINDLASS_KEYSPACE": "shop",
    }
}


def command(**environ: str) -> WorkerCommand:
    pool = make_pool(concurrency=4, timeLimits={"soft": "5s", "hard": "6s"})
    inputs = WorkerInputs(queues=("emails", "bulk"), binding="emails-binding")
    template = worker_template(pool, inputs).template
    surroundings = Surroundings(secrets=SECRETS, environ=environ, folder=Path("/shop"))
    return worker_command("emails-7f3a1", template, surroundings)


def test_arguments_are_the_operators_without_what_only_a_pod_has() -> None:
    assert command().arguments == (
        "-m", "windlass", "worker", "--app=shop.tasks", "--queues=emails,bulk", "--pool=prefork",
        "--concurrency=4", "--time-limit=6", "--soft-time-limit=5",
        "--hostname=windlass@emails-7f3a1", "--loglevel=INFO", "--quiet",
    )  # fmt: skip


def test_environment_has_the_binding_and_the_users_own_variables() -> None:
    env = command(SHOP_KEY="k", WINDLASS_BROKER_URL="redis://elsewhere/0").env

    assert env["WINDLASS_BROKER_URL"] == "redis://here/0"
    assert env["WINDLASS_KEYSPACE"] == "shop"
    assert env["WINDLASS_WORKER_DRAIN_TIMEOUT"] == "21"
    assert env["POD_NAME"] == "emails-7f3a1"
    assert env["SHOP_KEY"] == "k"


def test_user_may_override_what_a_laptop_wants() -> None:
    assert command().env["WINDLASS_WORKER_LEASE_S"] == "6"
    assert command(WINDLASS_WORKER_LEASE_S="20").env["WINDLASS_WORKER_LEASE_S"] == "20"


def test_app_is_looked_for_beside_the_file_then_here_then_installed(tmp_path: Path) -> None:
    beside, here = tmp_path / "beside", tmp_path / "here"
    for folder in (beside, here):
        folder.mkdir()
    assert folder_of_app("shop.tasks", beside, here) is None
    assert folder_of_app("json:loads", beside, here) == here, "installed"

    (here / "shop").mkdir()
    assert folder_of_app("shop.tasks:app", beside, here) == here
    (beside / "shop.py").write_text("")
    assert folder_of_app("shop.tasks", beside, here) == beside
