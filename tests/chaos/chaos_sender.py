"""The senders' side of a run: sends the workload, and reads outcomes as a caller would.

Every call is noted before it is sent and after it returned. Outcomes are noted when they are first
seen and once more at the end, so one that changes after it was final shows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from chaos_log import Logbook, Revoked, Seen, Sending, Sent, Unsent, now
from chaos_workload import Call
from windlass import Windlass, chain, chord
from windlass.control_plane.queue_record import write_record
from windlass.errors import BrokerError
from windlass.results import codec

#: A sender that gives up only after minutes: outages are shorter.
PATIENT = {"max_retries": 900, "interval_start": 0.02, "interval_step": 0.05, "interval_max": 0.2}
_BATCH = 50
_PAGE = 500
#: Between two looks at outcomes: each is a page of reads for what is not there yet.
_LOOK_S = 0.3
_BULK = frozenset(
    {"plain", "nap", "long", "early", "dies", "poison", "fatal", "reject", "fail", "retry",
     "rated", "few", "keyed", "narrow", "link", "delay"}
)  # fmt: skip


#: The broker, or the canvas, says what id these have.
_GIVEN = frozenset({"chain", "chord", "unique"})


def batches(calls: Sequence[Call]) -> Iterator[list[Call]]:
    """Cut the calls into batches in their order; a burst is a batch of its own."""
    batch: list[Call] = []
    for call in calls:
        same = not batch or (batch[0].what == "order", batch[0].burst) == (
            call.what == "order", call.burst,
        )  # fmt: skip
        if not same or (call.what != "order" and len(batch) == _BATCH):
            yield batch
            batch = []
        batch.append(call)
    if batch:
        yield batch


class Sender:
    """Sends calls.

    Args:
        app: Whose link to the broker has bad days.
        book: The log.
        most: Calls that may wait for their outcome at once.
    """

    def __init__(self, app: Windlass, book: Logbook, watcher: Watcher, most: int) -> None:
        self._app = app
        self._book = book
        self._watcher = watcher
        self._most = most
        self.sent = 0

        # Keys of a call are computed by who sends it, from the task's declaration.
        @app.task(name="chaos_tasks.keyed", limit_key="{key}", max_concurrency_per_key=1)
        def keyed(n: int, role: str, ms: float, key: str) -> None: ...

        @app.task(
            name="chaos_tasks.unique", unique="done", unique_key="{key}", on_duplicate="return"
        )
        def unique(n: int, role: str, ms: float, key: str) -> None: ...

        self._keyed, self._unique = keyed, unique
        #: Numbers of roll calls are above those of the workload.
        self._last = 10_000_000

    def send_all(self, calls: Sequence[Call], seconds: float) -> None:
        """Send the calls, spread over so many seconds or as fast as they are worked off."""
        started = time.monotonic()
        for batch in batches(calls):
            while (
                time.monotonic() - started < batch[0].at * seconds
                or self._watcher.waiting > self._most
            ):
                time.sleep(0.01)
            self._send(batch)

    def send_roll_call(self, queues: Sequence[str] = ("main", "order")) -> None:
        """Send a few calls to each queue, long enough that no worker can have them all."""
        calls = [
            Call(n=self._next(), what="roll", id=f"roll-{self._last}", at=1.0, ms=100, queue=queue)
            for queue in (*queues, *("main",) * 8)
        ]
        self._note(calls)
        self._guarded(calls, lambda: self._app.send_many([self._simple(c) for c in calls]))

    def _next(self) -> int:
        self._last += 1
        return self._last

    def _send(self, batch: Sequence[Call]) -> None:
        bulk = [call for call in batch if call.what in _BULK]
        if bulk:
            self._note(bulk)
            self._guarded(bulk, lambda: self._app.send_many([self._simple(c) for c in bulk]))
        for call in batch:
            if call.what not in _BULK and call.what != "order":
                self._note([call])
                self._guarded([call], lambda one=call: self._send_one(one))
        if batch[0].what == "order":
            self._send_burst(batch)

    def _note(self, calls: Iterable[Call]) -> None:
        at = now()
        self._book.write(
            *(
                Sending(
                    at=at,
                    n=call.n,
                    what=call.what,
                    id="" if call.what in _GIVEN else call.id,
                    delay_s=call.delay_s,
                    size=call.size,
                    burst=call.burst,
                    priority=call.priority,
                    queue=call.queue,
                    key=call.key,
                )
                for call in calls
            )
        )

    def _guarded(self, calls: Sequence[Call], send: Any) -> None:
        """Send, and note what came of it; canvases return the ids they were given."""
        try:
            given = send()
        except BrokerError as error:
            self._book.write(*(Unsent(at=now(), n=c.n, error=str(error)[:200]) for c in calls))
            return
        at, found = now(), []
        for call in calls:
            ids = given if call.what in _GIVEN else [call.id]
            found.append(Sent(at=at, n=call.n, ids=ids))
            self._watcher.watch(ids)
        self._book.write(*found)
        self.sent += len(calls)

    def _simple(self, call: Call) -> Any:
        others = {"retry": "again", "dies": "die_once"}
        args: dict[str, list[Any]] = {
            "retry": [call.n, call.size, call.delay_s],
            "early": [call.n, call.ms],
        }
        is_work = call.what in ("plain", "nap", "long", "roll", "narrow", "link", "delay")
        name = "work" if is_work else others.get(call.what, call.what)
        given = args.get(call.what, [call.n])
        if name in ("work", "rated", "few", "keyed"):
            given = [call.n, "work", call.ms]
        signature = self._app.signature(f"chaos_tasks.{name}", args=given)
        if call.what == "keyed":
            signature = self._keyed.s(*given, call.key)
        if call.what == "fail":
            signature.link_error(self._after("mourn", call.n))
        if call.what == "link":
            signature.link(self._after("follow", call.n))
        if call.what == "delay":
            signature = signature.set(countdown=call.delay_s)
        return signature.set(task_id=call.id, queue=call.queue, priority=call.priority)

    def _after(self, role: str, n: int) -> Any:
        if role == "mourn":
            return self._app.signature("chaos_tasks.mourn", kwargs={"n": n}).set(queue="main")
        return self._app.signature("chaos_tasks.after", args=[n, role]).set(queue="main")

    def _work(self, n: int, role: str, ms: float) -> Any:
        return self._app.signature("chaos_tasks.work", args=[n, role, ms]).set(queue="main")

    def _send_one(self, call: Call) -> list[str]:
        n = call.n
        if call.what == "chain":
            steps = [self._after(f"step{k}", n) for k in range(1, call.size)]
            return [chain(self._work(n, "step0", call.ms), *steps).apply_async().id]
        if call.what == "chord":
            parts = [self._work(n, f"part{k}", call.ms) for k in range(call.size)]
            return [chord(parts)(self._after("body", n)).id]
        if call.what == "unique":
            found = self._unique.s(n, "work", call.ms, call.key).set(queue="main").apply_async()
            return [found.id]
        assert call.what == "revoke"
        later = {"task_id": call.id, "priority": call.priority, "countdown": call.delay_s}
        handle = self._work(n, "work", call.ms).set(**later).apply_async()
        self._patiently(handle.revoke)
        self._book.write(Revoked(at=now(), n=n))
        return [call.id]

    def _send_burst(self, calls: Sequence[Call]) -> None:
        """Let all of a burst become ready at once: the queue is paused meanwhile."""
        self._patiently(lambda: write_record(self._app.broker, "order", paused=True))
        self._note(calls)
        # The order is that of the script that stores them; one batch is one script.
        signatures = [
            self._work(c.n, "work", 0).set(task_id=c.id, priority=c.priority, queue="order")
            for c in calls
        ]
        self._guarded(calls, lambda: self._app.send_many(signatures))
        self._patiently(lambda: write_record(self._app.broker, "order", paused=False))

    def _patiently(self, call: Any) -> None:
        """Do what is safe to repeat until it is done."""
        while True:
            try:
                call()
            except BrokerError:
                time.sleep(0.05)
            else:
                return


class Watcher:
    """Reads outcomes of what was sent, from the side, until all are final."""

    def __init__(self, app: Windlass, book: Logbook) -> None:
        self._app = app
        self._book = book
        self._lock = threading.Lock()
        self._ids: dict[str, None] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self.seen = 0

    @property
    def waiting(self) -> int:
        """How many have no outcome yet."""
        return len(self._ids)

    def start(self) -> None:
        self._thread.start()

    def watch(self, ids: Iterable[str]) -> None:
        with self._lock:
            self._ids.update(dict.fromkeys(ids))

    def close(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(30)

    def _run(self) -> None:
        while not self._over.wait(_LOOK_S):
            with self._lock:
                ids = list(self._ids)[: 4 * _PAGE]
            try:
                final = self.look(ids)
            except BrokerError:
                continue
            with self._lock:
                # What is not final goes to the end, so that all have their turn.
                for id_ in ids:
                    self._ids.pop(id_, None)
                    if id_ not in final:
                        self._ids[id_] = None

    def look(self, ids: Sequence[str]) -> set[str]:
        """Read these outcomes; note and return those that are final."""
        final: set[str] = set()
        for at in range(0, len(ids), _PAGE):
            page = ids[at : at + _PAGE]
            found = self._app.backend.get_many_raw(page)
            lines = [
                Seen(at=now(), id=id_, state=codec.status_of(raw), value=_value(id_, raw))
                for id_, raw in zip(page, found, strict=True)
                if raw is not None and codec.is_final(raw)
            ]
            self._book.write(*lines)
            final.update(line.id for line in lines)
        self.seen += len(final)
        return final


def _value(id_: str, raw: bytes) -> str:
    """The run that made an outcome: a task's value, or its exception's text."""
    value = codec.decode_meta(id_, raw, ["json"]).result
    if isinstance(value, str):
        return value
    return str(value.args[0]) if isinstance(value, ValueError) and value.args else ""
