"""`windlass dlq` on a real Redis: what is chosen, changed and sent again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from broker_samples import crashed
from broker_state import fetch, ids_of, lease, read, settle
from redis_server import RedisServer
from windlass import Windlass
from windlass.attempts import Attempt
from windlass.brokers.base import Bury
from windlass.cli.dead_letters import dlq
from windlass.cli.options import Common
from windlass.control_plane.depth import read_depths
from windlass.control_plane.queue_record import write_record
from windlass.messages import decode_message
from windlass.states import Stage

Run = Callable[..., Result]


@pytest.fixture
def app(redis_server: RedisServer) -> Iterator[Windlass]:
    with Windlass("shop", broker=redis_server.url, set_as_current=False) as app:

        @app.task(name="shop.add")
        def add(x: int, y: int) -> int:
            return x + y

        yield app


@pytest.fixture
def run(app: Windlass) -> Run:
    def run_(*arguments: str, **options: Any) -> Result:
        result = CliRunner().invoke(dlq, arguments, obj=Common(instance=app), **options)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run_


def bury(app: Windlass, *ids: str, task: str = "shop.add", detail: str = "ValueError: no") -> None:
    deliveries = lease(app.broker, *ids, task=task, args=(1, 2))
    settle(
        app.broker,
        *(
            Bury(
                id=d.id, queue="q", token=d.token, reason="rejected", detail=detail, worker="n-1-a"
            )
            for d in deliveries
        ),
    )


def listed(run: Run, *arguments: str) -> list[str]:
    rows = run("list", "--json", *arguments).stdout.splitlines()
    return sorted(json.loads(row)["id"] for row in rows)


def test_dead_letters_are_listed_by_everything_that_is_known_of_them(
    app: Windlass, run: Run
) -> None:
    bury(app, "a", "b")
    bury(app, "c", task="shop.other", detail="KeyError: 'price'")
    today = datetime.now(UTC).date().isoformat()

    assert listed(run) == ["a", "b", "c"]
    assert listed(run, "--queue", "q", "--task", "shop.other") == ["c"]
    assert listed(run, "--error", "keyerror") == ["c"]
    assert listed(run, "--worker", "n") == listed(run, "--since", "1h") == ["a", "b", "c"]
    assert listed(run, "--until", "1h") == listed(run, "--reason", "failed") == []
    assert listed(run, "--until", today) == []
    assert listed(run, "--queue", "q", "--limit", "2", "--since", "2020-01-01T00:00Z") == ["b", "c"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("list", "--since", "soon"), "is no time"),
        (("replay", "--all", "--rate", "fast"), "cannot be read"),
        (("replay", "a", "--task", "x"), "ids exclude filters"),
        (("purge", "--limit", "3"), "nothing chosen to purge"),
    ],
)
def test_wrong_choices_are_usage_errors(run: Run, arguments: tuple[str, ...], says: str) -> None:
    result = run(*arguments)

    assert (result.exit_code, says in result.output) == (2, True)


def test_a_dry_run_says_how_many_and_does_nothing(app: Windlass, run: Run) -> None:
    bury(app, "a", "b", "c")

    assert run("replay", "--all", "--dry-run", "--limit", "2").output == (
        "2 dead letters would be replayed.\n"
    )
    assert run("purge", "--all", "--dry-run").output == "3 dead letters would be purged.\n"
    assert json.loads(run("replay", "--all", "--dry-run", "--json").output) == {
        "matched": 3, "replayed": 0, "dry_run": True,
    }  # fmt: skip
    assert read_depths(app.broker, ["q"])[0].dead == 3


def test_replays_are_spread_at_a_rate_that_the_broker_keeps(app: Windlass, run: Run) -> None:
    bury(app, "a", "b", "c")

    answer = run("replay", "--task", "shop.add", "--rate", "6/m", "--json").output

    assert json.loads(answer) == {"matched": 3, "replayed": 3, "dry_run": False}
    assert ids_of(fetch(app.broker)) == ["a"]
    due = read(app.broker, "ZRANGE", app.broker.keys.queue("q").scheduled, 0, -1, "WITHSCORES")
    assert (due[::2], int(due[3]) - int(due[1])) == ([b"0b", b"0c"], 10_000)
    assert read_depths(app.broker, ["q"])[0].dead == 0


def test_a_limit_replays_the_oldest_and_purge_drops_the_rest(app: Windlass, run: Run) -> None:
    for id_ in "abc":
        bury(app, id_)

    assert run("replay", "--all", "--limit", "1").output == "Replayed 1 of 1.\n"
    assert listed(run) == ["b", "c"]
    assert run("purge", "--error", "ValueError", "-f").output == "Purged 2.\n"
    assert app.broker.stage("c") is Stage.UNKNOWN


def test_show_tells_the_runs_before(app: Windlass, run: Run) -> None:
    write_record(app.broker, "q", max_deliveries=1)
    (delivery,) = lease(app.broker, "a", task="shop.add", args=(1, 2))
    attempt = Attempt(end="crashed", worker="n-7-ab", delivery=1, signal="SIGKILL")
    settle(app.broker, crashed(delivery, attempt=attempt.encode()))

    shown = json.loads(run("show", "a").output)

    (told,) = shown["attempts"]
    assert (told["end"], told["signal"], told["worker"]) == ("crashed", "SIGKILL", "n-7-ab")
    assert told["ended"].startswith("20")
    assert (shown["reason"], shown["generation"]) == ("max_deliveries", 0)


def replayed(app: Windlass, queue: str = "q") -> tuple[Any, int]:
    (delivery,) = fetch(app.broker, queues=(queue,)).deliveries
    return decode_message(delivery.id, delivery.raw), delivery.generation


def test_edit_changes_arguments_and_options_without_an_editor(app: Windlass, run: Run) -> None:
    bury(app, "a")
    changes = ("--args", "[3]", "--kwargs", '{"y": 4}', "--set", "queue=other", "--set",
               "priority=7", "--set", "time_limit=2.5")  # fmt: skip
    shown = json.loads(run("edit", "a", *changes, "--dry-run").output)
    assert (shown["args"], shown["kwargs"], shown["queue"]) == ([3], {"y": 4}, "other")
    assert app.broker.stage("a") is Stage.DEAD

    assert run("edit", "a", *changes).output == "Replayed a as changed.\n"

    message, generation = replayed(app, "other")
    assert json.loads(message.body) == [[3], {"y": 4}, {}]
    assert (message.priority, message.headers.timelimit, generation) == (7, (2.5, None), 1)


def test_edit_opens_the_call_in_an_editor(
    app: Windlass, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bury(app, "a")
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/\\b2\\b/5/" "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))

    assert run("edit", "a").output == "Replayed a as changed.\n"

    message, _ = replayed(app)
    assert json.loads(message.body) == [[1, 5], {}, {}]


def test_what_is_saved_unchanged_does_nothing(
    app: Windlass, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    bury(app, "a")
    monkeypatch.setenv("VISUAL", "true")

    assert "nothing was done" in run("edit", "a").output
    assert app.broker.stage("a") is Stage.DEAD


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (("--args", "[1,2,3]"), "does not take these arguments"),
        (("--args", "[1"), "is no JSON"),
        (("--args", "{}"), "no call"),
        (("--set", "colour=red"), "expected NAME=JSON"),
        (("--set", "queue=no spaces"), "not usable"),
    ],
)
def test_a_wrong_edit_is_refused_before_anything_is_written(
    app: Windlass, run: Run, changes: tuple[str, ...], says: str
) -> None:
    bury(app, "a")

    try:
        output = run("edit", "a", *changes).output
    except Exception as error:  # the command line prints it as one line
        output = str(error)

    assert says in output
    assert app.broker.stage("a") is Stage.DEAD
