"""A call that was sent and is not waited for: its reply is read when the socket is readable.

For one small command over a connection that is there. Whatever is unusual (no connection, an
encrypted one, a server behind Sentinels, a refusal) is for `windlass.redis_store.connection`.
"""

from __future__ import annotations

from windlass.redis_store.connection import Link, Links
from windlass.redis_store.wire import Refusal, Reply, Wire, nothing

#: Longer commands may not fit into the kernel's buffer at once.
MAX_BYTES = 64 * 1024


class SentCall:
    """One command on its way. For one thread.

    Attributes:
        reply: Of the server; None where there is none, or a refusal.
    """

    __slots__ = ("_link", "_links", "_wire", "reply")

    def __init__(self, links: Links, link: Link, wire: Wire) -> None:
        self._links = links
        self._link = link
        self._wire = wire
        self.reply: Reply = None

    def fileno(self) -> int:
        """Readable when `arrived` is worth asking."""
        return self._wire.fileno()

    @property
    def timeout_s(self) -> float:
        """A server that has not answered after so long has failed, seconds."""
        return self._wire.timeout_s

    def arrived(self) -> bool:
        """Read what is there; True when the reply is whole, or there will be none."""
        try:
            reply = self._wire.read_now()
        except OSError:
            self.give_up()
            return True
        if nothing(reply):
            return False
        if isinstance(reply, Refusal):
            self.give_up()
            return True
        self.reply = reply
        self._links.take_back(self._link)
        return True

    def give_up(self) -> None:
        """Close the connection: its reply belongs to nobody."""
        self._link.close()
        self._links.take_back(self._link)


def send(links: Links, command: bytes) -> SentCall | None:
    """Send one packed command without waiting; None where that cannot be."""
    if len(command) > MAX_BYTES:
        return None
    link = links.lend()
    if link is None:
        return None
    wire = link.plain_wire()
    if wire is None or not wire.send_now(command):
        links.take_back(link)
        return None
    return SentCall(links, link, wire)
