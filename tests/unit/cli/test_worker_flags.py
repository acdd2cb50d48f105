"""How the worker's command line is read; running it is in tests/integration/cli."""

from __future__ import annotations

import socket

import click
import pytest

from windlass import Windlass
from windlass.cli import banner
from windlass.cli.celery_flags import IGNORED, REFUSED, notices
from windlass.cli.options import lay_over
from windlass.cli.worker import worker
from windlass.cli.worker_flags import Flags
from windlass.cli.worker_setup import node_name, worker_options

HOST = socket.gethostname()


def make_app(**settings) -> Windlass:
    return Windlass("shop", broker="redis://localhost", set_as_current=False, **settings)


@pytest.mark.parametrize("flag", IGNORED, ids=lambda flag: flag.names[-1])
def test_flag_without_a_meaning_is_accepted_and_named(flag) -> None:
    for name in flag.names:
        arguments = [name, "1"] if flag.takes_value else [name]
        (sentence,) = notices(worker.make_context("worker", arguments))

        assert sentence.startswith("--")
        assert f"means nothing here: {flag.why}." in sentence


@pytest.mark.parametrize("flag", REFUSED, ids=lambda flag: flag.names[-1])
def test_flag_that_cannot_be_honoured_is_refused_with_what_to_do(flag) -> None:
    for name in flag.names:
        arguments = [name, "1"] if flag.takes_value else [name]
        with pytest.raises(click.UsageError, match=r"is not supported: .*Expected"):
            worker.make_context("worker", arguments)


def test_nothing_is_noted_when_nothing_was_given() -> None:
    assert notices(worker.make_context("worker", ["-c", "2"])) == []


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("windlass@%h", f"windlass@{HOST}"),
        ("w1", f"w1@{HOST}"),
        ("w1@%n", f"w1@{HOST.partition('.')[0]}"),
        ("100%%@x", "100%@x"),
    ],
)
def test_worker_name_is_filled_in(pattern: str, name: str) -> None:
    assert node_name(pattern) == name


def test_flags_win_over_settings_and_say_so() -> None:
    app = make_app(worker_concurrency=8, task_time_limit=60)
    flags = Flags(concurrency=2, pool="threads", queues=("a", "b"), exclude_queues=("b",))
    lay_over(app, flags.settings())
    options = worker_options(app, flags, "w@h")

    assert (options.concurrency, options.pool, options.queues) == (2, "threads", ("a",))
    assert options.time_limit_s == 60
    assert app.conf.origin("worker_concurrency") == "flag --concurrency"
    assert app.conf.origin("task_time_limit") == "argument task_time_limit="


def test_flags_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINDLASS_WORKER_CONCURRENCY", "5")
    app = make_app(worker_concurrency=8)
    assert worker_options(app, Flags(), "w@h").concurrency == 5
    lay_over(app, Flags(concurrency=2).settings())

    assert worker_options(app, Flags(), "w@h").concurrency == 2


def test_concurrency_is_the_usable_cpus_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 3, 5})

    assert worker_options(make_app(), Flags(), "w@h").concurrency == 3


def test_banner_as_a_record_gives_origins_but_for_defaults() -> None:
    lines = [
        banner.Line("pool", "prefork", "default"),
        banner.Line("soft limit", "5s", "flag --soft-time-limit"),
    ]

    assert banner.as_record(lines) == {
        "pool": "prefork",
        "soft_limit": "5s (flag --soft-time-limit)",
    }


def test_banner_lists_some_tasks_and_counts_the_rest() -> None:
    text = banner.render("w@h", [banner.Line("app", "shop")], [f"t{n:02d}" for n in range(35)])

    assert "35 tasks" in text
    assert "t29" in text
    assert "t30" not in text
    assert "and 5 more" in text
