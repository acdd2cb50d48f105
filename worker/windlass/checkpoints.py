"""Long tasks: how far a run has come is kept on the broker, and the next run goes on from there.

    @app.task(bind=True)
    def convert(self, path):
        done = self.request.checkpoint or 0
        for number, page in enumerate(pages(path)):
            if number < done:
                continue
            convert_page(page)
            self.checkpoint(number + 1, hands_back=True)

A checkpoint is fenced as an outcome is: a run that has lost its lease cannot save one. It is read
by the next run, whatever ended this one (a crash, a lost lease, a hand-back, a retry), and is
forgotten with the message. Next in the walk: `windlass.brokers.checkpoints`.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec

from windlass import context
from windlass.errors import DecodeError, HandBack, LeaseLostError, MessageTooLarge
from windlass.serializers import registry

if TYPE_CHECKING:
    from windlass.brokers.checkpoints import Checkpoints as Store
    from windlass.context import Context
    from windlass.settings.model import Settings
    from windlass.task import Task


class Saving(msgspec.Struct, gc=False):
    """What a run knows of its checkpoint.

    Attributes:
        data: The last one, of this run or an earlier one.
        is_unsaved: It is not on the broker yet.
        saved_at: Monotonic time of the last save, seconds.
    """

    data: Any = None
    is_unsaved: bool = False
    saved_at: float = float("-inf")


class CheckpointCalls:
    """What a running task can do about its checkpoint. Mixed into `Task`, and only there."""

    def checkpoint(self: Any, data: Any, *, force: bool = False, hands_back: bool = False) -> bool:
        """Keep how far this run has come; `self.request.checkpoint` of the next run is `data`.

        Call it as often as there is something to say: it is saved at once if the last save was
        `task_checkpoint_interval` ago, and else with the next call after that, or when the run is
        retried or handed back. So a crash costs so much progress at most.

        Args:
            data: Any value of the task serializer, as small as it can be; None forgets it.
            force: Save it now.
            hands_back: Where the worker is to end (`self.request.should_stop`), save it and hand
                the task back: raises HandBack. The next run counts neither as a delivery nor as a
                retry.

        Returns:
            Whether it is on the broker now.

        Raises:
            LeaseLostError: Another run of the task has begun, or will: this one changes nothing.
            HandBack: See `hands_back`.
            MessageTooLarge: It is over task_checkpoint_max_bytes.
            EncodeError: It has no representation in the serializer.
        """
        request: Context = self.request
        stops = hands_back and request.should_stop
        is_saved = save(self, request, data, force=force or stops)
        if stops:
            raise HandBack("the worker stops")
        return is_saved

    async def acheckpoint(
        self: Any, data: Any, *, force: bool = False, hands_back: bool = False
    ) -> bool:
        """As `checkpoint`, without blocking the event loop."""
        import asyncio  # noqa: PLC0415 - 5 MB that a worker of plain tasks has no use for

        saved: bool = await asyncio.to_thread(
            self.checkpoint, data, force=force, hands_back=hands_back
        )
        return saved

    async def aload_checkpoint(self: Any) -> Any:
        """Return `self.request.checkpoint` without blocking the event loop."""
        import asyncio  # noqa: PLC0415 - as above

        return await asyncio.to_thread(load, self.request)


def save(task: Task[..., Any], request: Context, data: Any, *, force: bool = False) -> bool:
    """See `CheckpointCalls.checkpoint`."""
    saving = _saving(request)
    saving.data, saving.is_unsaved = data, True
    settings = task.app.conf.current
    if not force and monotonic() - saving.saved_at < settings.task_checkpoint_interval:
        return False
    return _write(task, request, saving, settings)


def flush(task: Task[..., Any], request: Context) -> None:
    """Save what was not saved yet, for the run that comes next; a lost lease is none of it."""
    saving: Saving | None = request.__dict__.get("saving")
    if saving is not None and saving.is_unsaved:
        try:
            _write(task, request, saving, task.app.conf.current)
        except LeaseLostError:
            return


def load(request: Context) -> Any:
    """Return the last checkpoint, None for none; asks the broker once.

    Raises:
        DecodeError: It was written by another version, or for another task.
        SecurityError: It is not signed or encrypted as it has to be.
    """
    known: Saving | None = request.__dict__.get("saving")
    if known is not None:
        return known.data
    saving = _saving(request)
    frame = context.current_frame()
    store = None if frame is None else _store(frame.task, request)
    if frame is None or store is None:
        return None
    payload = store.read(request.id or "", request.retries)
    if payload is not None:
        saving.data = _decoded(payload, request, frame.task.app.conf.current)
    return saving.data


def _saving(request: Context) -> Saving:
    saving: Saving = request.__dict__.setdefault("saving", Saving())
    return saving


def _store(task: Task[..., Any], request: Context) -> Store | None:
    """Return where it is kept; None for a run without a message, which has no next run."""
    if request.token is None or request.queue is None or request.is_eager:
        return None
    store: Store = task.app.broker.checkpoints
    return store


def _write(task: Task[..., Any], request: Context, saving: Saving, settings: Settings) -> bool:
    store = _store(task, request)
    if store is None:
        return False
    saving.is_unsaved = False  # what cannot be written is said once
    payload = b"" if saving.data is None else _encoded(saving.data, request, settings)
    is_ours = store.save(
        request.id or "", request.queue or "", request.token or 0, request.retries, payload
    )
    if not is_ours and task.acks_after_run(settings):
        raise LeaseLostError(request.id or "")
    saving.saved_at = monotonic()
    return is_ours


def _encoded(data: Any, request: Context, settings: Settings) -> bytes:
    name = settings.task_serializer
    inside = registry.encode([request.task, data], name)
    limit = settings.task_checkpoint_max_bytes
    if len(inside) > limit:
        what = f"The checkpoint of task {request.id}"
        raise MessageTooLarge(what, len(inside), limit, "task_checkpoint_max_bytes")
    payload = registry.content_type_of(name).encode() + b"\n" + inside
    seals = settings.seals
    if seals is None or not seals.seals:
        return b"p" + payload
    # Workers without signing do without it.
    from windlass.sealing.places import of_checkpoint  # noqa: PLC0415

    return b"s" + seals.seal(of_checkpoint(request.id or ""), payload)


def _decoded(payload: bytes, request: Context, settings: Settings) -> Any:
    kind, payload = payload[:1], payload[1:]
    if settings.seals is not None or kind == b"s":
        from windlass.sealing.opening import open_checkpoint  # noqa: PLC0415 - as above

        payload = open_checkpoint(settings.seals, request.id or "", kind == b"s", payload)
    content_type, _, inside = payload.partition(b"\n")
    value = registry.decode(inside, content_type.decode(), settings.accept_content)
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise DecodeError("A checkpoint is damaged, or was written by another version.")
    # What took the place of another task (`replace`) has its id, and begins at the beginning.
    return value[1] if value[0] == request.task else None
