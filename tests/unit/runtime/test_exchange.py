"""The threads that speak to the broker: one try each, answer or error to the mailbox."""

from __future__ import annotations

import os
import select
import threading

import pytest

from waiting import eventually
from windlass.brokers.base import ControlMessage, Done, Fetched, FetchRequest, StoredResult
from windlass.errors import OperationalError
from windlass.messages import Outgoing
from windlass.runtime.control import ControlListener, InLoop
from windlass.runtime.exchange import Backoff, Exchange, Job, Mailbox, Started, Waker
from windlass.runtime.settle import Unfenced

REQUEST = FetchRequest(worker_id="w", queues=("q",), want=1, lease_ms=1000)
FETCHED = Fetched(now_ms=5, deliveries=[])
RESULT = StoredResult(payload=b"r", ttl_ms=1)


class Broker:
    def __init__(self):
        self.calls = []
        self.error = None

    def note(self, *call):
        if self.error is not None:
            raise self.error
        self.calls.append(call)

    def exchange(self, settlements, request):
        self.note("exchange", [s.id for s in settlements], request)
        return ["stale"], FETCHED

    def wait(self, request, timeout_s):
        self.note("wait", timeout_s)
        return FETCHED

    def enqueue(self, messages):
        self.note("enqueue", [m.id for m in messages])

    def set_state(self, message_id, queue, token, result):
        self.note("set_state", message_id)

    def reap(self, queue, worker):
        self.note("reap", queue, worker)
        return 2

    def unpark(self, queue, tasks):
        self.note("unpark", queue, tasks)
        return 3

    def close(self):
        self.closed = True

    def interrupt(self):
        self.note("interrupt")

    def control_messages(self, timeout_s, on_listening):
        self.note("listen")
        on_listening()
        yield ControlMessage(kind="revoke", ids=(str(len(self.calls)),))
        yield ControlMessage(kind="call", method="ping")


@pytest.fixture
def mailbox():
    mailbox = Mailbox()
    yield mailbox
    mailbox.close()


@pytest.fixture
def broker():
    return Broker()


@pytest.fixture
def exchange(broker, mailbox):
    exchange = Exchange(
        broker, "w", ("t1", "t2"), lambda u: broker.note("store", u.id), mailbox.post
    )
    exchange.start()
    yield exchange
    exchange.stop()


def next_mail(mailbox):
    select.select([mailbox], [], [], 10)
    (item,) = eventually(lambda: mailbox.take()[0])
    return item


def test_job_is_one_exchange(exchange, broker, mailbox):
    exchange.submit(Job(settlements=[Done(id="a", queue="q", token=1)], request=REQUEST))
    answer = next_mail(mailbox)

    assert broker.calls == [("exchange", ["a"], REQUEST)]
    assert (answer.stale, answer.fetched, answer.error) == (["stale"], FETCHED, None)


def test_what_follows_an_early_acknowledgement_is_sent_before_its_outcome_is_stored(
    exchange, broker, mailbox
):
    followup = Outgoing(id="f", queue="q", tail=b"")
    unfenced = [Unfenced(id="a", result=RESULT, followups=(followup,))]
    exchange.submit(Job(settlements=[], unfenced=unfenced))
    next_mail(mailbox)

    assert broker.calls == [("enqueue", ["f"]), ("store", "a")]


def test_chores_come_with_a_job(exchange, broker, mailbox):
    started = [Started(id="s", queue="q", token=1, payload=RESULT)]
    exchange.submit(Job(settlements=[], started=started, reap=("r",), unpark=("p",)))
    answer = next_mail(mailbox)

    assert broker.calls == [("set_state", "s"), ("reap", "r", "w"), ("unpark", "p", ("t1", "t2"))]
    assert (answer.reaped, answer.unparked) == (2, 3)


@pytest.mark.parametrize("error", [OperationalError("away"), ValueError("a mistake of ours")])
def test_error_is_posted_and_the_thread_lives(exchange, broker, mailbox, error):
    broker.error = error
    exchange.submit(Job(settlements=[], request=REQUEST))
    assert next_mail(mailbox).error is error
    broker.error = None
    exchange.submit(Job(settlements=[], request=REQUEST))

    assert next_mail(mailbox).error is None


def test_idle_connections_are_given_up_with_a_dead_one(exchange, broker, mailbox):
    broker.error = OperationalError("away")
    exchange.submit(Job(settlements=[], request=REQUEST))
    next_mail(mailbox)

    assert broker.closed


def test_waker_waits_once_for_each_order(broker, mailbox):
    waker = Waker(broker, mailbox.post)
    waker.start()
    waker.arm(REQUEST, 3.0)
    assert next_mail(mailbox).fetched is FETCHED
    broker.error = OperationalError("away")
    waker.arm(REQUEST, 3.0)

    assert next_mail(mailbox).error is broker.error
    assert broker.calls == [("wait", 3.0)]
    waker.stop()


def test_control_messages_are_posted_and_calls_are_answered_by_the_listener(broker, mailbox):
    calls, listens = [], threading.Event()
    listener = ControlListener(broker, mailbox.post, calls.append, listens.set)
    listener.start()
    items = []
    eventually(lambda: items.extend(mailbox.take()[0]) or (len(items) >= 2 and calls))
    listener.stop()

    assert {item.kind for item in items} == {"revoke"}
    assert calls[0].method == "ping"
    assert listens.is_set()


def test_work_for_the_loop_gives_its_value_or_its_error_to_who_waits():
    done = InLoop(lambda now: now + 1)
    done.run(2.0)
    assert done.result(1.0) == 3.0

    failed = InLoop(lambda _now: 1 / 0)
    failed.run(2.0)
    with pytest.raises(ZeroDivisionError):
        failed.result(1.0)
    with pytest.raises(TimeoutError, match="did not answer"):
        InLoop(lambda _now: None).result(0.001)


def test_signals_and_posts_wake_the_same_loop(mailbox):
    mailbox.post("a")
    mailbox.post("b")

    assert mailbox.take() == (["a", "b"], b"\0\0")
    assert mailbox.take() == ([], b"")


def test_full_mailbox_loses_nothing(mailbox):
    for n in range(70_000):  # more than the pipe holds
        mailbox.post(n)

    assert len(mailbox.take()[0]) == 70_000


def test_backoff_doubles_up_to_its_longest_and_starts_over():
    backoff = Backoff(uniform=lambda low, high: high)
    assert [backoff.next_s() for _ in range(9)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    backoff.reset()

    assert backoff.next_s() == 0.1


def test_a_post_after_the_end_writes_into_no_other_file() -> None:
    """The number of a closed pipe may soon be that of a file of the program around the worker."""
    mailbox = Mailbox()
    wake_fd = mailbox.wake_fd
    mailbox.close()
    end, writer = os.pipe()
    reader = os.dup(end)  # the end itself may have the number
    os.dup2(writer, wake_fd)  # the number is taken again
    os.set_blocking(reader, False)

    mailbox.post("late")

    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    for fd in {reader, end, writer, wake_fd}:
        os.close(fd)
