"""Random scale-downs among workers that come and go: no busy pod is ever taken."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from replica_set import BEAT_S, ReplicaSetWorld
from windlass_operator.models.workerpool import ScaleDownPolicy
from windlass_operator.scale_down import ScaleDown, step

TICK_S = 5
TIMEOUT_S = 30.0


@dataclass(slots=True)
class Tally:
    runs: int = 0
    removed: int = 0
    wrong_victims: int = 0
    finished: int = 0


def run_one(seed: int, tally: Tally, policy: ScaleDownPolicy = ScaleDownPolicy.IDLE_ONLY) -> None:
    """One pool for ten minutes and more: wanted counts, outages, crashes and edits at random."""
    chance = random.Random(seed)
    world = ReplicaSetWorld(chance, replicas=chance.randint(1, 12))
    state: ScaleDown | None = None
    target = chance.randint(0, world.replicas)
    for _ in range(120):
        dice = chance.random()
        if dice < 0.06:
            target = chance.randint(0, 12)
        elif dice < 0.09:
            world.lose_a_pod()
        elif dice < 0.12:
            state = None  # a new operator, which remembers nothing
        elif dice < 0.15:
            world.pass_time(chance.randint(20, 130))  # an operator that hangs: cordons run out
        elif dice < 0.18:
            world.flush()
        known = chance.random() > 0.05
        situation = world.observe(target, policy, TIMEOUT_S, known=known)
        done = step(state, situation, world.now_s)
        if chance.random() < 0.05:
            world.edit()  # between what was seen and what is done
        stop_after = chance.randint(0, 4) if chance.random() < 0.04 else None
        before = world.killed
        is_done = world.apply(done.actions, stop_after)
        state = done.state if is_done else state
        if stop_after is not None:
            state = None
        tally.removed += world.killed - before
        tally.wrong_victims += done.wrong_victims
        if target > world.replicas:
            world.replicas = target
            world.resource_version += 1
        world.pass_time(TICK_S)
    tally.runs += 1
    tally.finished += world.replicas == target
    assert not world.killed_busy, f"seed {seed}: {world.killed_busy} were busy"


@pytest.mark.parametrize("block", range(10))
def test_no_busy_pod_is_removed_in_a_thousand_random_scale_downs(block: int) -> None:
    tally = Tally()
    for seed in range(block * 20, block * 20 + 20):
        run_one(seed, tally)

    assert tally.removed >= 100, tally
    assert tally.wrong_victims <= tally.removed // 20, tally


class Idle(random.Random):
    """Chance by which pods start and turn ready at once, and nobody ever gets work."""

    def random(self) -> float:
        return 0.2


def test_pods_that_have_only_just_started_are_gone_in_seconds_too() -> None:
    """Once they waited for the time-out: chosen before their workers came up, never cordoned."""
    world = ReplicaSetWorld(Idle(), replicas=1)
    world.replicas = 3
    world.settle()
    state: ScaleDown | None = None
    began_s = world.now_s
    while world.pods and world.now_s < began_s + 120:
        done = step(state, world.observe(0, ScaleDownPolicy.IDLE_ONLY, 60.0), world.now_s)
        assert world.apply(done.actions)
        state = done.state
        world.pass_time(1)

    # Two heartbeats, and a few looks.
    assert world.now_s - began_s <= 3 * BEAT_S
    assert not world.pods


def test_the_simulation_would_see_a_busy_pod_removed() -> None:
    """Under Drain, which asks nobody whether it is busy, the same worlds do lose busy pods."""
    tally = Tally()

    def run_some() -> None:
        for seed in range(20):
            run_one(seed, tally, ScaleDownPolicy.DRAIN)

    with pytest.raises(AssertionError, match="were busy"):
        run_some()
