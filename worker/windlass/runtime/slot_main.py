"""What runs in a forked slot process: the channel to the supervisor, and the pool's loop.

A slot reads a permit, then begins the message the permit is for, answers it, and only then begins
the next. Messages of an older generation than the permit were recalled: they are dropped unread.
Next in the walk: `windlass.pools`, the loops; then `windlass.runtime.executor`.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from windlass.runtime import wire

if TYPE_CHECKING:
    from windlass.runtime.outcome import Outcome
    from windlass.runtime.zygote import SlotEnds

_READ_SIZE = 262_144


class Begun(msgspec.Struct, gc=False, eq=False):
    """A message that holds a permit: it has begun, and is answered exactly once."""

    seq: int
    message: wire.Handed
    generation: int


class Channel:
    """A slot's ends of the socket and of the two pipes.

    `take` and `take_ready` are for one thread; `answer` and `note` for any.

    Args:
        ends: Its ends.
        on_limits: Takes (task, soft, hard) when a task has other time limits from now on.
    """

    def __init__(
        self,
        ends: SlotEnds,
        on_limits: Callable[[str, float | None, float | None], None] = lambda *_: None,
    ) -> None:
        self.sock, self.permit_fd, self._answer_fd = ends
        self._on_limits = on_limits
        #: Set by a STOP frame or by the end of the supervisor: begin nothing more.
        self.is_closed = False
        #: Sequence numbers that the supervisor wants cancelled, for pools that can.
        self.cancelled: deque[int] = deque()
        self._inbox = bytearray()
        self._queue: deque[Begun] = deque()
        self._send_lock = threading.Lock()
        self._poll = select.poll()
        self._poll.register(self.permit_fd, select.POLLIN)
        self._poll.register(self.sock, select.POLLIN)
        os.set_blocking(self.permit_fd, False)

    def take(self) -> Begun | None:
        """Wait for a permit and return its message; None when the slot is to end."""
        while not self.is_closed:
            try:
                permit = os.read(self.permit_fd, wire.PERMIT_SIZE)
            except BlockingIOError:
                self._wait()
                continue
            if not permit:
                return None
            return self._message_for(int.from_bytes(permit, "big"))
        return None

    def take_ready(self, most: int) -> list[Begun]:
        """Return the messages of up to `most` permits that are there now; never waits."""
        try:
            permits = os.read(self.permit_fd, most * wire.PERMIT_SIZE)
        except BlockingIOError:
            return []
        if not permits:
            self.is_closed = True
            return []
        begun = (self._message_for(generation) for generation in wire.generations(permits))
        return [each for each in begun if each is not None]

    def answer(self, seq: int, duration_ms: float, outcome: Outcome) -> None:
        """Tell the supervisor how a begun message ended."""
        self._send(wire.answer_frame(seq, duration_ms, outcome))

    def note(self, kind: int, seq: int = 0) -> None:
        """Tell the supervisor that the slot is READY, or that a message has STARTED."""
        self._send(wire.note_frame(kind, seq))

    def read(self) -> None:
        """Read what is on the socket; blocks if there is nothing."""
        try:
            chunk = self.sock.recv(_READ_SIZE)
        except ConnectionError:
            chunk = b""
        if not chunk:
            self.is_closed = True
            return
        self._inbox += chunk
        for kind, payload in wire.frames_to_slot(self._inbox):
            if kind == wire.BATCH:
                self._unpack(wire.decode_batch(payload))
            elif kind == wire.CANCEL:
                self.cancelled.append(wire.decode_cancel(payload))
            elif kind == wire.STOP:
                self.is_closed = True
            elif kind == wire.LIMITS:
                self._on_limits(*wire.decode_limits(payload))

    def _unpack(self, batch: wire.Batch) -> None:
        generation = batch.generation
        for seq, message in enumerate(batch.messages, batch.first_seq):
            self._queue.append(Begun(seq, message, generation))

    def _message_for(self, permit: int) -> Begun | None:
        while True:
            while self._queue:
                waiting = self._queue.popleft()
                if waiting.generation == permit:
                    return waiting
            if self.is_closed:
                return None  # the supervisor died between frame and permit
            self.read()

    def _wait(self) -> None:
        for fd, _ in self._poll.poll():
            if fd != self.permit_fd:
                self.read()

    def _send(self, frame: bytes) -> None:
        try:
            with self._send_lock:
                sent = os.write(self._answer_fd, frame)
                while sent < len(frame):  # a long one, and the pipe is full
                    frame = frame[sent:]
                    sent = os.write(self._answer_fd, frame)
        except OSError:
            self.is_closed = True  # the supervisor is gone, and the zygote about to end this


def serve_slot(
    ends: SlotEnds,
    loop: Callable[[Channel], None],
    on_limits: Callable[[str, float | None, float | None], None] = lambda *_: None,
) -> None:
    """Say that the slot is up, and run the pool's loop on its channel until it ends."""
    channel = Channel(ends, on_limits)
    channel.note(wire.READY)
    loop(channel)
