"""The permits: what is recalled never begins, what begins is never recalled."""

from __future__ import annotations

import os
import threading

import pytest

from waiting import eventually
from windlass.runtime import wire
from windlass.runtime.hand import Entry, Facts
from windlass.runtime.outcome import Finished
from windlass.runtime.slot_main import Channel
from windlass.runtime.slots import Slot
from windlass.runtime.zygote import SlotEnds

MEASURED = Facts("measured")
MEASURED.run_time.record(0.001)


def entry(n, facts=MEASURED, **fields):
    given = {"deliveries": 0, "handbacks": 0, **fields}
    return Entry(f"m{n}", "default", 7, b"raw", facts, **given)


class Pair:
    """A slot's handle and the channel of its process, in one process."""

    def __init__(self, lanes=1):
        self.slot = Slot(0, lanes)
        self.slot.open(self._spawn, now=0.0)
        self.slot.is_ready = True
        self.channel = Channel(self._ends)

    def _spawn(self, _index, ends):
        self._ends = SlotEnds(ends.sock.dup(), os.dup(ends.permits), os.dup(ends.answers))

    def hand(self, *entries):
        for each in entries:
            self.slot.plan(each)
        self.slot.send(list(entries), 0.0, now=1.0)

    def begin(self):
        (begun,) = self.channel.take_ready(1) or [None]
        return begun

    def close_process(self):
        if self._ends is not None:
            self._ends.close()
        self._ends = None

    def close(self):
        self.slot.close()
        self.close_process()


@pytest.fixture
def pair():
    pair = Pair()
    yield pair
    pair.close()


def ids(entries):
    return [each.id for each in entries]


def test_messages_begin_in_the_order_they_were_handed_over(pair):
    pair.hand(entry(1), entry(2))
    pair.hand(entry(3))

    assert [pair.begin().message.id for _ in range(3)] == ["m1", "m2", "m3"]


def test_recall_returns_what_has_not_begun_oldest_first(pair):
    pair.hand(*map(entry, range(5)))
    pair.begin()
    pair.begin()

    assert ids(pair.slot.recall()) == ["m2", "m3", "m4"]
    assert ids(pair.slot.held.values()) == ["m0", "m1"]


def test_recalled_messages_never_begin(pair):
    pair.hand(*map(entry, range(5)))
    pair.begin()
    pair.slot.recall()
    pair.hand(entry(9))

    assert pair.begin().message.id == "m9"
    assert pair.channel.take_ready(1) == []


def test_recall_of_a_slot_that_has_begun_all_returns_nothing(pair):
    pair.hand(entry(1))
    pair.begin()

    assert pair.slot.recall() == []
    assert pair.slot.generation == 0


def test_hundreds_of_recalls_from_a_slot_that_reads_nothing_do_not_come_round(pair):
    for n in range(600):  # more than its socket holds
        pair.hand(entry(n))
        assert ids(pair.slot.recall()) == [f"m{n}"]
    pair.hand(entry("last"))
    taken = []
    reader = threading.Thread(target=lambda: taken.append(pair.channel.take()))
    reader.start()
    eventually(lambda: pair.slot.flush() or not pair.slot.is_sending)
    reader.join()

    assert taken[0].message.id == "mlast"


def test_generations_wrap_around(pair):
    pair.slot.generation = wire.GENERATIONS - 1
    pair.hand(entry(1))
    pair.slot.recall()
    pair.hand(entry(2))

    assert pair.slot.generation == 0
    assert pair.begin().message.id == "m2"


def test_every_message_is_begun_or_recalled_and_never_both_under_a_race(pair):
    begun, total = [], 3000
    stop = threading.Event()

    def work():
        while not stop.is_set():
            begun.extend(each.message.id for each in pair.channel.take_ready(3))

    thread = threading.Thread(target=work)
    thread.start()
    recalled, sent = [], 0
    while sent < total:
        pair.hand(*(entry(sent + n) for n in range(20)))
        sent += 20
        recalled += ids(pair.slot.recall())
        pair.slot.held.clear()
    eventually(lambda: len(begun) + len(recalled) >= total)
    stop.set()
    thread.join()

    assert sorted(begun + recalled) == sorted(f"m{n}" for n in range(total))


def test_frame_larger_than_the_socket_is_sent_in_parts_and_its_permit_comes_last(pair):
    big = entry(1)
    big.raw = bytes(5_000_000)
    pair.hand(big)

    assert pair.slot.is_sending
    assert pair.channel.take_ready(1) == []
    reader = threading.Thread(target=lambda: taken.append(pair.channel.take()))
    taken = []
    reader.start()
    eventually(lambda: pair.slot.flush() or not pair.slot.is_sending)
    reader.join()
    assert len(taken[0].message.raw) == 5_000_000


def test_large_frame_that_is_recalled_half_way_does_not_disturb_the_next(pair):
    big = entry(1)
    big.raw = bytes(2_000_000)
    pair.hand(big)
    assert ids(pair.slot.recall()) == ["m1"]
    pair.hand(entry(2))
    taken = []
    reader = threading.Thread(target=lambda: taken.append(pair.channel.take()))
    reader.start()
    eventually(lambda: pair.slot.flush() or not pair.slot.is_sending)
    reader.join()

    assert taken[0].message.id == "m2"


def test_answers_come_back_with_their_sequence_number(pair):
    pair.hand(entry(1), entry(2))
    first, second = pair.begin(), pair.begin()
    pair.channel.answer(second.seq, 2.0, Finished("SUCCESS", b"two"))
    pair.channel.answer(first.seq, 1.0, Finished("SUCCESS"))

    answers = pair.slot.receive()
    assert [pair.slot.finish(seq, 5.0).id for _, seq, _, _ in answers] == ["m2", "m1"]
    assert pair.slot.load_s == 0.0
    assert pair.slot.finish(99, 5.0) is None


def test_answer_larger_than_the_pipe_arrives_whole(pair):
    pair.hand(entry(1))
    begun = pair.begin()
    result = bytes(range(256)) * 4_000
    outcome = Finished("SUCCESS", result)
    writer = threading.Thread(target=lambda: pair.channel.answer(begun.seq, 1.0, outcome))
    writer.start()
    answers = eventually(pair.slot.receive)
    writer.join()

    assert [(seq, payload) for _, seq, _, payload in answers] == [(begun.seq, result)]


def test_begun_counts_by_the_permits_that_were_read(pair):
    pair.hand(*map(entry, range(4)))
    assert pair.slot.begun() == 0
    pair.begin()

    assert pair.slot.begun() == 1


def test_suspect_has_nothing_behind_it(pair):
    suspect = entry(1, is_suspect=True)
    assert pair.slot.takes(suspect)
    pair.hand(suspect)

    assert not pair.slot.takes(entry(2))
    assert pair.slot.room(0.001) == 0


def test_suspect_never_waits_behind_another_message(pair):
    pair.hand(entry(1))

    assert pair.slot.takes(entry(2))
    assert not pair.slot.takes(entry(3, is_suspect=True))


def test_suspect_goes_to_a_process_of_its_own_where_several_messages_run_at_once():
    pair = Pair(lanes=4)
    assert not pair.slot.takes(entry(1, is_suspect=True))

    pair.slot.is_isolated = True
    assert not pair.slot.takes(entry(2))
    assert pair.slot.room(0.001) == 0
    pair.hand(entry(1, is_suspect=True))

    assert not pair.slot.takes(entry(3, is_suspect=True))
    pair.close()


def test_quota_is_a_hard_bound_and_recalled_messages_do_not_use_it_up(pair):
    pair.slot.quota = 3
    pair.hand(entry(1), entry(2), entry(3))
    assert not pair.slot.takes(entry(4))
    pair.begin()
    pair.slot.recall()

    assert pair.slot.quota == 2
    assert pair.slot.room(0.001) == 2


def test_lane_kept_for_an_acknowledgement_is_not_given_away(pair):
    pair.slot.reserved = 1

    assert not pair.slot.takes(entry(1, Facts("unmeasured")))


def test_hard_limit_of_a_lane_counts_from_when_its_message_began(pair):
    limited = entry(1, hard_s=2.0)
    pair.hand(limited, entry(2))
    assert pair.slot.over_hard_limit(1.5) == (None, 3.0)
    pair.begin()

    assert pair.slot.over_hard_limit(3.5)[0] == 0


def test_hard_limit_does_not_run_before_the_message_begins(pair):
    pair.hand(entry(1, hard_s=2.0))

    over, look_again_at = pair.slot.over_hard_limit(3.5)
    assert over is None
    assert 3.5 < look_again_at < 4.0


def test_process_that_closes_its_end_is_noticed(pair):
    pair.slot.receive()
    assert not pair.slot.is_gone
    pair.close_process()
    pair.slot.receive()

    assert pair.slot.is_gone


def test_channel_ends_when_the_supervisor_closes(pair):
    pair.slot.close()

    assert pair.channel.take() is None


def test_channel_ends_on_a_stop_frame(pair):
    pair.slot.stop()

    assert pair.channel.take() is None


def test_cancel_reaches_the_channel(pair):
    pair.slot.cancel(5)
    pair.channel.read()

    assert list(pair.channel.cancelled) == [5]
