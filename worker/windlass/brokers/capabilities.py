"""What a broker can do, checked before it is asked for: what is missing is an error at start."""

from __future__ import annotations

from collections.abc import Iterable

from windlass.brokers.base import Broker, Capability
from windlass.errors import ConfigurationError

_MEANINGS = {
    Capability.PRIORITIES: "priorities",
    Capability.SCHEDULED: "countdown and eta",
    Capability.REVOKE: "revoking by id",
    Capability.RESULTS: "results stored in the commit that ends a task",
    Capability.PARKING: "setting aside tasks that a worker does not know",
    Capability.JOINS: "keeping the steps of chains and chords until they are due",
    Capability.UNIQUE: "locks: unique tasks, debounce and throttle",
    Capability.PROCESSES: "being seen by other processes",
}


def require(broker: Broker, needed: Iterable[Capability], who: str) -> None:
    """Refuse a broker that lacks something.

    Args:
        broker: Asked for its capabilities.
        needed: What it has to have.
        who: What asks for it, e.g. "Pool prefork".

    Raises:
        ConfigurationError: Names what is missing.
    """
    missing = [_MEANINGS[need] for need in needed if need not in broker.capabilities]
    if missing:
        text = (
            f"{who} needs of its broker: {', '.join(missing)}. {type(broker).__name__} has not "
            "got it; expected a broker that has, such as redis://. (Tests on memory:// run a "
            "worker inside their own process: windlass.contrib.testing.worker.start_worker.)"
        )
        raise ConfigurationError(text)
