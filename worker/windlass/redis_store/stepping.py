"""The packed end of a step with the lease of what it releases, and its reply. No I/O.

Next in the walk: `lua/commit_step.lua`, which finds out what is in the way.
"""

from __future__ import annotations

from collections.abc import Sequence

from windlass.brokers.base import Delivery, Fetched, FetchRequest, Settlement, StepDone
from windlass.messages import RUN_MARK
from windlass.redis_store.continuing import value_of
from windlass.redis_store.keys import Keys
from windlass.redis_store.packing import result_args
from windlass.redis_store.scripts import outcome_script
from windlass.redis_store.wire import Reply

#: A step of a worker of more queues is not leased in its commit: there is too much to look at.
MOST_QUEUES = 8


def pack_step(
    keys: Keys, now: str, settlements: Sequence[Settlement], request: FetchRequest
) -> bytes | None:
    """Pack the end of a lone step with the lease of what it releases.

    Returns:
        None where it cannot be that: it brings more than its part, has failed, or releases to a
        queue that is not its own.
    """
    if not request.step_only or len(settlements) != 1:
        return None
    (item,) = settlements
    if type(item) is not StepDone or item.followups or item.declares or item.grows:
        return None
    part, queue = item.part, item.queue
    if part is None or part.failure or part.then.queues != (queue,) or len(part.then.formats) > 1:
        return None
    if queue not in request.queues or len(request.queues) > MOST_QUEUES:
        return None
    if item.token < 0 or item.id[14:15] == RUN_MARK:
        return None  # others wait for the slots that it holds; the run of a schedule is counted
    return _pack(keys, now, item, request)


def _pack(keys: Keys, now: str, item: StepDone, request: FetchRequest) -> bytes | None:
    part, q = item.part, keys.queue(item.queue)
    if part is None:
        return None
    touched = [
        keys.messages, keys.attempts, q.leased, q.leases, q.grants, q.left, q.stats, q.record,
        keys.waiting, keys.result(item.id), keys.queues, keys.thens, keys.then(part.then.id),
        keys.cordon, keys.revoked, keys.stamps_generation, keys.limits,
    ]  # fmt: skip
    for name in request.queues:
        touched += keys.queue(name).by_urgency
    args = (
        now, keys.done_prefix, int(item.duration_ms * 1000), item.queue, item.id, item.token,
        *result_args(item.result), part.then.id, value_of(part), request.worker_id,
        request.lease_ms, request.stamps_seen, len(request.queues),
    )  # fmt: skip
    return outcome_script("commit_step", keys).command(touched, args)


def read_step(settlement: Settlement, reply: Reply) -> Fetched | None:
    """Read the reply; None: nothing was done, and it is to be done without."""
    if not reply:
        return None
    now, id_, raw = reply
    queue, token = settlement.queue, settlement.token
    delivery = Delivery(id=id_.decode(), queue=queue, token=token, raw=raw)
    return Fetched(now_ms=now, deliveries=[delivery], is_step=True)
