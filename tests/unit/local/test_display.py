"""Plain lines: what changed is printed, what did not is not."""

from __future__ import annotations

import io

from rich.console import Console

from windlass_operator.local.display import PlainDisplay
from windlass_operator.local.snapshot import PoolRow, QueueRow, Rates, Snapshot
from windlass_operator.local.table import TableDisplay
from windlass_operator.plan import EmitEvent


def snapshot(ready: int = 0, waiting: int = 0, **pool: object) -> Snapshot:
    rows = QueueRow(name="emails", waiting=waiting, running=0, scheduled=0, dead=0, done=7)
    given = {"desired": 3, "current": 3, "slots": 6, **pool}
    return Snapshot(queues=(rows,), pools=(PoolRow(name="emails", ready=ready, **given),))  # type: ignore[arg-type]


def printed(*looks: tuple[float, Snapshot]) -> list[str]:
    stream = io.StringIO()
    display = PlainDisplay(stream)
    for at_s, look in looks:
        display.show(look, at_s)
    return stream.getvalue().splitlines()


def test_a_look_at_the_same_says_nothing() -> None:
    lines = printed((0.0, snapshot()), (9.0, snapshot()), (60.0, snapshot()))

    assert len(lines) == 2


def test_change_of_a_pool_is_said_at_once() -> None:
    lines = printed((0.0, snapshot()), (0.2, snapshot(ready=1)))

    assert lines[-1] == "   0.2 s  pool emails: 3 wanted, 3 there, 1 ready, 0 of 6 slots busy"


def test_moving_numbers_are_said_every_few_seconds() -> None:
    looks = [(tenth / 10, snapshot(waiting=tenth)) for tenth in range(120)]
    lines = [line for line in printed(*looks) if "queue emails" in line]

    assert [line.split(" s ")[0].strip() for line in lines] == ["0.0", "5.0", "10.0"]


def test_trouble_is_said_in_its_own_words() -> None:
    lines = printed((0.0, snapshot(is_well=False, words="WorkersCrashLooping: no module shop")))

    assert "0 ready, 0 of 6 slots busy. WorkersCrashLooping: no module shop" in lines[0]


def test_lines_of_workers_carry_their_names_and_keep_their_order() -> None:
    stream = io.StringIO()
    display = PlainDisplay(stream)
    display.worker_said("emails-7f3a1", "hello")
    display.event("WorkerPool/emails", EmitEvent(reason="ScaledUp", message="0 -> 3"))
    display.worker_said("bulk-1", "there")
    display.flush()

    assert stream.getvalue() == (
        "emails-7f3a1 | hello\nWorkerPool/emails ScaledUp: 0 -> 3\nbulk-1       | there\n"
    )


def test_table_shows_rows_and_prints_lines_above() -> None:
    stream = io.StringIO()
    display = TableDisplay(Console(file=stream, force_terminal=True, width=120, no_color=True))
    display.begin()
    display.worker_said("emails-7f3a1", "[not markup] hello")
    display.show(snapshot(ready=2, waiting=1234, reason="Steady", words="all [is] well"), 0.0)
    display.end()
    text = stream.getvalue()

    assert "[not markup] hello" in text
    for words in ("QUEUE", "WAITING", "1,234", "POOL", "READY", "Steady: all [is] well"):
        assert words in text


def test_rate_is_over_the_last_seconds() -> None:
    rates = Rates()
    key = ("default", "emails")
    seen = [rates.of(key, total, at_s) for at_s, total in ((0, 0), (1, 100), (2, 200), (10, 200))]

    assert seen[0] == 0
    assert seen[1] == seen[2] == 100
    assert rates.of(key, 200, 14.0) == 0
