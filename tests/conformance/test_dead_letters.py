"""Dead letters on every broker: how messages become them, replays, selections, edits."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from attempt_samples import again, ends, noted
from broker_samples import Sample, bury, crashed, depth, hand_back
from broker_state import FINAL, NOW, done, fetch, ids_of, lease, send, settle
from builders import make_message
from windlass.attempts import Ending
from windlass.brokers.base import DeadEnd, Delivery, Park
from windlass.control_plane import dead_selection
from windlass.control_plane.dead_edit import (
    DeadLetterChangedError,
    NotEditableError,
    open_edit,
    read_edit,
    replay_edited,
)
from windlass.control_plane.dead_letters import list_dead, purge_dead, replay, show_dead
from windlass.control_plane.dead_selection import (
    Selection,
    purge_selected,
    replay_selected,
    select,
)
from windlass.control_plane.history import attempts_of, counters_of
from windlass.control_plane.parking import ParkLimits
from windlass.control_plane.queue_record import write_record
from windlass.errors import ConfigurationError
from windlass.messages import Headers, decode_message
from windlass.states import Stage


def dead_end(delivery: Delivery, reason: str = "failed", **options: Any) -> DeadEnd:
    return DeadEnd(
        id=delivery.id, queue=delivery.queue, token=delivery.token, state="FAILURE", reason=reason,
        detail="ValueError: no", worker="w1", attempt=noted(Ending.FAILED, error="ValueError"),
        **options,
    )  # fmt: skip


# -- ends that make dead letters


def test_a_failure_that_is_kept_has_its_outcome_its_followups_and_its_message(broker: Any) -> None:
    (delivery,) = lease(broker, "a")
    followup = make_message(id="errback", queue="q")

    assert settle(broker, dead_end(delivery, result=FINAL, followups=(followup,))) == []

    letter = show_dead(broker, "q", "a")
    assert letter is not None
    assert (letter.reason, letter.detail, letter.worker, letter.raw) == (
        "failed", "ValueError: no", "w1", delivery.raw,
    )  # fmt: skip
    assert ends(broker, "a") == ["failed"]
    assert ids_of(fetch(broker)) == ["errback"]
    assert (depth(broker).completed, depth(broker).dead) == (1, 1)
    assert settle(broker, dead_end(delivery)) == ["a"]


def test_a_queue_says_with_each_fetch_which_ends_it_keeps(broker: Any) -> None:
    assert fetch(broker).keeps == {}
    write_record(broker, "q", dead_failed=True)
    assert fetch(broker).keeps == {"q": frozenset({"failed"})}
    write_record(broker, "q", dead_expired=True)

    assert fetch(broker, queues=("q", "other")).keeps == {"q": frozenset({"expired", "failed"})}


def test_what_is_parked_too_long_becomes_a_dead_letter(brokers: Sample) -> None:
    broker, limits = brokers.broker, ParkLimits(brokers.broker, "w2", lambda _: FINAL)
    write_record(broker, "q", park_limit_s=60)
    old, young = lease(broker, "old", "young")
    settle(broker, Park(id=old.id, queue="q", token=old.token, task="tests.new"))
    brokers.at(NOW + 1)
    settle(broker, Park(id=young.id, queue="q", token=young.token, task="tests.new"))
    brokers.at(NOW + 60_000)

    assert limits.run_once(["q", "empty"]) == 1
    assert limits.run_once(["q"]) == 0
    (letter,) = list_dead(broker, "q")
    assert (letter.id, letter.reason, "tests.new" in letter.detail) == (
        "old", "parked_too_long", True,
    )  # fmt: skip
    assert broker.stage("young") is Stage.PARKED


# -- replay


def test_a_replayed_message_is_the_next_generation_with_its_history(broker: Any) -> None:
    (delivery,) = lease(broker, "a")
    for generation in range(1, 3):
        settle(broker, dead_end(delivery))
        assert replay(broker, "q", ["a"]) == 1
        (delivery,) = fetch(broker).deliveries
        assert (delivery.generation, delivery.deliveries, delivery.is_suspect) == (
            generation, 0, False,
        )  # fmt: skip
        assert delivery.forgets_retries

    assert ends(broker, "a") == ["failed", "replayed", "failed", "replayed"]
    settle(broker, again(delivery))
    (delivery,) = fetch(broker).deliveries
    assert (delivery.generation, delivery.forgets_retries) == (2, False)
    settle(broker, done(delivery))
    assert counters_of(broker, "a").generation == 0


def test_replay_never_puts_a_message_in_two_places(broker: Any) -> None:
    (delivery,) = lease(broker, "a")
    settle(broker, bury(delivery))

    # A client that sends the id again while it is dead, somebody who replays it twice.
    assert broker.enqueue([make_message(id="a", queue="q")]) == [False]
    assert [replay(broker, "q", ["a", "a"]), replay(broker, "q", ["a"])] == [1, 0]
    assert broker.enqueue([make_message(id="a", queue="q")]) == [False]
    (delivery,) = fetch(broker).deliveries
    assert replay(broker, "q", ["a"]) == 0
    assert ids_of(fetch(broker)) == []
    settle(broker, hand_back(delivery))
    assert ids_of(fetch(broker)) == ["a"]


def test_replays_are_spread_over_time_by_the_broker(brokers: Sample) -> None:
    broker = brokers.broker
    for delivery in lease(broker, "a", "b", "c"):
        settle(broker, bury(delivery))

    assert replay(broker, "q", ["a", "b", "c"], start_ms=NOW, apart_ms=500) == 3

    assert ids_of(fetch(broker)) == ["a"]
    assert (depth(broker).scheduled, depth(broker).next_due_ms) == (2, NOW + 500)
    brokers.at(NOW + 1000)
    assert ids_of(fetch(broker)) == ["b", "c"]


# -- many of them


def dead_letters(brokers: Sample) -> Any:
    """Four of them: two reasons, two tasks, a second apart."""
    broker = brokers.broker
    for number, (task, is_crash) in enumerate(
        [("tests.a", True), ("tests.a", False), ("tests.b", True), ("tests.b", False)]
    ):
        brokers.at(NOW + number * 1000)
        (delivery,) = lease(broker, f"m{number}", task=task)
        if is_crash:
            write_record(broker, "q", max_deliveries=1)
            settle(broker, crashed(delivery))
        else:
            settle(broker, bury(delivery))
    brokers.at(NOW + 10_000)
    return broker


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, "3210"),
        ({"task": "tests.a"}, "10"),
        ({"reason": "max_deliveries"}, "20"),
        ({"error": "sigKILL"}, "20"),
        ({"error": "no json", "task": "tests.b"}, "3"),
        ({"worker": "w1"}, "3210"),
        ({"worker": "w2"}, ""),
        ({"since_ms": NOW + 1000, "until_ms": NOW + 2000}, "21"),
    ],
)
def test_dead_letters_are_selected_by_what_is_known_of_them(
    brokers: Sample, where: dict[str, Any], expected: str
) -> None:
    broker = dead_letters(brokers)

    found = [letter.id[1:] for letter in select(broker, "q", Selection(**where))]

    assert "".join(found) == expected


def test_a_selection_is_replayed_oldest_first_up_to_a_limit(brokers: Sample) -> None:
    broker, where = dead_letters(brokers), Selection(reason="undecodable")
    counted = replay_selected(broker, "q", where, dry_run=True)
    assert (counted.matched, counted.done, depth(broker).dead) == (2, 0, 4)

    tally = replay_selected(broker, "q", Selection(), limit=3)

    assert (tally.matched, tally.done) == (3, 3)
    assert ids_of(fetch(broker)) == ["m0", "m1", "m2"]
    assert [letter.id for letter in list_dead(broker, "q")] == ["m3"]


def test_a_selection_of_several_pages_is_replayed_whole(
    broker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_selection, "PAGE", 2)
    for number, delivery in enumerate(lease(broker, *"abcdefg")):
        settle(broker, bury(delivery) if number % 3 else dead_end(delivery))

    tally = replay_selected(broker, "q", Selection(reason="undecodable"))

    assert (tally.matched, tally.done) == (4, 4)
    assert sorted(letter.id for letter in select(broker, "q", Selection())) == ["a", "d", "g"]


def test_a_selection_is_purged(brokers: Sample) -> None:
    broker = dead_letters(brokers)
    assert purge_selected(broker, "q", Selection(task="tests.a"), dry_run=True).matched == 2

    assert purge_selected(broker, "q", Selection(task="tests.a")).done == 2
    assert [letter.id for letter in list_dead(broker, "q")] == ["m3", "m2"]
    assert purge_dead(broker, "q") == 2


# -- editing


def edited(broker: Any, **headers: Any) -> Any:
    """Make one dead letter whose retries are used up."""
    body = msgspec.json.encode(([1, 2], {"k": "v"}, {"callbacks": None}))
    send(broker, "a", body=body, headers=Headers(retries=3, **headers), priority=4)
    settle(broker, bury(fetch(broker).deliveries[0]))
    letter = show_dead(broker, "q", "a")
    assert letter is not None
    return letter


def test_a_dead_letter_is_changed_and_replayed_in_one_step(broker: Any) -> None:
    letter = edited(broker)
    edit = open_edit(letter)
    assert (edit.args, edit.kwargs, edit.queue, edit.priority) == ([1, 2], {"k": "v"}, "q", 4)

    change = {"args": [1, 3], "queue": "other", "time_limit": 9.0}
    replay_edited(broker, letter, msgspec.structs.replace(edit, **change))

    (delivery,) = fetch(broker, queues=("other",)).deliveries
    message = decode_message("a", delivery.raw)
    assert (delivery.id, delivery.generation, message.queue, message.priority) == (
        "a", 1, "other", 4,
    )  # fmt: skip
    assert msgspec.json.decode(message.body) == [[1, 3], {"k": "v"}, {"callbacks": None}]
    assert (message.headers.retries, message.headers.timelimit) == (0, (9.0, None))
    (mark,) = attempts_of(broker, "a")
    assert (mark.end, len(mark.digest)) == ("replayed", 64)
    assert list_dead(broker, "q") == []


def test_an_edit_of_what_was_replayed_meanwhile_does_nothing(broker: Any) -> None:
    letter = edited(broker)
    edit = open_edit(letter)
    replay(broker, "q", ["a"])

    with pytest.raises(DeadLetterChangedError, match="meanwhile"):
        replay_edited(broker, letter, edit)
    assert [each.raw for each in fetch(broker).deliveries] != []
    assert ids_of(fetch(broker)) == []


def test_an_edit_of_other_bytes_than_those_shown_does_nothing(broker: Any) -> None:
    letter = edited(broker)
    stale = msgspec.structs.replace(letter, raw=letter.raw + b" ")

    with pytest.raises((DeadLetterChangedError, NotEditableError)):
        replay_edited(broker, stale, open_edit(letter))
    assert broker.stage("a") is Stage.DEAD


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        (
            {"content_type": "application/x-python-serialize"},
            "content type is application/x-python",
        ),
        ({"seal": "m"}, "signed or encrypted"),
        ({"failing": ("same", "t")}, "another one has failed"),
        ({"content_encoding": "zlib"}, "cannot be read"),
    ],
)
def test_what_is_not_plain_data_is_not_edited(
    broker: Any, headers: dict[str, Any], says: str
) -> None:
    with pytest.raises(NotEditableError, match=says):
        open_edit(edited(broker, **headers))


@pytest.mark.parametrize(
    ("change", "says"),
    [({"priority": 10}, "0 to 9"), ({"queue": "no spaces"}, "not usable"), ({"task": ""}, "task")],
)
def test_an_edit_out_of_range_is_refused_before_anything_is_written(
    broker: Any, change: dict[str, Any], says: str
) -> None:
    letter = edited(broker)

    with pytest.raises(ConfigurationError, match=says):
        replay_edited(broker, letter, msgspec.structs.replace(open_edit(letter), **change))
    assert broker.stage("a") is Stage.DEAD


@pytest.mark.parametrize("text", ["nonsense", "{}", '{"task":"t","queue":"q","args":[],"x":1}'])
def test_what_is_no_edit_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="no call"):
        read_edit(text)
