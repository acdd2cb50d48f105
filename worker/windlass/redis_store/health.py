"""Is this Redis safe to keep work in? Asked once at connect."""

from __future__ import annotations

from windlass.brokers.base import BrokerHealth
from windlass.errors import BrokerAccessError, BrokerError, OperationalError
from windlass.redis_store.connection import Links
from windlass.redis_store.resp import packed

#: The scripts use nothing newer (LPOP with a count, ZMSCORE, SMISMEMBER).
OLDEST = (6, 2)


def read_health(links: Links) -> BrokerHealth:
    """Read version, role, eviction policy and persistence.

    Raises:
        OperationalError: The server cannot be reached, or is older than 6.2.
    """
    try:
        text = bytes(links.call([packed("INFO")])[0]).decode()
    except BrokerAccessError:
        links.call([packed("PING")])  # raises if it is the password
        return _unknown()
    except OperationalError:
        raise
    except BrokerError:
        return _unknown()
    info = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    version = info.get("redis_version")
    if version and tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise OperationalError(
            f"The broker is Redis {version}; expected 6.2 or later. Upgrade the server."
        )
    appendonly = info.get("aof_enabled") == "1" if "aof_enabled" in info else None
    warnings = []
    if appendonly is False:
        warnings.append(
            "The broker has no append-only file: a crash of Redis loses what came after its last "
            "snapshot. Set appendonly yes."
        )
    if info.get("role") == "slave":
        warnings.append("The broker is a replica: writes will be refused. Use the primary.")
    return BrokerHealth(
        version=version,
        role=info.get("role"),
        maxmemory_policy=info.get("maxmemory_policy"),
        appendonly=appendonly,
        warnings=tuple(warnings),
    )


def _unknown() -> BrokerHealth:
    return BrokerHealth(
        version=None,
        role=None,
        maxmemory_policy=None,
        appendonly=None,
        warnings=(
            "The broker's settings could not be checked: INFO is not allowed for this user. See "
            "that maxmemory-policy is noeviction and appendonly is on.",
        ),
    )
