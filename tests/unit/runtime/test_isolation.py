"""The process that runs suspects: started when one is needed, ended when none is."""

from __future__ import annotations

import selectors

import pytest

from windlass.runtime.crew import ISOLATION_S, Crew
from windlass.runtime.recycling import Recycling
from windlass.runtime.state import WorkerState


class Spawner:
    """Notes what it is asked to start."""

    def __init__(self):
        self.started = []

    def spawn(self, slot, ends):
        self.started.append(slot)

    def kill(self, slot, signum):
        pass

    def close(self):
        pass


class Desk:
    def __init__(self, shape):
        self.spawner, self.state = Spawner(), WorkerState(slots=shape[0])
        self.selector = selectors.DefaultSelector()
        recycling = Recycling(max_tasks=None, max_memory_kib=None)
        self.crew = Crew(
            self.spawner, self.selector, shape, recycling=recycling, state=self.state,
            on_ready=lambda slot, mask: None,
        )  # fmt: skip
        self.crew.open_all(0.0)

    def close(self):
        self.crew.close()
        self.selector.close()


@pytest.fixture
def desk():
    desk = Desk((1, 4))
    yield desk
    desk.close()


def isolated(crew):
    return [slot.index for slot in crew.slots if slot.is_isolated and not slot.is_retiring]


def test_one_process_more_is_started_for_suspects_and_counts_as_no_slot(desk):
    desk.crew.isolate(1.0, is_needed=False)
    assert desk.spawner.started == [0]

    for now in (1.0, 1.1):
        desk.crew.isolate(now, is_needed=True)

    assert (desk.spawner.started, isolated(desk.crew)) == ([0, 1], [1])
    assert (desk.crew.size, desk.state.slots) == (1, 1)


def test_it_is_started_again_when_it_dies(desk):
    desk.crew.isolate(1.0, is_needed=True)
    desk.crew.ended(desk.crew.slots[1], 500.0, reason="signal 9", is_loss=False)

    assert (desk.spawner.started, isolated(desk.crew)) == ([0, 1, 1], [1])


def test_it_ends_when_no_suspect_has_come_for_a_while_and_its_place_is_used_again(desk):
    desk.crew.isolate(1.0, is_needed=True)
    desk.crew.isolate(1.0 + ISOLATION_S, is_needed=False)
    assert isolated(desk.crew) == [1]

    desk.crew.isolate(1.1 + ISOLATION_S, is_needed=False)
    assert (isolated(desk.crew), desk.crew.size) == ([], 1)
    desk.crew.ended(desk.crew.slots[1], 10.0, reason="exit code 0", is_loss=False)
    desk.crew.isolate(20.0, is_needed=True)
    assert (desk.spawner.started, isolated(desk.crew)) == ([0, 1, 1], [1])


def test_a_smaller_pool_never_gives_up_the_process_for_suspects(desk):
    desk.crew.isolate(1.0, is_needed=True)

    assert [slot.index for slot in desk.crew.drop_slots(2)] == [0]


def test_where_each_process_runs_one_message_none_is_needed():
    desk = Desk((2, 1))
    desk.crew.isolate(1.0, is_needed=True)

    assert desk.spawner.started == [0, 1]
    desk.close()
