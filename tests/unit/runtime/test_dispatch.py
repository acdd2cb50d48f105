"""Who gets which message, and what goes back."""

from __future__ import annotations

import pytest

from windlass.brokers.base import Again, Done
from windlass.messages import Headers, address, encode_tail
from windlass.runtime.broker_clock import BrokerClock
from windlass.runtime.dispatch import PATIENCE_S, SUSPECTS_PATIENCE_S, Dispatcher
from windlass.runtime.hand import Entry, Facts
from windlass.runtime.rates import TokenBucket
from windlass.runtime.settle import Settler
from windlass.runtime.slots import Slot

RAW = bytes([1]) + b"4" + bytes(18) + encode_tail(address("q", "t"), Headers(), b"[[],{},{}]")


def facts(run_s=None, **fields):
    made = Facts("t")
    if run_s is not None:
        made.run_time.record(run_s)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


UNMEASURED, QUICK, SLOW = facts(), facts(0.001), facts(0.4)


def entry(n, of=UNMEASURED, fetched_at=0.0, **fields):
    given = {"deliveries": 0, "handbacks": 0, **fields}
    return Entry(f"m{n}", "q", 1, RAW, of, fetched_at=fetched_at, **given)


class TestSlot(Slot):
    """A slot that notes what is sent, without a process."""

    __test__ = False
    __slots__ = ("not_begun", "sent")

    def __init__(self, index, lanes=1):
        super().__init__(index, lanes)
        self.is_ready = True
        self.sent = []
        self.not_begun = 0

    def send(self, entries, clock_offset_ms, now):
        self.sent += [each.id for each in entries]

    def recall(self):
        taken = [self.held.popitem()[1] for _ in range(self.not_begun)]
        self.not_begun = 0
        return taken[::-1]


class Traffic:
    def __init__(self):
        self.settlements = []
        self.hurried = False

    def settle(self, settlement, now):
        self.settlements.append(settlement)

    def hurry(self, now):
        self.hurried = True


class Desk:
    def __init__(self, *slots):
        self.slots = list(slots) or [TestSlot(0), TestSlot(1)]
        self.traffic = Traffic()
        clock = BrokerClock()
        settler = Settler("w", ttl_ms=1, stores_results=True, serializer="json", clock=clock)
        self.dispatcher = Dispatcher(self.slots, self.traffic, settler, lambda slot: None)

    def deal(self, *entries, now=0.0):
        self.dispatcher.take(list(entries))
        self.dispatcher.run_once(now, 0.0)
        return [slot.sent for slot in self.slots]


@pytest.fixture
def desk():
    return Desk()


def test_unmeasured_messages_go_one_to_a_lane_and_the_rest_waits(desk):
    assert desk.deal(*map(entry, range(5))) == [["m0"], ["m1"]]
    assert [each.id for each in desk.dispatcher.held] == ["m2", "m3", "m4"]


def test_measured_messages_are_dealt_evenly(desk):
    first, second = desk.deal(*(entry(n, QUICK) for n in range(10)))

    assert (len(first), len(second)) == (5, 5)


def test_slot_holds_a_second_of_work_at_most(desk):
    first, second = desk.deal(*(entry(n, SLOW) for n in range(10)))

    assert (len(first), len(second)) == (2, 2)


def test_message_that_no_slot_takes_holds_up_no_other():
    desk = Desk(TestSlot(0))

    assert desk.deal(entry(0, QUICK), entry(1, UNMEASURED), entry(2, QUICK)) == [["m0", "m2"]]
    assert [each.id for each in desk.dispatcher.held] == ["m1"]


def test_what_finds_no_slot_for_a_second_is_given_up(desk):
    desk.deal(*map(entry, range(4)))
    assert desk.dispatcher.give_up_waiting(PATIENCE_S) == []

    given_up = desk.dispatcher.give_up_waiting(PATIENCE_S + 0.1)
    assert [each.id for each in given_up] == ["m2", "m3"]
    assert desk.dispatcher.is_empty


def test_suspect_finds_a_slot_that_was_cleared_for_it(desk):
    """While others come without end, one slot is given nothing more until it is empty."""
    desk.deal(*(entry(n, QUICK) for n in range(4)))
    desk.deal(entry("s", QUICK, is_suspect=True), entry(5, QUICK))
    assert desk.dispatcher.has_stuck_suspect
    cleared = min(desk.slots, key=lambda slot: slot.load_s)
    held = len(cleared.held)

    desk.deal(*(entry(n, QUICK) for n in range(10, 20)))
    assert len(cleared.held) == held
    for seq in list(cleared.held):
        cleared.finish(seq, 0.0)
    desk.deal()

    assert cleared.sent[-1] == "ms"
    assert not desk.dispatcher.has_stuck_suspect


def test_suspects_wait_two_at_a_time_and_not_for_ever():
    desk = Desk(TestSlot(0, lanes=4))
    desk.deal(*(entry(n, QUICK, is_suspect=True) for n in range(4)), entry(9, QUICK))
    assert desk.slots[0].sent == ["m9"]

    assert [each.id for each in desk.dispatcher.give_up_waiting(0.1)] == ["m2", "m3"]
    assert desk.dispatcher.give_up_waiting(PATIENCE_S + 0.1) == []
    late = desk.dispatcher.give_up_waiting(SUSPECTS_PATIENCE_S + 0.1)
    assert [each.id for each in late] == ["m0", "m1"]
    desk.deal()
    assert not desk.dispatcher.has_stuck_suspect


def test_process_for_suspects_is_no_room_for_others():
    alone = TestSlot(1, lanes=4)
    alone.is_isolated = True
    desk = Desk(TestSlot(0, lanes=4), alone)

    assert desk.dispatcher.want() == (4, True)
    assert desk.deal(*(entry(n) for n in range(5)), entry("s", is_suspect=True)) == [
        ["m0", "m1", "m2", "m3"],
        ["ms"],
    ]


def test_acknowledged_message_is_never_given_up(desk):
    desk.deal(entry(0), entry(1), entry(2, is_acked=True))

    assert desk.dispatcher.give_up_waiting(100.0) == []
    assert desk.dispatcher.give_up_all() == []
    assert not desk.dispatcher.is_empty


def test_slots_that_may_not_take_anything_get_nothing(desk):
    desk.slots[0].is_stalled = True
    desk.slots[1].is_retiring = True

    assert desk.deal(entry(0)) == [[], []]
    assert desk.dispatcher.want()[0] < 0


def test_stalled_slot_gives_back_what_waits_and_takes_nothing_more():
    desk = Desk(TestSlot(0))
    desk.deal(*(entry(n, QUICK) for n in range(5)))
    desk.slots[0].not_begun = 4
    desk.dispatcher.recall_stalled(now=PATIENCE_S + 0.1)

    assert [each.id for each in desk.dispatcher.held] == ["m1", "m2", "m3", "m4"]
    desk.dispatcher.run_once(PATIENCE_S + 0.1, 0.0)
    assert len(desk.dispatcher.held) == 4


def test_what_was_recalled_goes_to_another_slot_first(desk):
    desk.deal(*(entry(n, QUICK) for n in range(6)))
    desk.slots[0].not_begun = 2
    desk.slots[0].is_stalled = True
    desk.dispatcher.take_back(desk.slots[0].recall())
    desk.dispatcher.run_once(2.0, 0.0)

    assert desk.slots[1].sent[-2:] == ["m2", "m4"]
    assert desk.dispatcher.is_empty


def test_fetches_one_to_a_free_lane_until_run_times_are_known(desk):
    assert desk.dispatcher.want() == (2, True)
    desk.deal(entry(0))
    assert desk.dispatcher.want() == (1, True)
    desk.deal(entry(1))

    assert desk.dispatcher.want()[1] is False


def test_fetches_batches_once_run_times_are_known(desk):
    for n in range(20):
        desk.deal(entry(n, QUICK))

    want, _ = desk.dispatcher.want()
    assert want > 200


def test_acks_early_message_is_acknowledged_before_it_is_sent():
    desk = Desk(TestSlot(0))
    early = entry(0, acks_early=True)
    assert desk.deal(early) == [[]]

    (settlement,) = desk.traffic.settlements
    assert settlement == Done(id="m0", queue="q", token=1, state="")
    assert desk.traffic.hurried
    assert desk.dispatcher.want()[0] == 0  # its lane is kept
    desk.dispatcher.acknowledged("m0", is_ours=True)
    desk.dispatcher.run_once(0.0, 0.0)
    assert desk.slots[0].sent == ["m0"]


def test_acks_early_message_that_is_somebody_elses_is_dropped():
    desk = Desk(TestSlot(0))
    desk.deal(entry(0, acks_early=True))
    desk.dispatcher.acknowledged("m0", is_ours=False)
    desk.dispatcher.run_once(0.0, 0.0)

    assert desk.slots[0].sent == []
    assert desk.dispatcher.is_empty
    assert desk.slots[0].reserved == 0


def test_acks_early_message_waits_behind_nothing():
    desk = Desk(TestSlot(0))
    desk.deal(entry(0, QUICK), entry(1, QUICK, acks_early=True))

    assert desk.traffic.settlements == []
    assert [each.id for each in desk.dispatcher.held] == ["m1"]


def test_message_over_its_rate_by_a_moment_waits_here():
    desk = Desk(TestSlot(0, lanes=4))
    limited = facts(0.001, bucket=TokenBucket(10.0))
    assert desk.deal(entry(0, limited), entry(1, limited)) == [["m0"]]

    assert desk.dispatcher.next_time() == pytest.approx(0.1)
    desk.dispatcher.run_once(0.11, 0.0)
    assert desk.slots[0].sent == ["m0", "m1"]


def test_message_over_its_rate_by_far_is_scheduled_unchanged_and_without_a_retry():
    desk = Desk(TestSlot(0, lanes=4))
    limited = facts(0.001, bucket=TokenBucket(0.5))
    desk.deal(entry(0, limited), entry(1, limited), entry(2, limited))

    first, second = desk.traffic.settlements
    assert isinstance(first, Again)
    assert first.result is None
    assert (first.message.id, first.message.queue, first.message.priority) == ("m1", "q", 4)
    assert first.message.tail == RAW[20:]
    assert second.message.delay_ms - first.message.delay_ms == 2000


def test_rate_limited_task_holds_up_no_other():
    desk = Desk(TestSlot(0, lanes=4))
    limited = facts(0.001, bucket=TokenBucket(0.01))
    sent = desk.deal(entry(0, limited), entry(1, limited), entry(2, QUICK), entry(3, QUICK))

    assert sent == [["m0", "m2", "m3"]]


def test_lost_messages_are_forgotten(desk):
    desk.deal(*map(entry, range(4)))

    assert desk.dispatcher.drop_lost(frozenset({1})) == 2
    assert desk.dispatcher.is_empty


def test_messages_are_removed_by_id(desk):
    desk.deal(*map(entry, range(4)))
    removed = desk.dispatcher.remove(frozenset({"m3", "other"}))

    assert [each.id for each in removed] == ["m3"]
    assert [each.id for each in desk.dispatcher.held] == ["m2"]
