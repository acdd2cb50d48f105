"""What of a pipeline is sent again to a server that does not know the scripts. Pure.

Next in the walk: `windlass.redis_store.scripts`.
"""

from __future__ import annotations

from collections.abc import Sequence

from windlass.redis_store.wire import Refusal, Reply

#: How often the scripts are loaded for one call, should somebody flush them again and again.
MOST_LOADS = 3
#: As it is in a packed call, and where its end is at the latest.
_EVALSHA = b"\r\nEVALSHA\r\n"
_EVALSHA_WITHIN = 32


def is_missing_script(reply: Reply) -> bool:
    """Whether the server did not know the script."""
    return isinstance(reply, Refusal) and str(reply).startswith("NOSCRIPT")


def to_send_again(commands: Sequence[bytes], replies: Sequence[Reply]) -> Sequence[int]:
    """Return which commands are to be sent once more, since the server does not know a script.

    All from the first such one on: what comes behind it may count on what it does, and is done a
    second time where it is no script (a PUBLISH, a WAIT), which does no harm. A server that knows
    one of our scripts knows all of them (see `scripts`), so no script behind it was done; should
    one have been, by whatever means, it is not done twice.
    """
    missing = [index for index, reply in enumerate(replies) if is_missing_script(reply)]
    if not missing:
        return ()
    rest = range(missing[0], len(commands))
    done = (index for index in rest if _EVALSHA in commands[index][:_EVALSHA_WITHIN])
    return missing if any(index not in missing for index in done) else rest
