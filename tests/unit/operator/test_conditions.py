"""Conditions over time, and the words for what is wrong with pods."""

from __future__ import annotations

from typing import Any

import pytest

from operator_builders import make_pod
from windlass_operator.conditions import Condition, merged, timestamp
from windlass_operator.health_of_pods import last_words, trouble
from windlass_operator.reasons import ConditionReason
from windlass_operator.status_writer import NUMBERS_S, is_due

NOW_S = 1_800_000_000.0


def one(status: bool | None, reason: str = "AsExpected", message: str = "") -> Condition:
    return Condition(type="Ready", status=status, reason=reason, message=message)


def test_the_transition_time_moves_only_when_the_status_flips() -> None:
    first = merged([], [one(True)], 1, NOW_S)
    reworded = merged(first, [one(True, "Other", "words")], 2, NOW_S + 60)
    flipped = merged(reworded, [one(False, "Other")], 2, NOW_S + 120)
    unknown = merged(flipped, [one(None)], 2, NOW_S + 180)

    assert first[0]["lastTransitionTime"] == timestamp(NOW_S)
    assert reworded[0]["lastTransitionTime"] == timestamp(NOW_S)
    assert reworded[0]["observedGeneration"] == 2
    assert reworded[0]["reason"] == "Other"
    assert flipped[0]["lastTransitionTime"] == timestamp(NOW_S + 120)
    assert unknown[0]["status"] == "Unknown"
    assert unknown[0]["lastTransitionTime"] == timestamp(NOW_S + 180)


def test_conditions_keep_their_order_and_old_ones_go() -> None:
    stored = merged([], [one(True), Condition(type="Old", status=True, reason="X")], 1, NOW_S)
    wanted = [Condition(type="New", status=False, reason="Y"), one(True)]

    assert [c["type"] for c in merged(stored, wanted, 1, NOW_S)] == ["New", "Ready"]


def test_a_message_fits_the_schema_and_a_stored_one_without_a_time_is_no_error() -> None:
    known = [{"type": "Ready", "status": "True"}]
    result = merged(known, [one(True, message="x" * 40_000)], 1, NOW_S)

    assert len(result[0]["message"]) == 32_768
    assert result[0]["lastTransitionTime"] == timestamp(NOW_S)


def test_times_are_whole_seconds_of_utc() -> None:
    assert timestamp(1_800_000_000.9) == "2027-01-15T08:00:00Z"


@pytest.mark.parametrize(
    ("sentence", "pods", "reason"),
    [
        ("no pods at all", [], None),
        ("all is well", [make_pod()], None),
        ("it is being created", [make_pod(is_ready=False, waiting_reason="ContainerCreating")],
         None),
        ("the image is not there", [make_pod(waiting_reason="ErrImagePull")],
         ConditionReason.IMAGE_PULL_FAILED),
        ("it loops", [make_pod(is_ready=False, waiting_reason="CrashLoopBackOff")],
         ConditionReason.WORKERS_CRASH_LOOPING),
        ("it loops, and runs at this moment", [make_pod(is_ready=False, restarts=3)],
         ConditionReason.WORKERS_CRASH_LOOPING),
        ("it restarted often, and is well now", [make_pod(restarts=50)], None),
        ("its Secret is not there",
         [make_pod(is_ready=False, waiting_reason="CreateContainerConfigError")],
         ConditionReason.WORKERS_CRASH_LOOPING),
        ("no node has room", [make_pod(is_ready=False, unschedulable="0/1 nodes")],
         ConditionReason.UNSCHEDULABLE),
        ("an image trouble explains the rest",
         [make_pod(is_ready=False, restarts=9), make_pod(waiting_reason="ErrImagePull")],
         ConditionReason.IMAGE_PULL_FAILED),
    ],
)  # fmt: skip
def test_trouble_of_pods(sentence: str, pods: list[Any], reason: str | None) -> None:
    found = trouble(pods)

    assert (found.reason if found else None) == reason, sentence


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("", ""),
        ("\n  \n", ""),
        ("starting\nready", "ready"),
        ("Traceback (most recent call last):\n  File x\nKeyError: 'A'\n", "KeyError: 'A'"),
        ("a.b.CustomError: no\nprocess ended", "a.b.CustomError: no"),
        ("Error: no app named shop", "Error: no app named shop"),
        ("E" * 5000, "E" * 1000),
    ],
)
def test_last_words_are_the_error_and_not_its_frames(log: str, words: str) -> None:
    assert last_words(log) == words


def status(**values: Any) -> dict[str, Any]:
    return {"conditions": merged([], [one(True)], 1, NOW_S), "backlog": 1, **values}


def test_a_status_is_written_at_once_for_news_and_seldom_for_numbers() -> None:
    flipped = {"conditions": merged(status()["conditions"], [one(False)], 1, NOW_S)}

    assert not is_due(status(), status(), 0.0, 1e9)
    assert is_due(status(), status(**flipped), 99.0, 100.0)
    assert is_due(status(), status(replicas=2), 99.0, 100.0)
    assert not is_due(status(), status(backlog=2), 100.0, 100.0 + NUMBERS_S - 1)
    assert is_due(status(), status(backlog=2), 100.0, 100.0 + NUMBERS_S)
