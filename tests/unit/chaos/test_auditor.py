"""The auditor of chaos runs on logs made by hand: a good one passes, each bad one is found out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest

import chaos_log as log
from chaos_audit import audit
from chaos_checks import Terms

TERMS = Terms(lease_s=2.0)


def make_call(n: int, what: str, **fields: Any) -> list[log.Line]:
    """A call that was sent."""
    call = log.Sending(at=1.0, n=n, what=what, id=f"m{n}", **fields)
    return [call, log.Sent(at=1.1, n=n, ids=[f"m{n}"])]


def make_run(run: str, id_: str, n: int, at: float = 2.0, **fields: Any) -> list[log.Line]:
    """A run that ended well after a second."""
    given: dict[str, Any] = {
        "role": "work", "worker": "w0.1", "deliveries": 0, "retries": 0, "handbacks": 0,
        "wall_s": 0.0, **fields,
    }  # fmt: skip
    start = log.Start(at=at, run=run, id=id_, n=n, **given)
    return [start, log.End(at=at + 1, run=run, how="ok")]


def make_outcome(id_: str, run: str, at: float = 9.0, state: str = "SUCCESS") -> log.Seen:
    return log.Seen(at=at, id=id_, state=state, value=run)


def make_fault(what: str, target: str, at: float, until: float) -> log.Fault:
    return log.Fault(at=at, what=what, target=target, until=until, evidence="seen")


REST = [log.Left(at=10.0, sizes={})]
PLAIN = [*make_call(1, "plain"), *make_run("r1", "m1", 1), make_outcome("m1", "r1")]
LINK = [
    *make_call(2, "link"),
    *make_run("r2", "m2", 2),
    *make_run("f2", "m2f", 2, 4.0, role="follow", parents=["r2"]),
    make_outcome("m2", "r2"),
    make_outcome("m2f", "f2"),
]
#: Run by w0, which is frozen, and then by w1; the first one's commit is refused.
TWICE = [
    *make_call(3, "nap"),
    *make_run("r3", "m3", 3),
    *make_run("s3", "m3", 3, 5.0, worker="w1.1", deliveries=1),
    make_fault("freeze", "w0.1", 2.5, 6.0),
    make_outcome("m3", "s3"),
]
POISON = [
    *make_call(4, "poison", queue="poison"),
    *(
        make_run(f"r4{k}", "m4", 4, 2.0 + 2 * k, deliveries=k, worker="w2.1")[0]  # never ends
        for k in range(3)
    ),
    make_outcome("m4", "", state="FAILURE"),
    log.Dead(
        at=9.0,
        id="m4",
        queue="poison",
        reason="max_deliveries",
        deliveries=3,
        attempts=["crashed", "lost", "crashed"],
    ),
]
GOOD = [*PLAIN, *LINK, *TWICE, *POISON, *REST]


def promises(lines: Iterable[Any], terms: Terms = TERMS) -> set[str]:
    return audit(lines, terms).kinds()


def without(lines: Iterable[Any], is_it: Callable[[Any], bool]) -> list[Any]:
    return [line for line in lines if not is_it(line)]


def is_outcome_of(id_: str) -> Callable[[Any], bool]:
    return lambda line: isinstance(line, log.Seen) and line.id == id_


def test_a_good_log_has_no_findings() -> None:
    assert audit(GOOD, TERMS).findings == []


def test_lines_come_back_as_they_were_written(tmp_path: Any) -> None:
    book = log.Logbook(tmp_path / "log")
    book.write(*GOOD)
    book.close()

    assert list(log.read(tmp_path / "log")) == GOOD


def test_a_call_without_outcome_is_lost() -> None:
    assert promises(without(GOOD, is_outcome_of("m1"))) == {"lost"}


def test_a_call_that_never_began_is_lost() -> None:
    assert promises([*GOOD, *make_call(9, "plain")]) == {"lost"}


def test_a_call_that_raised_may_be_there_or_not() -> None:
    unsent = [log.Sending(at=1.0, n=9, what="plain", id="m9"), log.Unsent(at=2.0, n=9, error="")]

    assert promises([*GOOD, *unsent]) == set()


def test_a_workload_that_was_not_sent_whole_proves_nothing() -> None:
    assert promises([*GOOD, log.Note(at=1.0, name="planned", value=5)]) == {"unsent"}


def test_a_follow_up_that_never_began_is_lost() -> None:
    gone = without(GOOD, lambda line: getattr(line, "id", "") == "m2f")

    assert promises(without(gone, lambda line: getattr(line, "run", "") == "f2")) == {"lost"}


def test_a_follow_up_that_is_two_messages_was_committed_twice() -> None:
    twin = [*make_run("g2", "m2g", 2, 6.0, role="follow", parents=["r2"])]

    assert promises([*GOOD, *twin, make_outcome("m2g", "g2")]) == {"committed-twice"}


def test_a_follow_up_of_another_run_than_the_outcomes_was_committed_apart() -> None:
    changed = [
        msgspec.structs.replace(line, parents=["r0"]) if getattr(line, "run", "") == "f2"
        and isinstance(line, log.Start) else line
        for line in GOOD
    ]  # fmt: skip

    assert promises(changed) == {"committed-twice"}


def test_an_outcome_that_changes_after_it_was_final_is_found() -> None:
    early = make_outcome("m3", "r3", at=4.0)

    assert promises([early, *GOOD]) == {"outcome-changed"}


def test_an_outcome_of_a_run_that_never_ended_is_found() -> None:
    cut = without(GOOD, lambda line: isinstance(line, log.End) and line.run == "r1")

    assert promises(cut) == {"outcome-unrun"}


def test_a_second_run_needs_a_cause() -> None:
    calm = without(GOOD, lambda line: isinstance(line, log.Fault))

    assert promises(calm) == {"run-twice"}


@pytest.mark.parametrize(
    ("fault", "explains"),
    [
        (make_fault("kill_worker", "w0.1", 2.5, 2.6), True),
        (make_fault("kill_worker", "w1.1", 2.5, 2.6), False),
        (make_fault("kill_worker", "w0.1", 5.5, 5.6), False),
        (make_fault("redis_kill", "*", 4.0, 4.1), True),
        (make_fault("clock", "*", 2.5, 2.5), False),
        (make_fault("cordon", "w0.1", 2.5, 5.0), False),
    ],
    ids=["its worker", "another worker", "too late", "the broker", "a clock", "a cordon"],
)
def test_only_what_can_end_a_lease_is_a_cause(fault: log.Fault, explains: bool) -> None:
    calm = without(GOOD, lambda line: isinstance(line, log.Fault))

    assert (promises([*calm, fault]) == set()) == explains


def test_what_a_frozen_worker_had_in_hand_may_begin_after_the_second_run() -> None:
    late = [
        *make_call(12, "plain"),
        *make_run("s12", "m12", 12, 3.0, worker="w1.1", deliveries=1),
        *make_run("r12", "m12", 12, 4.0),  # refused
        make_outcome("m12", "s12"),
    ]

    assert promises([*GOOD, *late]) == set()
    assert promises(without([*GOOD, *late], lambda line: isinstance(line, log.Fault))) == {
        "run-twice"
    }


def test_a_call_that_was_tried_again_while_it_ran_is_counted_and_no_finding() -> None:
    call = [log.Sending(at=1.0, n=5, what="early", id="m5"), log.Sent(at=2.5, n=5, ids=["m5"])]
    first = make_run("r5", "m5", 5, 2.0, token=1)
    in_time = make_run("s5", "m5", 5, 2.6, token=2)
    returned = [msgspec.structs.replace(call[1], at=1.9)]

    assert promises([*GOOD, *call, *first, *in_time]) == set()
    assert promises([*GOOD, call[0], *returned, *first, *in_time]) == {"run-twice"}


def test_two_runs_of_one_delivery_are_found() -> None:
    again = make_run("s1", "m1", 1, 6.0, worker="w1.1")
    fault = make_fault("freeze", "w0.1", 2.0, 6.0)

    assert promises([*GOOD, *again, fault]) == {"run-twice"}


def test_a_crash_shared_with_a_neighbour_is_not_counted_at_once() -> None:
    again = make_run("s1", "m1", 1, 6.0, worker="w1.1")
    lines = [*GOOD, *again, make_fault("kill_slot", "w0.1", 2.5, 2.6)]

    assert "run-twice" not in promises(lines)


def test_what_is_acknowledged_at_start_runs_once_whatever_happens() -> None:
    lines = [
        *make_call(5, "early"),
        *make_run("r5", "m5", 5),
        *make_run("s5", "m5", 5, 5.0, worker="w1.1", deliveries=1),
        make_fault("kill_worker", "w0.1", 2.5, 2.6),
    ]

    assert promises([*GOOD, *lines]) == {"run-twice"}


def test_what_is_acknowledged_at_start_may_have_no_outcome() -> None:
    assert promises([*GOOD, *make_call(5, "early"), make_run("r5", "m5", 5)[0]]) == set()


def test_a_dead_letter_that_had_not_to_be_one_is_found() -> None:
    letter = log.Dead(at=9.0, id="m1", queue="main", reason="max_deliveries", deliveries=3)

    assert promises([*GOOD, letter]) == {"dead"}


def test_a_dead_letter_that_is_missing_is_lost() -> None:
    assert promises(without(GOOD, lambda line: isinstance(line, log.Dead))) == {"lost"}


def test_a_dead_letter_without_its_history_is_found() -> None:
    forgetful = [
        msgspec.structs.replace(line, attempts=["crashed"]) if isinstance(line, log.Dead) else line
        for line in GOOD
    ]

    assert promises(forgetful) == {"dead"}


def test_a_duplicate_of_a_unique_call_has_the_outcome_of_the_first() -> None:
    first = log.Sending(at=1.0, n=10, what="unique", key="red")
    second = log.Sending(at=1.2, n=11, what="unique", key="red")
    sent = [log.Sent(at=1.1, n=10, ids=["u"]), log.Sent(at=1.3, n=11, ids=["u"])]
    lines = [first, second, *sent, *make_run("r10", "u", 10)]

    assert promises([*GOOD, *lines, make_outcome("u", "r10")]) == set()
    assert promises([*GOOD, *lines]) == {"lost"}


def test_more_crashes_than_the_cap_are_found() -> None:
    more = make_run("r43", "m4", 4, 8.5, deliveries=3, worker="w2.1")[:1]

    assert promises([*GOOD, *more]) == {"dead"}


def test_what_was_revoked_in_time_must_not_run() -> None:
    call = make_call(6, "revoke", delay_s=30.0)
    lines = [*call, log.Revoked(at=1.2, n=6), make_outcome("m6", "", state="REVOKED")]
    ran = make_run("r6", "m6", 6)

    assert promises([*GOOD, *lines]) == set()
    assert "revoked" in promises([*GOOD, *lines, *ran])


def test_nothing_begins_before_its_countdown_is_over() -> None:
    on_time = [*make_call(7, "delay", delay_s=0.9), *make_run("r7", "m7", 7)]
    early = [*make_call(7, "delay", delay_s=1.2), *make_run("r7", "m7", 7)]
    outcome = make_outcome("m7", "r7")

    assert promises([*GOOD, *on_time, outcome]) == set()
    assert promises([*GOOD, *early, outcome]) == {"too-early"}


def test_a_retry_waits_for_its_delay() -> None:
    def tries(second_at: float) -> list[Any]:
        first = make_run("r8", "m8", 8)
        first[1] = log.End(at=3.0, run="r8", how="retry")
        second = make_run("s8", "m8", 8, second_at, retries=1)
        return [*make_call(8, "retry", delay_s=1.0), *first, *second, make_outcome("m8", "s8")]

    assert promises([*GOOD, *tries(4.1)]) == set()
    assert promises([*GOOD, *tries(3.5)]) == {"too-early"}


def burst(*order: int, handbacks: int = 0) -> list[Any]:
    """Calls 20 (priority 0), 21 (9), 22 (9), started in this order."""
    lines: list[Any] = []
    for n, priority in ((20, 0), (21, 9), (22, 9)):
        lines += make_call(n, "order", priority=priority, burst=1)
        lines += make_run(f"r{n}", f"m{n}", n, 3.0 + order.index(n), handbacks=handbacks)
        lines.append(make_outcome(f"m{n}", f"r{n}"))
    return lines


def test_order_is_by_priority_and_then_by_sending() -> None:
    assert promises([*GOOD, *burst(21, 22, 20)]) == set()
    assert promises([*GOOD, *burst(22, 21, 20)]) == {"order"}
    assert promises([*GOOD, *burst(20, 21, 22)]) == {"order"}


def test_what_was_in_other_hands_before_may_be_out_of_order() -> None:
    assert promises([*GOOD, *burst(20, 21, 22, handbacks=1)]) == set()


@pytest.mark.parametrize("lines", [[], [log.Left(at=10.0, sizes={"main:leased": 1})]])
def test_a_broker_that_is_not_empty_at_rest_is_found(lines: list[Any]) -> None:
    restless = without(GOOD, lambda line: isinstance(line, log.Left))

    assert promises([*restless, *lines]) == {"left-behind"}


@pytest.mark.parametrize(
    ("completed", "found"), [(4, set()), (5, {"committed-twice"}), (3, {"lost"})]
)
def test_counters_of_the_broker_agree(completed: int, found: set[str]) -> None:
    counters = [
        log.Counted(at=10.0, queue="main", name="enqueued", value=4),
        log.Counted(at=10.0, queue="main", name="completed", value=completed),
    ]

    assert promises([*GOOD, *counters]) == found


def test_a_worker_that_takes_no_work_at_the_end_is_found() -> None:
    assert promises([*GOOD, log.Note(at=10.0, name="idle: w1", value=20)]) == {"idle"}


def test_a_fault_that_did_not_happen_is_found() -> None:
    terms = Terms(lease_s=2.0, faults=("freeze", "cut"))

    verdict = audit(GOOD, terms)

    assert [f.text for f in verdict.findings] == ["cut was not seen to happen"]


def side_by_side(what: str, *spans: tuple[float, float], key: str = "") -> list[Any]:
    """Calls 30, 31, ... of a limited kind that ran from and until these times."""
    lines: list[Any] = []
    for n, (since, until) in enumerate(spans, 30):
        start, end = make_run(f"r{n}", f"m{n}", n, since)
        lines += [*make_call(n, what, key=key), start, msgspec.structs.replace(end, at=until)]
        lines.append(make_outcome(f"m{n}", f"r{n}"))
    return lines


def test_more_at_once_than_may_be_are_found() -> None:
    two = side_by_side("few", (1.0, 2.0), (1.5, 2.5), (2.0, 3.0))
    three = side_by_side("few", (1.0, 2.0), (1.5, 2.5), (1.9, 3.0))

    assert promises([*GOOD, *two]) == set()
    assert promises([*GOOD, *three]) == {"limit"}


def test_keys_are_limited_each_by_itself() -> None:
    red = side_by_side("keyed", (1.0, 2.0), (2.0, 3.0), key="red")
    together = side_by_side("keyed", (1.0, 2.0), (1.9, 3.0), key="red")
    apart = [
        msgspec.structs.replace(line, key="blue") if getattr(line, "what", "") == "keyed"
        and line.n == 31 else line
        for line in together
    ]  # fmt: skip

    assert promises([*GOOD, *red]) == set()
    assert promises([*GOOD, *apart]) == set()
    assert promises([*GOOD, *together]) == {"limit"}


def test_a_run_that_lost_its_lease_is_not_counted() -> None:
    frozen = make_run("z30", "m30", 30, 0.5, worker="w1.1")
    again = side_by_side("few", (1.0, 2.0), (1.0, 2.0))
    counted = [
        msgspec.structs.replace(line, deliveries=1) if getattr(line, "run", "") == "r30"
        and isinstance(line, log.Start) else line
        for line in again
    ]  # fmt: skip
    fault = make_fault("freeze", "w1.1", 0.6, 3.0)

    assert promises([*GOOD, *frozen, *counted, fault]) == set()


def test_a_rate_holds_in_every_window() -> None:
    even = side_by_side("rated", *((1 + k / 40, 9.0) for k in range(300)))
    crowd = side_by_side("rated", *((1 + k / 400, 9.0) for k in range(300)))
    calm = [line for line in GOOD if not isinstance(line, log.Fault) and line not in TWICE]

    assert promises([*calm, *even]) == set()
    assert promises([*calm, *crowd]) == {"limit"}
