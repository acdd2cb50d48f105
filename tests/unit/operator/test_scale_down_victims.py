"""Who goes when a pool shrinks, while workers come up, start anew, and were marked before."""

from __future__ import annotations

from dataclasses import replace

from operator_builders import make_pod, make_worker
from situations import busy, cordoned, idle, names, of_kind, situation, under_way
from windlass_operator.plan import CordonWorker, SetDeletionCost, SetReplicas
from windlass_operator.scale_down import (
    BRISK_S,
    LOOK_AGAIN_S,
    VICTIM_COST,
    look_again_s,
    step,
)
from windlass_operator.victims import MARKED_S


def test_a_victim_whose_worker_came_up_after_it_was_chosen_is_cordoned_and_goes() -> None:
    """Without its worker's id it would be busy for ever: running, and of no known worker."""
    starting = situation(pods=[make_pod("b", phase="Pending", is_ready=False)], target=0)
    begun = step(None, starting, 0.0)
    assert begun.state is not None
    assert [victim.worker_id for victim in begun.state.victims] == [""]

    came_up = step(begun.state, situation(idle("b"), target=0), 1.0)
    assert [a.worker_id for a in of_kind(came_up, CordonWorker)] == ["b@1"]

    empty = step(came_up.state, situation(cordoned("b"), target=0), 2.0)
    gone = step(empty.state, situation(cordoned("b", seen_ms=2000), target=0), 4.0)
    assert [a.replicas for a in of_kind(gone, SetReplicas)] == [0]


def test_a_confirmed_victim_whose_worker_was_started_anew_is_looked_at_afresh() -> None:
    state = under_way("b", is_confirmed=True, finalized_s=5.0)
    anew = make_worker("b", seen_ms=2000)
    anew.worker_id = "b@2"

    result = step(state, situation(anew, target=0, pods=[make_pod("b", is_ready=False)]), 10.0)

    assert not of_kind(result, SetReplicas)
    assert of_kind(result, CordonWorker) == [CordonWorker(worker_id="b@2")]
    assert result.state is not None
    assert not result.state.victims[0].is_confirmed


def test_who_says_something_only_after_the_choice_is_chosen_in_addition() -> None:
    silent = [make_pod("b"), make_pod("c")]
    begun = step(None, situation(idle("b"), target=0, pods=silent), 0.0)
    assert begun.state is not None
    assert names(begun.state.victims) == ["b"]

    result = step(begun.state, situation(idle("b"), idle("c"), target=0), 1.0)

    assert result.state is not None
    assert names(result.state.victims) == ["b", "c"]


def test_a_mark_that_an_operator_before_us_left_on_a_busy_worker_goes_before_the_scale() -> None:
    state = under_way("b", is_confirmed=True, finalized_s=5.0)
    pods = [
        make_pod("a", is_ready=False, deletion_cost=VICTIM_COST),
        make_pod("b", is_ready=False, deletion_cost=VICTIM_COST),
    ]
    world = situation(busy("a"), cordoned("b", seen_ms=2000), pods=pods)

    result = step(state, world, 10.0)
    assert of_kind(result, SetDeletionCost) == [SetDeletionCost(pod="a", cost=0)]
    assert not of_kind(result, SetReplicas)

    pods[0] = replace(pods[0], deletion_cost=0)
    assert of_kind(step(result.state, replace(world, pods=pods), 11.0), SetReplicas)


def test_a_mark_has_a_moment_to_reach_the_controller_before_the_scale() -> None:
    first = step(under_way("b"), situation(busy("a"), cordoned("b")), 10.0)
    world = situation(busy("a"), cordoned("b", seen_ms=2000))

    assert not of_kind(step(first.state, world, 10.1), SetReplicas)
    assert of_kind(step(first.state, world, 10.0 + MARKED_S), SetReplicas)


def test_an_answer_that_comes_in_seconds_is_looked_for_soon_and_a_long_task_is_not() -> None:
    begun = step(None, situation(busy("a"), idle("b")), 100.0)
    assert begun.state is not None

    assert look_again_s(begun.state, 101.0) == LOOK_AGAIN_S
    assert look_again_s(begun.state, 100.0 + BRISK_S) is None
    assert look_again_s(replace(begun.state, scaled_to=1), 101.0) is None
