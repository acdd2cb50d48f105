"""The scale-down protocol, step by step."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from operator_builders import make_deployment, make_pod
from situations import busy, cordoned, idle, names, of_kind, situation, under_way
from windlass_operator.models.workerpool import ScaleDownPolicy
from windlass_operator.plan import (
    CordonWorker,
    EmitEvent,
    SetDeletionCost,
    SetReplicas,
    UncordonWorker,
)
from windlass_operator.reasons import EventReason
from windlass_operator.scale_down import (
    STUCK_S,
    VICTIM_COST,
    Step,
    step,
)
from windlass_operator.victims import Situation, choose_victims


@pytest.mark.parametrize(
    ("sentence", "world", "expected"),
    [
        ("an idle worker goes before a busy one", situation(busy("a"), idle("b")), ["b"]),
        (
            "of busy ones the least loaded goes first",
            situation(idle("a", busy=3), busy("b")),
            ["b"],
        ),
        (
            "what is leased and not begun counts as load",
            situation(idle("a", held=2), busy("b"), idle("c"), target=1),
            ["c", "b"],
        ),
        (
            "a pod that waits for its image goes before any worker",
            situation(
                idle("a"),
                pods=[
                    make_pod("a"),
                    make_pod("b", is_ready=False, phase="Pending", waiting_reason="ErrImagePull"),
                ],
            ),
            ["b"],
        ),
        (
            "a ready pod without a heartbeat is unknown, and never chosen",
            situation(idle("a"), pods=[make_pod("a"), make_pod("b")], target=0),
            ["a"],
        ),
        (
            "a starting pod without a heartbeat may have begun a task: never chosen",
            situation(pods=[make_pod("a", is_ready=False), make_pod("b")], target=0),
            [],
        ),
        (
            "a pod that is going already is not chosen again",
            situation(idle("a"), idle("b"), pods=[make_pod("a", is_deleting=True), make_pod("b")],
                      target=0),
            ["b"],
        ),
        (
            "of equal ones the youngest goes",
            situation(idle("a"), idle("b"), pods=[
                make_pod("a", created_s=1.0), make_pod("b", created_s=2.0)]),
            ["b"],
        ),
    ],
)  # fmt: skip
def test_choosing(sentence: str, world: Situation, expected: list[str]) -> None:
    assert names(choose_victims(world, 10.0)) == expected, sentence


def test_a_scale_down_begins_with_a_cordon_and_no_scale() -> None:
    result = step(None, situation(idle("a"), idle("b")), 10.0)

    assert of_kind(result, CordonWorker)
    assert not of_kind(result, SetReplicas)
    assert result.state is not None
    assert len(result.state.victims) == 1


def test_an_empty_victim_is_made_final_and_waits_for_one_more_heartbeat() -> None:
    world = situation(busy("a"), cordoned("b"))
    first = step(under_way("b"), world, 10.0)

    assert [a.is_final for a in of_kind(first, CordonWorker)] == [True]
    assert of_kind(first, SetDeletionCost) == [SetDeletionCost(pod="b", cost=VICTIM_COST)]
    assert not of_kind(first, SetReplicas)

    same_beat = step(first.state, world, 12.0)
    assert not of_kind(same_beat, SetReplicas)

    later = step(first.state, situation(busy("a"), cordoned("b", seen_ms=2000)), 15.0)
    assert of_kind(later, SetReplicas) == [
        SetReplicas(deployment="emails", replicas=1, resource_version="100")
    ]


def test_a_victim_that_leased_before_its_cordon_came_is_found_out_by_the_later_heartbeat() -> None:
    """seen idle -> leases -> cordon lands -> the old heartbeat still says idle and cordoned."""
    first = step(under_way("b"), situation(busy("a"), cordoned("b")), 10.0)
    later = step(first.state, situation(busy("a"), cordoned("b", seen_ms=2000, busy=1)), 15.0)

    assert not of_kind(later, SetReplicas)


def test_nothing_is_scaled_while_a_victim_counts_as_ready() -> None:
    state = under_way("b", is_confirmed=True, finalized_s=5.0)
    pods = [make_pod("a"), make_pod("b", is_ready=True)]
    seen_ready = step(state, situation(busy("a"), cordoned("b", seen_ms=2000), pods=pods), 10.0)
    assert not of_kind(seen_ready, SetReplicas)

    unready = [make_pod("a"), make_pod("b", is_ready=False)]
    controller_is_late = situation(
        busy("a"),
        cordoned("b", seen_ms=2000),
        pods=unready,
        deployment=make_deployment(replicas=2, ready=2),
    )
    assert not of_kind(step(state, controller_is_late, 10.0), SetReplicas)


def test_a_victim_that_never_turns_unready_is_kept_with_a_warning() -> None:
    state = under_way("b", is_confirmed=True, finalized_s=5.0)
    pods = [make_pod("a"), make_pod("b", deletion_cost=VICTIM_COST)]
    world = situation(busy("a"), cordoned("b", seen_ms=2000), pods=pods)

    result = step(state, world, 5.1 + STUCK_S)

    assert result.state is None
    assert result.floor == 2
    assert of_kind(result, UncordonWorker) == [UncordonWorker(worker_id="b@1")]
    assert of_kind(result, SetDeletionCost) == [SetDeletionCost(pod="b", cost=0)]
    assert of_kind(result, EmitEvent)[0].reason == EventReason.SCALE_DOWN_ABANDONED


def test_a_victim_that_stays_busy_is_let_be_and_becomes_a_floor() -> None:
    world = situation(busy("a"), cordoned("b", busy=1))

    waiting = step(under_way("b"), world, 59.0)
    over = step(under_way("b"), world, 60.0)

    assert not of_kind(waiting, UncordonWorker)
    assert of_kind(over, UncordonWorker) == [UncordonWorker(worker_id="b@1")]
    assert over.floor == 2
    assert over.state is None


def test_of_several_victims_the_empty_go_and_the_busy_are_let_be() -> None:
    world = situation(busy("a"), cordoned("b"), cordoned("c", busy=1))

    result = step(under_way("b", "c"), world, 60.0)

    assert result.state is not None
    assert names(result.state.victims) == ["b"]
    assert of_kind(result, UncordonWorker) == [UncordonWorker(worker_id="c@1")]
    assert result.floor == 2


def test_who_is_empty_goes_without_waiting_for_the_busy() -> None:
    first = step(under_way("b", "c"), situation(cordoned("b"), cordoned("c", busy=1), target=0), 5)
    world = situation(cordoned("b", seen_ms=2000), cordoned("c", seen_ms=2000, busy=1), target=0)
    second = step(first.state, world, 7.0)

    assert [a.replicas for a in of_kind(second, SetReplicas)] == [1]
    assert second.floor is None
    assert not of_kind(second, UncordonWorker)


def test_an_old_version_gives_up_empty_workers_without_waiting_for_busy_ones() -> None:
    first = step(
        under_way("b", "c"),
        situation(cordoned("b"), cordoned("c", busy=1), target=0, cordon_timeout_s=math.inf),
        10.0,
    )
    world = situation(
        cordoned("b", seen_ms=2000), cordoned("c", seen_ms=2000, busy=1), target=0,
        cordon_timeout_s=math.inf,
    )  # fmt: skip
    second = step(first.state, world, 15.0)

    assert [a.replicas for a in of_kind(second, SetReplicas)] == [1]
    assert not of_kind(second, UncordonWorker)

    left = situation(
        cordoned("c", seen_ms=3000, busy=1), target=0, cordon_timeout_s=math.inf,
        deployment=make_deployment(replicas=1, ready=0, resource_version="101"),
    )  # fmt: skip
    third = step(second.state, left, 20.0)
    assert third.state is not None
    assert names(third.state.victims) == ["c"]
    assert not of_kind(third, UncordonWorker)


@pytest.mark.parametrize("confirmed", [False, True])
def test_demand_that_returns_before_the_scale_gives_everybody_back(confirmed: bool) -> None:
    pods = [make_pod("a"), make_pod("b", deletion_cost=VICTIM_COST if confirmed else 0)]
    world = situation(idle("a"), cordoned("b"), pods=pods, target=2)

    result = step(under_way("b", is_confirmed=confirmed), world, 10.0)

    assert result.state is None
    assert of_kind(result, UncordonWorker) == [UncordonWorker(worker_id="b@1")]
    assert bool(of_kind(result, SetDeletionCost)) is confirmed


def test_a_higher_target_gives_back_only_as_many_as_are_too_many() -> None:
    world = situation(busy("a"), cordoned("b", busy=1), cordoned("c", busy=1), target=2)

    result = step(under_way("b", "c"), world, 10.0)

    assert of_kind(result, UncordonWorker) == [UncordonWorker(worker_id="c@1")]
    assert result.state is not None
    assert names(result.state.victims) == ["b"]


def test_unknown_heartbeats_mean_keep_and_nothing_is_asked_of_a_broker_that_is_down() -> None:
    world = situation(pods=[make_pod("a"), make_pod("b")], workers_known=False)
    state = under_way("b")

    assert step(state, world, 10.0) == Step(state=state)
    assert step(None, world, 10.0) == Step()
    assert step(state, replace(world, target=2), 10.0) == Step()


def test_a_heartbeat_that_vanished_is_no_proof_of_an_empty_worker() -> None:
    """The broker was flushed: the worker may be in the middle of a task."""
    pods = [make_pod("a"), make_pod("b", is_ready=False)]
    state = under_way("b", is_confirmed=True, finalized_s=0.0)

    result = step(state, situation(idle("a"), pods=pods), 10.0)

    assert not of_kind(result, SetReplicas)


def test_a_rollout_calls_a_scale_down_off() -> None:
    deployment = make_deployment(replicas=2, replica_sets=2)
    world = situation(idle("a"), cordoned("b"), deployment=deployment)

    result = step(under_way("b"), world, 10.0)

    assert result.state is None
    assert of_kind(result, UncordonWorker)


def test_a_scale_that_was_not_seen_is_said_again_under_the_same_guard() -> None:
    state = under_way("b", is_confirmed=True, scaled_to=1, guard="100")
    world = situation(idle("a"), cordoned("b"))

    result = step(state, world, 10.0)

    assert of_kind(result, SetReplicas) == [
        SetReplicas(deployment="emails", replicas=1, resource_version="100")
    ]
    assert result.wrong_victims == 0


def test_a_scale_that_was_refused_starts_afresh_and_blames_nobody() -> None:
    state = under_way("b", is_confirmed=True, scaled_to=1, guard="99")

    result = step(state, situation(busy("a"), cordoned("b", busy=1)), 10.0)

    assert not of_kind(result, SetReplicas)
    assert not of_kind(result, EmitEvent)
    assert result.state is not None
    assert result.state.scaled_to is None


def test_demand_that_returns_while_a_scale_is_not_seen_calls_it_off() -> None:
    state = under_way("b", is_confirmed=True, scaled_to=1, guard="100")

    result = step(state, situation(idle("a"), cordoned("b"), target=2), 10.0)

    assert result.state is None
    assert of_kind(result, UncordonWorker)
    assert not of_kind(result, SetReplicas)


def test_a_victim_that_was_kept_while_another_went_is_given_back_and_counted() -> None:
    state = under_way("b", is_confirmed=True, scaled_to=1, guard="99")
    pods = [make_pod("b", is_ready=False, deletion_cost=VICTIM_COST)]

    result = step(state, situation(cordoned("b"), pods=pods), 10.0)

    assert result.wrong_victims == 1
    assert of_kind(result, UncordonWorker) == [UncordonWorker(worker_id="b@1")]
    assert of_kind(result, SetDeletionCost) == [SetDeletionCost(pod="b", cost=0)]


def test_victims_that_went_end_the_scale_down() -> None:
    state = under_way("b", is_confirmed=True, scaled_to=1, guard="99")

    assert step(state, situation(idle("a")), 10.0) == Step()


def test_replicas_that_were_never_made_are_taken_back_without_a_victim() -> None:
    """A quota: ten asked for, six made, four wanted less."""
    workers = [busy(f"p{number}") for number in range(6)]
    pods = [make_pod(worker.hostname) for worker in workers]
    deployment = make_deployment(replicas=10, current=6, ready=6)
    result = step(None, situation(*workers, pods=pods, deployment=deployment, target=6), 10.0)

    assert [a.replicas for a in of_kind(result, SetReplicas)] == [6]
    assert not of_kind(result, CordonWorker)


def test_a_new_operator_gives_back_what_the_one_before_had_cordoned() -> None:
    pods = [make_pod("a"), make_pod("b", is_ready=False, deletion_cost=VICTIM_COST)]
    result = step(None, situation(idle("a"), cordoned("b"), pods=pods, target=2), 10.0)

    assert of_kind(result, UncordonWorker) == [UncordonWorker(worker_id="b@1")]
    assert of_kind(result, SetDeletionCost) == [SetDeletionCost(pod="b", cost=0)]


@pytest.mark.parametrize("policy", [ScaleDownPolicy.DRAIN, ScaleDownPolicy.IMMEDIATE])
def test_other_policies_scale_at_once_and_mark_idle_workers_as_first(
    policy: ScaleDownPolicy,
) -> None:
    result = step(None, situation(busy("a"), idle("b"), policy=policy), 10.0)

    assert result.actions == (
        SetDeletionCost(pod="b", cost=VICTIM_COST),
        SetReplicas(deployment="emails", replicas=1, resource_version="100"),
    )
