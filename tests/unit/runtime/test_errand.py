"""The trip that the loop makes itself, and everything that sends it to the thread instead."""

from __future__ import annotations

import os
import selectors

import pytest

from windlass.brokers.base import Delivery, Done, Fetched, FetchRequest
from windlass.runtime.errand import Errand
from windlass.runtime.exchange import Exchange, Job

REQUEST = FetchRequest(worker_id="w", queues=("q",), want=1, lease_ms=1000, step_only=True)
STEP = Fetched(now_ms=5, deliveries=[Delivery(id="b", queue="q", token=1, raw=b"")], is_step=True)


class Sent:
    """A step whose answer is whatever the test writes into a pipe."""

    timeout_s = 30.0

    def __init__(self):
        self.read_fd, self.write_fd = os.pipe()
        self.answer = None
        self.is_declined = False
        self.parts_left = 1
        self.is_given_up = False

    def fileno(self):
        return self.read_fd

    def come(self):
        os.write(self.write_fd, b"x")

    def arrived(self):
        os.read(self.read_fd, 1)
        self.parts_left -= 1
        return self.parts_left == 0

    def fetched(self):
        return self.answer

    def give_up(self):
        self.is_given_up = True

    def close(self):
        os.close(self.read_fd)
        os.close(self.write_fd)


class World:
    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.sent = Sent()
        self.begun = []
        self.answers = []
        self.to_thread = []
        self.errand = Errand(self.selector, self.begin, self.answers.append)

    def begin(self, settlements, request):
        self.begun.append((settlements, request))
        return self.sent

    def take(self, **fields):
        job = Job(settlements=[Done(id="a", queue="q", token=1)], **{"request": REQUEST, **fields})
        return self.errand.take(job, self.to_thread.append)

    def turn(self):
        for key, mask in self.selector.select(0):
            key.data(mask)


@pytest.fixture
def world():
    world = World()
    yield world
    world.sent.close()
    world.selector.close()


def test_an_answer_is_delivered_when_it_is_there(world):
    assert world.take()
    world.turn()
    assert not world.answers

    world.sent.answer = STEP
    world.sent.come()
    world.turn()

    (answer,) = world.answers
    assert (answer.fetched, answer.error, answer.stale) == (STEP, None, [])
    assert answer.at > 0
    assert not world.selector.get_map()
    assert not world.to_thread


def test_an_answer_in_pieces_is_awaited_whole(world):
    world.take()
    world.sent.parts_left = 2
    world.sent.answer = STEP
    world.sent.come()
    world.turn()
    assert not world.answers

    world.sent.come()
    world.turn()
    assert len(world.answers) == 1


def test_a_step_that_was_declined_is_done_by_the_thread_as_ever(world):
    world.take()
    world.sent.is_declined = True
    world.sent.come()
    world.turn()

    (job,) = world.to_thread
    assert not job.request.step_only
    assert job.settlements
    assert not world.answers


def test_a_step_whose_answer_is_lost_is_tried_again_by_the_thread(world):
    world.take()
    world.sent.come()
    world.turn()

    (job,) = world.to_thread
    assert job.request.step_only


def test_a_broker_that_hangs_is_given_up_and_left_to_the_thread(world):
    world.take()
    until = world.errand._until
    world.errand.check(until - 5)
    assert not world.to_thread

    world.errand.check(until)
    assert len(world.to_thread) == 1
    assert world.sent.is_given_up
    assert not world.selector.get_map()
    world.errand.check(until + 1)
    assert len(world.to_thread) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"request": None},
        {"request": FetchRequest(worker_id="w", queues=("q",), want=1, lease_ms=1)},
        {"started": ["x"]},
        {"unfenced": ["x"]},
        {"reap": ("q",)},
        {"unpark": ("q",)},
    ],
)
def test_a_job_of_more_than_a_step_is_the_threads(world, fields):
    assert not world.take(**fields)
    assert not world.begun


def test_a_step_that_cannot_be_sent_at_once_is_the_threads(world):
    world.errand._begin = lambda *_: None

    assert not world.take()
    assert not world.selector.get_map()


def test_the_exchange_gives_its_thread_what_the_errand_does_not_take(world):
    exchange = Exchange(None, "w", (), lambda _: None, lambda _: None)
    exchange.errand = world.errand
    exchange.submit(Job(settlements=[], request=REQUEST))
    assert exchange.is_busy
    assert exchange._jobs.empty()

    exchange.submit(Job(settlements=[], reap=("q",)))
    assert exchange._jobs.get_nowait().reap == ("q",)
