"""Workload and storm are drawn from a seed alone."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

import chaos_faults
from chaos_sender import batches
from chaos_workload import MIX, ORDER_BURST, Shape, workload

SHAPE = Shape(calls=600, lease_s=2.0, bursts=3)


def test_the_same_seed_gives_the_same_workload_and_another_seed_another() -> None:
    assert workload(5, SHAPE) == workload(5, SHAPE)
    assert workload(5, SHAPE) != workload(6, SHAPE)


def test_a_workload_has_every_kind_and_as_many_calls_as_asked() -> None:
    calls = workload(1, SHAPE)

    kinds = Counter(call.what for call in calls)
    assert len(calls) == 600
    assert len({call.id for call in calls}) == 600
    assert set(kinds) == {*MIX, "long", "order"}
    assert kinds["order"] == 3 * ORDER_BURST


def test_calls_are_sent_in_their_order_and_a_burst_as_one() -> None:
    calls = workload(1, SHAPE)

    sent = list(batches(calls))
    assert [call for batch in sent for call in batch] == calls
    bursts = [batch for batch in sent if batch[0].what == "order"]
    assert [len(batch) for batch in bursts] == [ORDER_BURST] * 3


def test_a_round_of_the_storm_has_every_kind() -> None:
    deeds = chaos_faults.storm(3, chaos_faults.ALL, workers=3, lease_s=2.0, pause_s=0.5)

    assert deeds == chaos_faults.storm(3, chaos_faults.ALL, workers=3, lease_s=2.0, pause_s=0.5)
    assert {deed.what for deed in deeds} == set(chaos_faults.ALL)
    assert all(0 <= deed.worker < 3 for deed in deeds)


def test_what_is_to_outlast_a_lease_does() -> None:
    lasting = {
        deed.what: deed.seconds
        for seed in range(20)
        for deed in chaos_faults.storm(seed, chaos_faults.ALL, 3, lease_s=2.0, pause_s=0.5)
        if deed.what in ("freeze", "freeze_head", "partition")
    }

    assert len(lasting) == 3
    assert min(lasting.values()) > 2.0
    assert [kind for kind, _ in groupby(sorted(lasting))] == ["freeze", "freeze_head", "partition"]
