"""A random workload: calls of every kind, from a seed. Pure: the same seed gives the same calls.

kind      what it shows
plain     a call and nothing else
link      a commit and what follows it
chain     steps, each in the commit of the one before
chord     parts that run side by side, and a body that waits for them
retry     tries under one id; each waits for its delay
delay     held by the broker until it is due
nap       runs for a moment: something to be interrupted
long      runs longer than a lease: renewal keeps it
fail      an exception, and the call that mourns it
early     acks_late=False: never run twice
dies      kills its process the first time
poison    kills its process every time: a dead letter at the cap
fatal     kills its worker every time: likewise, by leases that run out
reject    refused by the task: a dead letter
revoke    delayed and revoked before it is due: never runs
rated     of a task with a rate limit, of all workers together
few       of a task of which so many run at once
keyed     likewise, for each key by itself; keys take turns
narrow    in a queue with both limits
unique    not sent beside another of its key that has not ended: that one's handle is returned
roll      sent at the end: every worker must take some
order     one of a burst that becomes ready at once, of mixed priorities
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

#: Kind -> weight in the mix. "long" and "order" come in places of their own.
MIX = {
    "plain": 30, "link": 20, "chain": 8, "chord": 5, "retry": 8, "delay": 6, "nap": 6, "fail": 4,
    "early": 4, "rated": 3, "few": 2, "keyed": 3, "narrow": 2, "unique": 2, "dies": 0.3,
    "poison": 0.2, "fatal": 0.02, "reject": 1, "revoke": 2,
}  # fmt: skip
#: Dead letters are what these become; everything else must end with an outcome.
DEADLY = frozenset({"poison", "fatal", "reject"})
#: These end the process they run in, or more.
KILLERS = frozenset({"dies", "poison", "fatal"})
#: Crashes after which a message of the queue "poison" is a dead letter.
POISON_CAP = 3
ORDER_BURST = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What all workers together hold to.

    Attributes:
        per_second: Runs that may begin; 0 for no such limit.
        at_once: Runs at once, of each key where there is one; 0 for no such limit.
    """

    per_second: int = 0
    at_once: int = 0


#: Kind -> its limit.
LIMITS = {
    "rated": Limit(per_second=40),
    "few": Limit(at_once=2),
    "keyed": Limit(at_once=1),
    "narrow": Limit(per_second=60, at_once=2),
    "unique": Limit(at_once=1),
}
#: In so many clumps what has a limit is sent.
_CLUMPS = 8
_KEYS = ("red", "green", "blue")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call.

    Attributes:
        n: Its number.
        what: Its kind.
        id: The message's id; canvases give their own.
        at: When it is sent, as a part of the sending, 0 to 1.
        ms: How long a run takes.
        delay_s: Countdown, or the retries' delay.
        size: Parts, steps or tries.
        burst: Of kind order.
        priority: 0 to 9.
        queue: Where it goes.
        key: What it is limited by.
    """

    n: int
    what: str
    id: str
    at: float
    ms: float = 0.0
    delay_s: float = 0.0
    size: int = 0
    burst: int = 0
    priority: int = 0
    queue: str = "main"
    key: str = ""

    @property
    def messages(self) -> int:
        """How many messages it comes to when all goes well."""
        more = {"link": 1, "fail": 1, "chain": self.size - 1, "chord": self.size}
        return 1 + more.get(self.what, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How a workload is to be.

    Attributes:
        calls: How many.
        lease_s: Of the workers.
        bursts: Of kind order.
        nap_ms: How long naps are, at most.
        mix: Kind -> weight.
    """

    calls: int
    lease_s: float
    bursts: int = 4
    nap_ms: float = 300.0
    mix: dict[str, float] = field(default_factory=lambda: dict(MIX))


def workload(seed: int, shape: Shape) -> list[Call]:
    """Draw the calls, in the order in which they are sent."""
    chance = random.Random(seed)
    kinds, weights = list(shape.mix), list(shape.mix.values())
    ordered = shape.bursts * ORDER_BURST
    # Before anything is disturbed: four that only a renewed lease keeps.
    calls = [_call(chance, n, "long", 0.0, shape) for n in range(4)]
    rest = max(0, shape.calls - len(calls) - ordered)
    drawn = chance.choices(kinds, weights, k=rest)
    # One of each kind at least, also in a small workload.
    drawn[: len(kinds)] = kinds[: len(drawn)]
    chance.shuffle(drawn)
    for place, kind in enumerate(drawn):
        at = place / max(1, rest)
        if kind in LIMITS:  # many at once: a limit that is never reached shows nothing
            at = int(at * _CLUMPS) / _CLUMPS
        calls.append(_call(chance, len(calls), kind, at, shape))
    for burst in range(shape.bursts):
        at = (burst + 0.5) / shape.bursts
        calls += [
            _call(chance, len(calls) + k, "order", at, shape, burst=burst)
            for k in range(ORDER_BURST)
        ]
    return sorted(calls, key=lambda call: (call.at, call.n))


def _call(
    chance: random.Random, n: int, kind: str, at: float, shape: Shape, burst: int = 0
) -> Call:
    return Call(
        n=n,
        what=kind,
        id=f"{chance.getrandbits(48):012x}-{n}",
        at=at,
        ms=_duration_ms(chance, kind, shape),
        delay_s=_delay_s(chance, kind),
        size=_size(chance, kind),
        burst=burst,
        queue=_QUEUES.get(kind, "main"),
        key=chance.choice(_KEYS) if kind in ("keyed", "unique") else "",
        priority=chance.choice((0, 0, 3, 6, 9)) if kind == "order" else chance.choice((0, 0, 0, 5)),
    )


_QUEUES = {"order": "order", "poison": "poison", "fatal": "poison", "narrow": "narrow"}


def _duration_ms(chance: random.Random, kind: str, shape: Shape) -> float:
    if kind == "long":
        return shape.lease_s * 1600
    if kind == "nap":
        return round(chance.uniform(20, shape.nap_ms), 1)
    if kind in LIMITS:
        return round(chance.uniform(0, 20), 1)
    if kind == "early":
        return round(chance.uniform(0, shape.nap_ms / 4), 1)
    return chance.choice((0, 0, 0, 0, 0, 0, 0, 5))


def _delay_s(chance: random.Random, kind: str) -> float:
    if kind in ("delay", "retry"):
        return round(chance.uniform(0.05, 2.0), 3)
    return round(chance.uniform(20, 30), 3) if kind == "revoke" else 0.0


def _size(chance: random.Random, kind: str) -> int:
    sizes = {"chain": (2, 5), "chord": (2, 8), "retry": (1, 3)}
    return chance.randint(*sizes[kind]) if kind in sizes else 0
