"""Remote commands that change a worker: `app.control.*`, `windlass control`.

Changes hold until the worker ends; nothing of them is stored. Texts are Celery's where it has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windlass import rate_limits
from windlass.errors import nearest
from windlass.messages import check_queue_name
from windlass.runtime import wire
from windlass.runtime.rates import TokenBucket
from windlass.runtime.remote import Command, CommandError, Context
from windlass.runtime.shutdown import StopKind

if TYPE_CHECKING:
    from windlass.runtime.hand import Entry
    from windlass.task import Task

Ok = dict[str, str]


def rate_limit(context: Context, task_name: str, rate_limit: str | float | None) -> Ok:
    """Change the rate limit of a task; None or 0 lifts it.

    A limit of all workers is changed on the broker, for all of them and until it is unset. One of
    each worker is changed on this one; what was put off by an earlier limit comes back when that
    limit said.
    """
    task = _task(context, task_name)
    settings = context.app.conf.current
    if settings.worker_disable_rate_limits:
        raise CommandError("worker_disable_rate_limits is set on this worker")
    rate_limits.parse_rate(rate_limit)
    done = "new rate limit set successfully" if rate_limit else "rate limit disabled"
    if (task.rate_limit_scope or settings.task_rate_limit_scope) == "cluster":
        from windlass.control_plane.limits import set_limits  # noqa: PLC0415 - rarely needed

        set_limits(context.broker, task_name, rate_limit=rate_limit or None)
        context.in_loop(lambda _now: setattr(task, "rate_limit", rate_limit or 0))
        return {"ok": done}

    def change(_now: float) -> None:
        task.rate_limit = rate_limit or 0
        bucket = TokenBucket.of(rate_limit)
        context.describer.buckets[task_name] = bucket
        for facts in context.parts.reader.facts_of(task_name):
            facts.bucket = bucket

    context.in_loop(change)
    return {"ok": done}


def time_limit(
    context: Context, task_name: str, soft: float | None = None, hard: float | None = None
) -> Ok:
    """Change a task's time limits, seconds, for runs that have not begun; None or 0: the default.

    A message with limits of its own keeps them.
    """
    task = _task(context, task_name)
    for value in (soft, hard):
        if value is not None and not (isinstance(value, int | float) and value >= 0):
            raise CommandError(f"a time limit is {value!r}; expected seconds, 0 for the default")
    soft, hard = soft or None, hard or None
    if hard is not None and not context.pool.has_own_process:
        raise CommandError("pool solo cannot honour a hard time limit")

    def change(_now: float) -> None:
        parts = context.parts
        task.soft_time_limit, task.time_limit = soft, hard
        default = context.app.conf.current.task_time_limit
        for facts in parts.reader.facts_of(task_name):
            facts.hard_s = hard or default or None
        for slot in parts.crew.slots:
            # What waits in a slot comes back and goes out again behind the news.
            parts.dispatcher.take_back(e for e in slot.recall() if not e.is_lost)
        for entry in parts.dispatcher.in_no_slot():
            _renew_hard_limit(context, entry)
        parts.crew.announce(task_name, wire.limits_frame(task_name, soft, hard))

    context.in_loop(change)
    return {"ok": "time limits set successfully"}


def _renew_hard_limit(context: Context, entry: Entry) -> None:
    entry.hard_s = context.parts.reader.hard_limit(entry)
    if entry.hard_s is not None and context.parts.crew.has_many_lanes:
        entry.note = True  # only then its beginning is known


def pool_grow(context: Context, n: int = 1) -> Ok:
    """Add slots."""
    _check_resizable(context, n)

    def change(now: float) -> None:
        for _ in range(n):
            context.parts.crew.add_slot(now)

    context.in_loop(change)
    return {"ok": "pool will grow"}


def pool_shrink(context: Context, n: int = 1) -> Ok:
    """Take slots away, idle ones first; one that runs a task goes when the task has ended."""
    _check_resizable(context, n)

    def change(now: float) -> None:
        crew = context.parts.crew
        if n >= crew.size:
            raise CommandError(f"there are {crew.size} slots and one has to stay; asked for -{n}")
        for slot in crew.drop_slots(n):
            context.parts.dispatcher.take_back(e for e in slot.recall() if not e.is_lost)
            crew.stop_if_empty(slot)

    context.in_loop(change)
    return {"ok": "pool will shrink"}


def _check_resizable(context: Context, n: int) -> None:
    if not (isinstance(n, int) and 1 <= n <= 1000):
        raise CommandError(f"n is {n!r}; expected 1 to 1000")
    if not (context.pool.has_own_process and context.pool.is_process_per_lane):
        raise CommandError(
            f"pool {context.pool.name} has its slots in one process, which cannot change their "
            "number. Start another worker, or this one with another -c."
        )


def pool_restart(context: Context, modules: Any = None, reload: bool = False) -> Ok:
    """Replace every slot process when what it runs has ended. The code stays the one at start."""
    if modules or reload:
        raise CommandError("modules cannot be loaded again in a worker; send it SIGHUP to restart")
    if not context.pool.has_own_process:
        raise CommandError("pool solo has no slot process to replace")

    def change(_now: float) -> None:
        crew = context.parts.crew
        for slot in list(crew.slots):
            if slot.is_watched:
                crew.retire(slot, "pool_restart")
                context.parts.dispatcher.take_back(e for e in slot.recall() if not e.is_lost)
                crew.stop_if_empty(slot)

    context.in_loop(change)
    return {"ok": "reload started"}


def add_consumer(
    context: Context,
    queue: str,
    exchange: str | None = None,
    routing_key: str | None = None,
    exchange_type: str | None = None,
    **_options: Any,  # of AMQP queues
) -> Ok:
    """Serve one more queue, after those served now. Queues have no exchanges here."""
    del exchange, routing_key, exchange_type
    check_queue_name(queue)

    def change(_now: float) -> bool:
        queues = context.parts.state.queues
        if queue in queues:
            return False
        _serve(context, (*queues, queue))
        return True

    is_new = context.in_loop(change)
    return {"ok": f"add consumer {queue}" if is_new else f"already consuming from {queue!r}"}


def cancel_consumer(context: Context, queue: str, **_options: Any) -> Ok:
    """Take nothing more from a queue. What was fetched from it is still run."""

    def change(_now: float) -> bool:
        queues = context.parts.state.queues
        if queue not in queues:
            return False
        _serve(context, tuple(name for name in queues if name != queue))
        return True

    was_served = context.in_loop(change)
    text = "no longer consuming from" if was_served else "not consuming from"
    return {"ok": f"{text} {queue}"}


def _serve(context: Context, queues: tuple[str, ...]) -> None:
    context.parts.traffic.serve(queues)
    context.chores.serve(queues)


def shutdown(context: Context, msg: str = "") -> Ok:
    """Stop as with SIGTERM: finish or hand back what runs, then exit."""
    del msg
    context.post(StopKind.WARM)
    return {"ok": "shutting down"}


def enable_events(_context: Context) -> Ok:
    """Accepted; events come in a later version."""
    return {"ok": "accepted; task events come in a later version, and none are sent"}


def disable_events(_context: Context) -> Ok:
    """Accepted; events come in a later version."""
    return {"ok": "accepted; task events come in a later version, and none are sent"}


def _task(context: Context, name: str) -> Task[..., Any]:
    task = context.app.tasks.get(name)
    if task is None:
        raise CommandError(f"unknown task {name!r}.{nearest(str(name), context.app.tasks)}")
    return task


COMMANDS: dict[str, Command] = {
    command.__name__: command
    for command in (
        rate_limit, time_limit, pool_grow, pool_shrink, pool_restart, add_consumer,
        cancel_consumer, shutdown, enable_events, disable_events,
    )
}  # fmt: skip
