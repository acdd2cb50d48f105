"""One slot as the supervisor sees it: what it was handed, what has begun, what can come back.

    supervisor                                slot process
    ──────────                                ────────────
    batch frame  ───── socket ─────────────>  queue
    a permit a message ── pipe ────────────>  one read for each message that begins
    <───────────────── pipe ────────────────  one answer a message

The supervisor holds the read end of the permit pipe too. What it reads from it has not begun and
never will: the kernel gives each permit to one reader. So work comes back from a slot that blocks,
spins or is stopped, with no lock and no co-operation.
Next in the walk: `windlass.runtime.slot_main`, the other end.
"""

from __future__ import annotations

import array
import fcntl
import os
import socket
import termios
from collections.abc import Callable

from windlass.runtime import pacing, wire
from windlass.runtime.hand import Entry
from windlass.runtime.zygote import SlotEnds

_READ_SIZE = 262_144
_NEVER = float("inf")


class Slot:
    """The supervisor's handle of one slot process. For the supervisor's loop only.

    Attributes:
        lanes: Messages that run at once in it.
        held: Sequence number -> entry, oldest first; begun ones come first.
        load_s: Estimated work in `held`, seconds.
        head_since: When the oldest one began, as far as can be told (prefork), monotonic.
        is_isolated: It runs suspects, one at a time, and nothing else.
        is_stalled: Its running message takes long; what waited behind it was taken back.
        is_retiring: It is to end when it is empty, to be started anew.
        doom: Why the supervisor kills it, None if it does not; decides what its end means.
    """

    __slots__ = (
        "_answer_r", "_inbox", "_outbox", "_permit_r", "_permit_w", "_permits_due",
        "deadlines", "doom", "doom_text", "doomed_seq", "generation", "has_been_told",
        "head_since", "held", "index", "is_gone", "is_isolated", "is_ready", "is_retiring",
        "is_stalled", "is_watched", "is_write_watched", "kill_at", "lanes", "load_s", "next_seq",
        "pid", "quota", "reserved", "runs", "sock", "started_at", "suspects",
    )  # fmt: skip

    def __init__(self, index: int, lanes: int) -> None:
        self.index = index
        self.lanes = lanes
        self.pid = 0
        self.is_ready = False
        self.is_isolated = False
        self.is_stalled = False
        self.is_retiring = False
        self.doom: str | None = None
        self.doomed_seq: int | None = None
        #: The doom in words, where its name does not say enough.
        self.doom_text = ""
        #: Whether a retiring process was told to end.
        self.has_been_told = False
        #: Whether the selector watches it, and whether the process has closed its end.
        self.is_watched = False
        self.is_write_watched = False
        self.is_gone = False
        #: When a process that was asked to end by another signal is killed, monotonic.
        self.kill_at: float | None = None
        #: Sequence number -> when its hard limit passes, monotonic; prefork goes by head_since.
        self.deadlines: dict[int, float] = {}
        #: Free lanes that are kept for messages which are being acknowledged (acks_late=False).
        self.reserved = 0
        #: Messages that this process may still be given, None for any number.
        self.quota: int | None = None
        self.held: dict[int, Entry] = {}
        self.load_s = 0.0
        self.suspects = 0
        self.generation = 0
        self.next_seq = 0
        self.head_since = 0.0
        self.started_at = 0.0
        #: Messages handed to this process so far, recalled ones not counted.
        self.runs = 0
        self._inbox = bytearray()
        self._outbox = bytearray()
        self._permits_due = 0
        self._permit_r = self._permit_w = self._answer_r = -1
        self.sock: socket.socket

    def open(self, spawn: Callable[[int, SlotEnds], None], now: float) -> None:
        """Make socket and pipes, and have a process started on their other ends."""
        ours, theirs = socket.socketpair()
        self._permit_r, self._permit_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._answer_r, answer_w = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._answer_r, False)
        ours.setblocking(False)
        self.sock = ours
        self.started_at = now
        try:
            spawn(self.index, SlotEnds(theirs, self._permit_r, answer_w))
        finally:
            theirs.close()
            os.close(answer_w)

    def fileno(self) -> int:
        """The pipe of answers, for the selector."""
        return self._answer_r

    @property
    def is_sending(self) -> bool:
        """Whether the socket was full: to be called again when it can take more."""
        return bool(self._outbox)

    @property
    def is_open_for_work(self) -> bool:
        """Whether it may be handed anything now."""
        return (
            self.is_ready
            and not self.is_retiring
            and not self.is_stalled
            and self.doom is None
            and self.quota != 0
        )

    def takes(self, entry: Entry) -> bool:
        """Whether this message may go to this slot now. See `windlass.runtime.pacing`."""
        held = len(self.held) + self.reserved
        if self.quota is not None and self.quota <= self.reserved:
            return False
        if entry.is_suspect or self.suspects or self.is_isolated:
            # A message that was running when a process died is alone in its process, so that it
            # takes nothing with it, and so that it is known whose fault it was.
            return entry.is_suspect and held == 0 and (self.is_isolated or self.lanes == 1)
        if held < self.lanes:
            return True
        if entry.acks_early:
            return False
        load_s = self.load_s
        return pacing.accepts(self.lanes, held, load_s, entry.facts.run_time.estimate_s)

    def room(self, estimate_s: float) -> int:
        """How many more messages of about this run time may be fetched for it."""
        if self.suspects or self.is_isolated or not self.is_open_for_work:
            return 0
        held = len(self.held) + self.reserved
        load_s = self.load_s + self.reserved * pacing.WORK_PER_LANE_S
        room = pacing.room_for(self.lanes, held, load_s, estimate_s)
        return room if self.quota is None else min(room, self.quota)

    def plan(self, entry: Entry) -> None:
        """Count a message as held; `send` hands over what was planned."""
        estimate_s = entry.facts.run_time.estimate_s
        entry.weight_s = pacing.WORK_PER_LANE_S if estimate_s is None else estimate_s
        self.load_s += entry.weight_s
        if entry.is_suspect:
            self.suspects += 1
        self.held[self.next_seq] = entry
        self.next_seq += 1
        self.runs += 1
        if self.quota is not None:
            self.quota -= 1

    def send(self, entries: list[Entry], clock_offset_ms: float, now: float) -> None:
        """Hand over planned messages, in the order they were planned, and their permits."""
        count = len(entries)
        if len(self.held) == count:
            self.head_since = now
        batch = wire.Batch(
            self.generation,
            self.next_seq - count,
            [
                wire.Handed(
                    e.id,
                    e.queue,
                    e.token,
                    e.raw,
                    e.deliveries,
                    e.handbacks,
                    clock_offset_ms,
                    e.body_at,
                    e.generation,
                    e.forgets_retries,
                    e.note,
                )
                for e in entries
            ],
        )
        self._outbox += wire.batch_frame(batch)
        self._permits_due += count
        self.flush()

    def flush(self) -> None:
        """Write what the socket takes. Permits follow only when their frame is out."""
        outbox = self._outbox
        try:
            while outbox:
                sent = self.sock.send(outbox)
                del outbox[:sent]
        except BlockingIOError:
            return
        except OSError:
            outbox.clear()  # it is dying; the zygote tells how
            return
        if self._permits_due:
            os.write(self._permit_w, wire.permits(self.generation, self._permits_due))
            self._permits_due = 0

    def receive(self) -> list[tuple[int, int, float, bytes]]:
        """Read the (kind, seq, duration_ms, payload) answers that are there; never waits."""
        inbox = self._inbox
        try:
            while True:
                chunk = os.read(self._answer_r, _READ_SIZE)
                if not chunk:
                    self.is_gone = True
                    break
                inbox += chunk
                if len(chunk) < _READ_SIZE:
                    break
        except BlockingIOError:
            pass
        except OSError:
            self.is_gone = True
        return wire.take_answers(inbox)

    def finish(self, seq: int, now: float) -> Entry | None:
        """Take the entry of an answered message out; None if it is not known any more."""
        entry = self.held.pop(seq, None)
        if entry is None:
            return None
        self.load_s = self.load_s - entry.weight_s if self.held else 0.0
        if self.deadlines:
            self.deadlines.pop(seq, None)
        if entry.is_suspect:
            self.suspects -= 1
        self.head_since = now
        self.is_stalled = False
        return entry

    def over_hard_limit(self, now: float) -> tuple[int | None, float]:
        """Find a message that runs over its hard limit.

        Returns:
            (its sequence number or None, when the next limit passes).
        """
        if self.lanes > 1:
            at, seq = min(((at, seq) for seq, at in self.deadlines.items()), default=(_NEVER, 0))
        else:
            seq, head = next(iter(self.held.items()), (0, None))
            if head is None or head.hard_s is None:
                return None, _NEVER
            at = self.head_since + head.hard_s
        if at > now:
            return None, at
        return (seq, _NEVER) if self.begun() else (None, now + 0.05)

    def begun(self) -> int:
        """How many of the held messages have begun."""
        return max(0, len(self.held) - self._unread_permits())

    def recall(self) -> list[Entry]:
        """Take back, for good, what has not begun; oldest first.

        Guarantee: a returned message was not begun and will not be.
        """
        if self._permit_r < 0:
            return []
        taken = self._permits_due
        if taken:  # their frame is not even out; it goes on, and its messages are dropped unread
            self._permits_due = 0
        try:
            while chunk := os.read(self._permit_r, 65536):
                taken += len(chunk) // wire.PERMIT_SIZE
        except BlockingIOError:
            pass
        if not taken:
            return []
        self.generation = (self.generation + 1) % wire.GENERATIONS
        recalled = []
        for _ in range(min(taken, len(self.held))):
            _, entry = self.held.popitem()  # the youngest
            self.load_s -= entry.weight_s
            if entry.is_suspect:
                self.suspects -= 1
            recalled.append(entry)
        self.runs -= len(recalled)
        if self.quota is not None:
            self.quota += len(recalled)
        if not self.held:
            self.load_s = 0.0
        recalled.reverse()
        return recalled

    def cancel(self, seq: int) -> None:
        """Ask the pool to cancel one running message."""
        self._outbox += wire.cancel_frame(seq)
        self.flush()

    def tell(self, frame: bytes) -> None:
        """Send a frame behind what was sent before."""
        self._outbox += frame
        self.flush()

    def stop(self) -> None:
        """Tell the process to end when what has begun is finished."""
        self._outbox += wire.stop_frame()
        self.flush()

    def close(self) -> None:
        """Close this side."""
        if self._permit_r >= 0:
            self.sock.close()
            for fd in (self._permit_r, self._permit_w, self._answer_r):
                os.close(fd)
            self._permit_r = self._permit_w = self._answer_r = -1

    def _unread_permits(self) -> int:
        if self._permit_r < 0:
            return 0
        count = array.array("i", [0])
        fcntl.ioctl(self._permit_r, termios.FIONREAD, count)
        return count[0] // wire.PERMIT_SIZE + self._permits_due
