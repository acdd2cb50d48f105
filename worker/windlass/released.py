"""The bytes of messages that continuations release: cut apart when declared, joined when released.

Values go into the first argument of an encoded body by putting bytes side by side, so that a script
can do it and nothing of a user's is decoded on the broker.
Next in the walk: `windlass.redis_store.lua.lib.then`, and `windlass.brokers.memory_continuations`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from windlass.continuations import FAIL_TASK, Hole, Release
from windlass.errors import ConfigurationError
from windlass.messages import Headers, Outgoing, address

#: Content type of a pickled body whose first argument comes in pieces, see `split_body`.
PICKLED_PARTS = "application/x-python-serialize+parts"
#: The hole of a step of a chain.
STEP = Hole()
_MARKERS = {
    "application/json": "j",
    "application/x-msgpack": "m",
    "application/x-python-serialize": "p",
}


def make_release(
    times: Outgoing,
    task: str,
    headers: Headers,
    body: bytes,
    *,
    hole: Hole = STEP,
    errbacks: bytes = b"",
) -> Release:
    """Build a release of a message as it would be sent at once.

    Args:
        times: Its id, queue, priority and times; its tail is not looked at.
        task: Name of its task.
        headers: Its headers, `then` included.
        body: `[args, kwargs, embed]`, encoded as `headers.content_type` says.
        hole: How it takes the values.
        errbacks: Its `embed`, encoded by its serializer, if errbacks are to be called when it is
            told of a failure.
    """
    before, between, after, marker = body, b"", b"", ""
    if hole.takes != "nothing":
        marker = marker_of(headers)
        before, between, after = split_body(body, marker, hole)
        if marker == "p":
            headers = msgspec.structs.replace(headers, content_type=PICKLED_PARTS)
    return Release(
        id=times.id,
        queue=times.queue,
        address=address(times.queue, task),
        headers=msgspec.json.encode(headers),
        before=before,
        priority=times.priority,
        delay_ms=times.delay_ms,
        eta_ms=times.eta_ms,
        ttl_ms=times.ttl_ms,
        expires_at_ms=times.expires_at_ms,
        between=between,
        after=after,
        takes=marker,
        errbacks=errbacks,
        failing=b'"failing":' + msgspec.json.encode((hole.fails, task)),
        feeds=headers.then.id if headers.then is not None else "",
    )


def marker_of(headers: Headers) -> str:
    """Return the marker of a body that takes values: "j", "m" or "p".

    Raises:
        ConfigurationError: Values cannot be put into a body of its content type.
    """
    marker = _MARKERS.get(headers.content_type)
    if marker is None:
        msg = (
            f"A step of a workflow that takes a result cannot be {headers.content_type!r}: its "
            "message is put together on the broker. Expected json, msgpack or pickle."
        )
        raise ConfigurationError(msg)
    return marker


def split_body(body: bytes, marker: str, hole: Hole) -> tuple[bytes, bytes, bytes]:
    """Cut an encoded `[args, kwargs, embed]` where a first argument is to be put in.

    The body of the message is then `before`, the pieces with `between` between them, `after`: plain
    JSON and msgpack, so that whoever decodes it sees nothing unusual. Pickles cannot be joined:
    there it is a count, the pieces with their lengths, and the rest (`windlass.serializers`).

    Returns:
        (before, between, after).
    """
    is_list = hole.takes == "list"
    if marker == "j":
        # b"[[" args.. b"]," ..
        rest = body[2:] if body[2:3] == b"]" else b"," + body[2:]
        return (b"[[[", b",", b"]" + rest) if is_list else (b"[[", b"", rest)
    if marker == "m":
        count, args_at = _array_at(body, 1)
        before = body[:1] + _array_header(count + 1)
        return before + (_array_header(hole.need) if is_list else b""), b"", body[args_at:]
    return (b"l" if is_list else b"v") + hole.need.to_bytes(4, "big"), b"", body


def value_piece(encoded: bytes, marker: str) -> bytes:
    """Return an encoded value as the piece of a body that it becomes."""
    return len(encoded).to_bytes(4, "big") + encoded if marker == "p" else encoded


def take_pieces(body: bytes) -> tuple[bool, list[bytes], bytes]:
    """Take a PICKLED_PARTS body apart: (whether a list is wanted, the pieces, the pickled rest).

    Raises:
        ValueError: It is cut short.
    """
    count, at = int.from_bytes(body[1:5], "big"), 5
    pieces = []
    for _ in range(count):
        end = at + 4 + int.from_bytes(body[at : at + 4], "big")
        if end > len(body):
            raise ValueError(count)
        pieces.append(body[at + 4 : end])
        at = end
    return body[:1] == b"l", pieces, body[at:]


def failing_body(errbacks: bytes, failure: bytes) -> bytes:
    """Build the body of a failing message."""
    return len(errbacks).to_bytes(4, "big") + errbacks + failure


def open_failing_body(body: bytes) -> tuple[bytes, bytes]:
    """Return (errbacks, failure) of a failing message's body, each still encoded."""
    end = 4 + int.from_bytes(body[:4], "big")
    return body[4:end], body[end:]


def message_of(release: Release, values: Sequence[bytes]) -> bytes:
    """Build the tail of a release's message from the pieces of its values."""
    size = len(release.headers).to_bytes(4, "big")
    body = release.before + release.between.join(values) + release.after
    return release.address + size + release.headers + body


def failing_message_of(release: Release, failure: bytes) -> bytes:
    """Build the tail of a release's failing message."""
    headers = failing_headers(release)
    size = len(headers).to_bytes(4, "big")
    body = failing_body(release.errbacks, failure)
    return address(release.queue, FAIL_TASK) + size + headers + body


def failing_headers(release: Release) -> bytes:
    """Return the headers of a release's failing message."""
    rest = release.headers[1:]
    return b"{" + release.failing + (rest if rest == b"}" else b"," + rest)


def _array_at(data: bytes, at: int) -> tuple[int, int]:
    """Read a msgpack array's header: (members, where the first one is)."""
    kind = data[at]
    if kind == 0xDC:
        return int.from_bytes(data[at + 1 : at + 3], "big"), at + 3
    if kind == 0xDD:
        return int.from_bytes(data[at + 1 : at + 5], "big"), at + 5
    return kind & 0x0F, at + 1


def _array_header(count: int) -> bytes:
    if count < 16:
        return bytes((0x90 | count,))
    if count < 1 << 16:
        return b"\xdc" + count.to_bytes(2, "big")
    return b"\xdd" + count.to_bytes(4, "big")
