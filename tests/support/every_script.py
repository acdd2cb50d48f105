"""One call at least of every script of the Redis broker, each through what the project calls."""

from __future__ import annotations

from broker_state import FINAL, at, done, fetch, lease, read, send, settle
from builders import make_message
from schedule_builders import SECOND, make_entry, make_ticker, tick
from schedule_builders import run_all as end_runs
from unique_samples import claim
from windlass.brokers.base import Again, Bury, Crashed, FetchRequest, HandBack, Park
from windlass.brokers.redis import RedisBroker
from windlass.control_plane import schedules
from windlass.control_plane.cordon import cordon, uncordon
from windlass.control_plane.dead_edit import open_edit, replay_edited
from windlass.control_plane.dead_letters import list_dead, purge_dead, replay, show_dead
from windlass.control_plane.dead_selection import Selection, select
from windlass.control_plane.depth import list_queues, read_depths
from windlass.control_plane.heartbeats import WorkerStatus, beat
from windlass.control_plane.limits import set_limits, unset_limits
from windlass.control_plane.parking import ParkLimits
from windlass.control_plane.queue_record import write_record
from windlass.control_plane.set_aside import read_set_aside
from windlass.redis_store.async_connection import AsyncLinks
from windlass.redis_store.connection import Links
from windlass.redis_store.keys import Keys
from windlass.results.outbox import OutboxResults
from windlass.results.redis import RedisResults
from workflow_samples import chain, chord, part_of, succeeded


def call_every_script(broker: RedisBroker) -> None:
    """Use every operation that there is."""
    use_messages(broker)
    use_locks(broker)
    use_workflows(broker)
    use_schedules(broker)
    use_results(broker)
    use_outbox(broker)
    use_control_plane(broker)
    use_limits(broker)


def use_limits(broker: RedisBroker) -> None:
    """A task that runs once at a time: what waits for its slot, and what frees it."""
    set_limits(broker, "tests.alone", max_concurrency=1)
    broker.enqueue([make_message("tests.alone", id=id_, queue="alone") for id_ in ("one", "two")])
    (one,) = fetch(broker, queues=("alone",)).deliveries
    settle(broker, done(one))
    broker.sweep_limits("alone")
    unset_limits(broker, "tests.alone")
    (two,) = fetch(broker, queues=("alone",)).deliveries
    settle(broker, done(two))


def use_messages(broker: RedisBroker) -> None:
    send(broker, "late", delay_ms=60_000)
    end, more, retry, back, crash, bad, unknown = lease(broker, *"abcdefg")
    settle(
        broker,
        done(end, result=FINAL),
        done(more, result=FINAL, followups=(make_message(queue="next"),)),
        Again(id=retry.id, queue="q", token=retry.token, message=make_message(id=retry.id)),
        HandBack(id=back.id, queue="q", token=back.token),
        Crashed(id=crash.id, queue="q", token=crash.token, reason="x", worker="w"),
        Bury(id=bad.id, queue="q", token=bad.token, reason="x", detail="", worker="w"),
        Park(id=unknown.id, queue="q", token=unknown.token, task="t"),
    )
    (held,) = fetch(broker, 1).deliveries
    broker.set_state(held.id, "q", held.token, FINAL)
    broker.checkpoints.save(held.id, "q", held.token, 0, b"half")
    broker.checkpoints.read(held.id, 0)
    broker.checkpoints.sweep(0, 10)
    broker.renew({"q": [held.token]}, 15_000)
    broker.reap("q", "w")
    broker.unpark("q", ["t"])
    broker.revoke([held.id, "late", "nobody"], terminate=True)
    broker.revoke_stamps({"batch": "b1"})
    broker.wait(FetchRequest(worker_id="w", queues=("q",), want=1, lease_ms=1, wait_ms=1), 0.0)
    replay(broker, "q", [bad.id])
    use_dead_letters(broker)


def use_dead_letters(broker: RedisBroker) -> None:
    """One that was parked for too long, found among the others, changed and replayed."""
    (unknown,) = lease(broker, "unknown", queue="parking")
    settle(broker, Park(id=unknown.id, queue="parking", token=unknown.token, task="t"))
    write_record(broker, "parking", park_limit_s=1)
    now, (seconds, _) = broker.commands.now, read(broker, "TIME")
    at(broker, (int(seconds) + 60) * SECOND)
    assert ParkLimits(broker, "w").run_once(["parking"]) == 1
    assert [letter.id for letter in select(broker, "parking", Selection())] == [unknown.id]
    letter = show_dead(broker, "parking", unknown.id)
    assert letter is not None
    replay_edited(broker, letter, open_edit(letter))
    broker.commands.now = now


def use_locks(broker: RedisBroker) -> None:
    for id_ in ("u1", "u2"):
        claim(broker, id_, queue="unique", on_duplicate="replace")
    claim(broker, "u3", "debounce", queue="unique", period_ms=1)
    broker.sweep_unique()


def use_workflows(broker: RedisBroker) -> None:
    """A chord whose parts come by a commit and beside one, and one whose part is lost."""
    messages, waits = chord(["h1", "h2"], "body", queue="bodies")
    broker.enqueue(messages, continuations=[waits])
    first, second = (each for each in fetch(broker).deliveries if each.id in ("h1", "h2"))
    settle(broker, succeeded(first, 1, result=FINAL))
    broker.deliver([part_of(second, 2)])
    settle(broker, succeeded(second, 2))

    step, continuations = chain("s1", "s2")
    broker.enqueue([step], continuations=continuations)
    (held,) = (each for each in fetch(broker).deliveries if each.id == "s1")
    request = FetchRequest(worker_id="w1", queues=("q",), want=1, lease_ms=1, step_only=True)
    broker.exchange([succeeded(held, 1, result=FINAL)], request)

    (sent, never_sent), waits = chord(["h3", "h4"], "body-2", queue="bodies")
    broker.enqueue([sent], continuations=[waits])
    assert never_sent.id in waits.members
    assert broker.sweep(0, 10) == 1


def use_schedules(broker: RedisBroker) -> None:
    """A schedule that is declared, triggered, fired, run to its end, and removed."""
    schedules.put_schedule(broker, make_entry(queue="fired"))
    schedules.trigger_schedule(broker, "s")
    before = broker.commands.now
    seconds, _ = read(broker, "TIME")
    at(broker, (int(seconds) + 60) * SECOND)
    assert tick(make_ticker(broker))["FIRED"] == 1
    assert len(end_runs(broker, "fired")) == 2
    broker.commands.now = before
    schedules.remove_schedule(broker, "s")


def use_results(broker: RedisBroker) -> None:
    results = RedisResults(broker.links, broker.async_links, broker.keys)
    results.store_raw("x", FINAL.payload, 0)
    broker.links.call([results._await(["y"], 1.0)])
    results.close()


def use_outbox(broker: RedisBroker) -> None:
    keys = Keys(broker.keys.keyspace, has_outbox=True)
    elsewhere = Links(broker.url), AsyncLinks(broker.url)
    results = OutboxResults(broker.links, broker.async_links, keys, *elsewhere)
    results.store_raw("z", FINAL.payload, 0)
    results.copier().run_once()
    results.forget(["z"])
    results.close()


def use_control_plane(broker: RedisBroker) -> None:
    beat(broker, WorkerStatus(worker_id="w"), 60_000)
    cordon(broker, "w")
    uncordon(broker, "w")
    write_record(broker, "q", paused=True)
    read_depths(broker, list_queues(broker))
    read_set_aside(broker, list_queues(broker))
    list_dead(broker, "q")
    purge_dead(broker, "q")
    broker.purge("q")
