"""Users of a Redis that serves many keyspaces: each sees its own keys and channels only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from windlass.redis_store.connection import Links, server_error
from windlass.redis_store.keys import Keys
from windlass.redis_store.resp import packed

#: What workers and applications need: scripts, data and channels of their keyspace; no
#: administration, and no command that looks over the whole database.
_RULES = (
    "+@all",
    "-@admin",
    "-@dangerous",
    "+client|id",
    "+client|unblock",
    "+info",
    "-scan",
    "-randomkey",
    "-dbsize",
)


#: What a server says that has users in its memory only: they are made anew after a restart.
_NO_FILE = "not configured to use an ACL file"


def user_rules(keyspace: str, password: str) -> tuple[str, ...]:
    """ACL rules that make a keyspace's user, whatever it was before."""
    base = Keys(keyspace).base
    hashed = hashlib.sha256(password.encode()).hexdigest()
    # resetchannels: a Redis 6.2 gives a new user all of them, and takes no pattern beside that.
    own = (f"~{base}*", "resetchannels", f"&{base}*")
    return ("reset", "on", f"#{hashed}", *own, *_RULES)


def server_start(links: Links) -> str:
    """Return a text that is another after each start of the server: users may be gone then."""
    text = bytes(links.call([packed("INFO", "server")])[0]).decode()
    return next((line for line in text.splitlines() if line.startswith("run_id:")), "")


def ensure_users(links: Links, users: Mapping[str, tuple[str, str]]) -> None:
    """Make sure of the users of keyspaces, in one round trip; in a file too, if it has one.

    Args:
        links: Connections of a user that may make users.
        users: Keyspace -> (user name, password).

    Raises:
        BrokerError: The server refused one of them, or could not write its file.
    """
    calls = [
        packed("ACL", "SETUSER", name, *user_rules(keyspace, password))
        for keyspace, (name, password) in users.items()
    ]
    if not calls:
        return
    for reply in links.try_call([*calls, packed("ACL", "SAVE")]):
        if isinstance(reply, Exception) and _NO_FILE not in str(reply):
            raise server_error(reply)
