"""Commands about queues and messages, as processes, on a real Redis."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from builders import make_message, make_messages
from commands import Project
from windlass.brokers.base import Bury, FetchRequest
from windlass.brokers.redis import RedisBroker


@pytest.fixture
def broker(shop: Project):
    broker = RedisBroker(shop.broker)
    yield broker
    broker.close()


def bury(broker: RedisBroker, queue: str, *ids: str, reason: str = "rejected") -> None:
    """Make dead letters, as a worker does."""
    broker.enqueue([make_message("shop.add", id=i, queue=queue, args=(1, 2)) for i in ids])
    request = FetchRequest(worker_id="w", queues=(queue,), want=len(ids), lease_ms=60_000)
    _, fetched = broker.exchange([], request)
    broker.exchange(
        [
            Bury(id=d.id, queue=queue, token=d.token, reason=reason, detail="no good", worker="w")
            for d in fetched.deliveries
        ],
        None,
    )


def test_version_and_help_need_nothing(shop: Project) -> None:
    assert shop.run("--version").stdout.startswith("windlass 0.")
    helped = shop.run("--help")

    assert helped.returncode == 0
    for command in ("worker", "queues", "dlq", "purge", "revoke"):
        assert f"\n  {command}" in helped.stdout


def test_queues_shows_what_waits(shop: Project, broker: RedisBroker) -> None:
    broker.enqueue(make_messages(3, queue="mail"))
    broker.enqueue([make_message(queue="mail", delay_ms=60_000)])
    answer = shop.run("queues")

    heading, *rows = answer.stdout.splitlines()
    assert heading.split()[:3] == ["QUEUE", "OPEN", "SCHEDULED"]
    assert [row.split()[:3] for row in rows] == [["default", "0", "0"], ["mail", "3", "1"]]


def test_queues_as_json_is_for_programs(shop: Project, broker: RedisBroker) -> None:
    broker.enqueue(make_messages(2, queue="mail"))
    (mail,) = json.loads(shop.run("queues", "-Q", "mail", "--json").stdout)

    assert (mail["queue"], mail["open"], mail["backlog"], mail["paused"]) == ("mail", 2, 2, False)


def test_queue_is_paused_and_set_without_a_worker(shop: Project, broker: RedisBroker) -> None:
    broker.enqueue(make_messages(1, queue="mail"))
    answer = shop.run(
        "queues", "set", "mail", "--paused", "--max-deliveries", "5", "--dead-retention", "12h"
    )
    record = json.loads(answer.stdout)
    request = FetchRequest(worker_id="w", queues=("mail",), want=1, lease_ms=1000)

    assert (record["paused"], record["max_deliveries"], record["dead_retention_s"]) == (
        True,
        5,
        43_200,
    )
    assert broker.exchange([], request)[1].deliveries == []
    assert shop.run("queues").stdout.splitlines()[-1].endswith("paused")
    assert json.loads(shop.run("queues", "set", "mail", "--no-paused").stdout)["paused"] is False
    assert len(broker.exchange([], request)[1].deliveries) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("set", "mail", "--max-deliveries", "0"), "x>=1"),
        (("set", "mail", "--dead-retention", "soon"), "is no duration"),
        (("set", "no spaces"), "is not usable"),
    ],
)
def test_wrong_queue_settings_are_refused(shop: Project, arguments, says: str) -> None:
    answer = shop.run("queues", *arguments)

    assert answer.returncode != 0
    assert says in answer.stderr
    assert "Traceback" not in answer.stderr


def test_dead_letters_are_listed_shown_and_replayed(shop: Project, broker: RedisBroker) -> None:
    bury(broker, "mail", "id-1", "id-2")
    listed = shop.run("dlq", "list").stdout.splitlines()
    shown = json.loads(shop.run("dlq", "show", "id-1").stdout)

    assert listed[0].split()[:4] == ["ID", "QUEUE", "TASK", "REASON"]
    assert {line.split()[0] for line in listed[1:]} == {"id-1", "id-2"}
    assert (shown["reason"], shown["detail"], shown["worker"]) == ("rejected", "no good", "w")
    assert shown["message"]["task"] == "shop.add"
    assert shown["message"]["body"] == [[1, 2], {}, {}]
    assert shop.run("dlq", "replay", "id-1").stdout == "Replayed 1 of 1.\n"
    assert str(broker.stage("id-1")) == "QUEUED"
    assert str(broker.stage("id-2")) == "DEAD"


def test_dead_letters_are_chosen_by_reason_task_and_queue(
    shop: Project, broker: RedisBroker
) -> None:
    bury(broker, "mail", "id-1")
    bury(broker, "bulk", "id-2", reason="undecodable")

    rows = shop.run("dlq", "list", "--json", "--reason", "undecodable").stdout.splitlines()
    assert [json.loads(row)["id"] for row in rows] == ["id-2"]
    assert shop.run("dlq", "list", "--task", "other").stderr == "No dead letters.\n"
    assert shop.run("dlq", "purge", "-f", "-Q", "mail", "--all").stdout == "Purged 1.\n"
    assert str(broker.stage("id-1")) == "UNKNOWN"
    assert shop.run("dlq", "replay", "--reason", "undecodable").stdout == "Replayed 1 of 1.\n"
    assert str(broker.stage("id-2")) == "QUEUED"


def test_purge_of_dead_letters_asks_first(shop: Project, broker: RedisBroker) -> None:
    bury(broker, "mail", "id-1")
    refused = shop.run("dlq", "purge", "--all", stdin="n\n")

    assert (refused.returncode, str(broker.stage("id-1"))) == (130, "DEAD")
    assert shop.run("dlq", "purge", "--all", stdin="y\n").returncode == 0
    assert str(broker.stage("id-1")) == "UNKNOWN"


def test_dead_letter_that_is_not_there_is_one_clear_error(shop: Project) -> None:
    answer = shop.run("dlq", "show", "id-9")

    assert answer.returncode == 1
    assert answer.stderr.startswith("Error: No dead letter has the id 'id-9'")


def test_dead_letter_without_a_readable_message_is_shown_raw(
    shop: Project, broker: RedisBroker, redis_client
) -> None:
    bury(broker, "mail", "id-1")
    redis_client.hset(broker.keys.messages, "id-1", b"\x09nonsense")
    shown = json.loads(shop.run("dlq", "show", "id-1").stdout)

    assert "nonsense" in shown["message"]["undecodable"]


@pytest.mark.parametrize("verb", ["replay", "purge"])
def test_nothing_chosen_is_a_usage_error(shop: Project, verb: str) -> None:
    answer = shop.run("dlq", verb)

    assert answer.returncode == 2
    assert f"nothing chosen to {verb}" in answer.stderr


def test_purge_drops_what_waits_and_asks_first(shop: Project, broker: RedisBroker) -> None:
    broker.enqueue(make_messages(3, queue="mail"))
    broker.enqueue([make_message(queue="mail", delay_ms=60_000)])
    refused = shop.run("purge", "-Q", "mail", stdin="n\n")
    done = shop.run("purge", "-f", "-Q", "mail")

    assert refused.returncode == 130
    assert done.stdout == "Purged 4 messages from mail.\n"


def test_purge_takes_the_apps_own_queues_unless_told_otherwise(
    shop: Project, broker: RedisBroker
) -> None:
    for queue in ("default", "mail", "bulk"):
        broker.enqueue(make_messages(1, queue=queue))

    assert shop.run("-A", "shop", "purge", "-f").stdout == "Purged 1 messages from default.\n"
    assert shop.run("purge", "-f", "--all", "-X", "mail").stdout.splitlines() == [
        "Purged 1 messages from bulk.",
        "Purged 0 messages from default.",
    ]
    assert str(broker.purge("mail")) == "1"


def test_revoke_takes_back_what_waits_and_refuses_what_is_unknown(
    shop: Project, broker: RedisBroker
) -> None:
    broker.enqueue([make_message(id="id-1")])
    answer = shop.run("-A", "shop", "revoke", "id-1", "id-2")

    assert answer.stdout.splitlines() == [
        "id-1: revoked",
        "id-2: not here now; refused if it still arrives",
    ]
    assert str(broker.stage("id-1")) in ("DONE", "UNKNOWN")


def test_revoke_by_stamp_marks_each_value_on_the_broker(shop: Project, broker: RedisBroker) -> None:
    answer = shop.run("revoke", "--stamped", "customer=c-17", "--stamped", "level=7", "-t")

    assert answer.stdout.splitlines()[0].startswith("stamped customer=c-17: revoked")
    request = FetchRequest(worker_id="w", queues=("q",), want=0, lease_ms=1_000)
    marks = broker.exchange([], request)[1].stamps
    assert marks.signal_for({"customer": "c-17"}, 0) == "SIGTERM"
    assert marks.signal_for({"level": 7}, 0) == "SIGTERM"
    assert marks.signal_for({"level": "7"}, 0) is None


@pytest.mark.parametrize("words", [(), ("--stamped", "customer")])
def test_revoke_of_nothing_is_one_clear_error(shop: Project, words: tuple[str, ...]) -> None:
    answer = shop.run("revoke", *words)

    assert answer.returncode == 2
    assert "NAME=VALUE" in answer.stderr


def test_revoke_with_a_signal_that_is_none_is_one_clear_error(shop: Project) -> None:
    answer = shop.run("revoke", "id-1", "-t", "-s", "SIGTREM")

    assert answer.returncode == 1
    assert "Did you mean 'SIGTERM'?" in answer.stderr


@pytest.mark.parametrize(
    "order", [("-A", "shop", "queues"), ("queues", "-A", "shop")], ids=["before", "after"]
)
def test_shared_options_stand_before_or_after_the_command(shop: Project, order) -> None:
    answer = shop.run(*order)

    assert (answer.returncode, answer.stderr) == (0, "")


def test_options_after_the_command_win(shop: Project) -> None:
    answer = shop.run("-b", "redis://127.0.0.1:1/0", "queues", "-b", shop.broker)

    assert answer.returncode == 0


def test_broker_flag_wins_over_the_environment_and_the_app(shop: Project) -> None:
    answer = shop.run("-A", "shop", "queues", "-b", "redis://:s3cret@127.0.0.1:1/0")

    assert answer.returncode == 1
    assert "127.0.0.1:1" in answer.stderr
    assert "s3cret" not in answer.stderr
    assert "Traceback" not in answer.stderr


def test_no_broker_at_all_is_one_clear_error(shop: Project) -> None:
    shop.broker = ""
    answer = shop.run("queues")

    assert answer.returncode == 1
    assert "No broker is configured. Name one with -b" in answer.stderr


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("logtool", "logs are JSON in a pod"),
        ("multi", "systemd"),
        ("wroker", "Did you mean 'worker'?"),
    ],
)
def test_other_commands_are_refused_with_what_to_use(shop: Project, command, says: str) -> None:
    answer = shop.run(command)

    assert answer.returncode == 2
    assert says in answer.stderr


def test_console_script_is_the_same_command(shop: Project) -> None:
    script = f"{sys.exec_prefix}/bin/windlass"
    answer = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)

    assert answer.stdout == shop.run("--version").stdout


def test_other_distributions_add_commands_by_entry_point(shop: Project) -> None:
    shop.write(
        "extra.py", "import click\n\n@click.command()\ndef up():\n    click.echo('going up')"
    )
    info = shop.folder / "extra-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[windlass.commands]\nup = extra:up\n")

    assert shop.run("up").stdout == "going up\n"


@pytest.mark.parametrize("credentials", ["", ":wr0ng@", "nobody:wr0ng@"])
def test_wrong_password_is_one_clear_error(shop: Project, start_redis, credentials: str) -> None:
    server = start_redis({"requirepass": "right"})
    url = server.url.replace("redis://", f"redis://{credentials}")
    for command in (("queues",), ("revoke", "id-1")):
        answer = shop.run(*command, "-b", url)

        assert answer.returncode == 1
        assert answer.stderr.startswith("Error: The broker")
        assert "refused the credentials" in answer.stderr
        assert "wr0ng" not in answer.stderr
        assert ".." not in answer.stderr
