"""A canvas as what the broker gets: messages to be sent now, and continuations for the rest.

From the last step to the first: what follows a step is known when its message is built, so the
message names only its continuation. A group that is the end of a chain inside a group has its
values joined by one message more (`windlass.gather`), so that each part is one task's value.
Next in the walk: `windlass.canvas.dispatch`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from windlass import call_options, sending, signals
from windlass.canvas.names import GATHER
from windlass.canvas.unfold import Fork, Item, Items, Step, width
from windlass.continuations import Continuation, Hole, Release
from windlass.errors import ConfigurationError, EncodeError, MessageTooLarge
from windlass.messages import Outgoing, Then
from windlass.publishing import Call
from windlass.released import make_release
from windlass.serializers import compression
from windlass.serializers.base import BODY_PARTS
from windlass.signatures import Signature

if TYPE_CHECKING:
    from windlass.app import Windlass
    from windlass.messages import Headers
    from windlass.plans import Plan

#: Options that are set on each message and are no part of a plan.
_OF_ONE = ("task_id", "group_id", "group_index", "root_id", "parent_id")

_NONE: dict[str, Any] = {}


class Entry(NamedTuple):
    """How the first messages of a sequence come to be.

    Attributes:
        source: The continuation that sends them, "" for now.
        hole: What they take of what is before them; None for nothing before them.
        parent_id: The task before them.
    """

    source: str = ""
    hole: Hole | None = None
    parent_id: str | None = None


class End(NamedTuple):
    """The message whose value is that of a sequence, and the continuation that sends it."""

    id: str
    source: str


Out = Outgoing | Release


class Compiler:
    """Builds the messages of unfolded canvases, for one send.

    Args:
        app: Whose tasks, routes and settings.
        stamps: Of the task that sends: they go on to what it sends.

    Attributes:
        continuations: Those that were made.
        root_id: First task of the tree that is built.
        published: Calls that are sent now, where after_task_publish has receivers.
    """

    def __init__(self, app: Windlass, stamps: Mapping[str, Any] | None = None) -> None:
        self.continuations: list[Continuation] = []
        self.root_id: str | None = None
        self.published: list[Call] = []
        self._app = app
        self._stamps = stamps
        self._settings = app.conf.current
        self._plans: dict[str, Plan] = {}

    def sequence(
        self, items: Items, entry: Entry, then: Then | None = None
    ) -> tuple[list[Out], list[End]]:
        """Build the messages of a sequence, the continuations between its items included.

        Args:
            items: At least one.
            entry: How its first messages come to be.
            then: What its value is a part of.

        Returns:
            Its first messages, and where its value comes from.
        """
        if then is not None and isinstance(items[-1], Fork):
            items = [*items, _gathering(items[-1])]
        ids = [entry.source, *map(_continuation_id, items[1:])]
        outs: list[Out] = []
        ends: list[End] = []
        waiting: Continuation | None = None
        last_ends: list[End] | None = None
        for at in range(len(items) - 1, -1, -1):
            its = entry if at == 0 else _after(items[at - 1], ids[at])
            outs, ends = self._item(items[at], its, then if waiting is None else waiting)
            last_ends = last_ends or ends
            if waiting is not None:
                waiting.members = tuple(end.id for end in ends)
                waiting.sources = tuple(end.source for end in ends)
            if at > 0:
                waiting = self._continuation(ids[at], outs)
        return outs, last_ends or ends

    def _item(
        self, item: Item, entry: Entry, then: Then | Continuation | None
    ) -> tuple[list[Out], list[End]]:
        if isinstance(item, Step):
            its_then = then.then(0) if isinstance(then, Continuation) else then
            return [self._step(item, entry, its_then)], [End(item.id, entry.source)]
        outs: list[Out] = []
        ends: list[End] = []
        base = then.then(0) if isinstance(then, Continuation) else None
        for index, member in enumerate(item.members):
            its_then = base and Then(base.id, index, base.formats, base.queues)
            if len(member) == 1 and isinstance(member[0], Step):  # most are: without detours
                outs.append(self._step(member[0], entry, its_then))
                ends.append(End(member[0].id, entry.source))
                continue
            member_outs, member_ends = self.sequence(member, entry, its_then)
            outs += member_outs
            ends += member_ends
        return outs, ends

    def _continuation(self, continuation_id: str, outs: Sequence[Out]) -> Continuation:
        made = Continuation(
            id=continuation_id,
            releases=tuple(out for out in outs if isinstance(out, Release)),
            members=(),
            max_bytes=self._settings.task_max_size_bytes,
        )
        self.continuations.append(made)
        return made

    def _step(self, step: Step, entry: Entry, then: Then | None) -> Out:
        hole = entry.hole
        if hole is not None and step.is_sealed:
            hole = hole._replace(takes="nothing")
        options = step.sig["options"]
        try:
            if options and not call_options.UNIQUE.isdisjoint(options):
                _refuse_unique(options)
            return self._message(step, hole, entry, then)
        except EncodeError as error:
            raise EncodeError(f"{_named(step)}: {error}") from error
        except TypeError as error:
            raise TypeError(f"{_named(step)}: {error}") from error
        except ConfigurationError as error:
            raise ConfigurationError(f"{_named(step)}: {error}") from error

    def _message(self, step: Step, hole: Hole | None, entry: Entry, then: Then | None) -> Out:
        sig = step.sig
        args, kwargs, options = sig["args"], sig["kwargs"], sig["options"]
        task = self._app.tasks.get(sig.task)
        is_fed = hole is not None and hole.takes != "nothing"
        # The value that will come counts as an argument.
        checked = (None, *args) if is_fed else args
        checked, kwargs = sending.prepare(task, checked, kwargs, True)
        args = checked[1:] if is_fed else checked
        own = _NONE
        if options:
            own = {key: value for key, value in options.items() if key not in _OF_ONE}
        if signals.before_task_publish.connections:
            own = dict(sending.announce(sig.task, args, kwargs, own))
        plan = self._plan(step, own, args, kwargs)
        headers = msgspec.structs.replace(
            plan.headers,
            root_id=options.get("root_id") or (None if self.root_id == step.id else self.root_id),
            parent_id=options.get("parent_id") or entry.parent_id,
            group=None if step.group is None else step.group[0],
            group_index=None if step.group is None else step.group[1],
            then=then,
        )
        if plan.keys is not None:
            # Few tasks have limits.
            from windlass.limit_options import key_ahead  # noqa: PLC0415

            headers.key = key_ahead(plan.keys, args, kwargs, is_fed=is_fed)
        if self._stamps:
            headers.stamps = {**self._stamps, **(headers.stamps or {})}
            headers.stamped_headers = sorted(headers.stamps)
        body = plan.encode((args, kwargs, plan.embed), BODY_PARTS)
        if len(plan.head) + len(body) > plan.limit:
            size, what = len(plan.head) + len(body), f"The message of {_named(step)}"
            raise MessageTooLarge(what, size, plan.limit, "task_max_size_bytes")
        times = msgspec.structs.replace(plan.times, id=step.id)
        if not is_fed:
            # Where values are put into its bytes, a message stays as long as it is.
            body = _smaller(plan, headers, body)
        if hole is None:
            times.tail = plan.tail(step.id, headers, body)
            if signals.after_task_publish.connections:
                self.published.append(Call(sig.task, task, args, kwargs, own))
            return times
        return _release(plan, times, sig.task, headers, body, entry.source, hole)

    def _plan(
        self,
        step: Step,
        options: Mapping[str, Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Plan:
        """Return the plan of a call; calls of a task without options share it."""
        name = step.sig.task
        if step.goes_with is not None:
            options = {"queue": self._queue_of(step.goes_with), **options}
        elif not options and name in self._plans:
            return self._plans[name]
        task = self._app.tasks.get(name)
        plan = sending.plan_calls(self._app, name, task, options, args, kwargs)
        if not options and not self._app.router.depends_on_call(name):
            self._plans[name] = plan
        return plan

    def _queue_of(self, sig: Mapping[str, Any]) -> str:
        """Return where a call of a signature goes."""
        own = {key: sig["options"][key] for key in ("queue",) if key in sig["options"]}
        task = self._app.tasks.get(sig["task"])
        return sending.plan_calls(self._app, sig["task"], task, own).times.queue


def _release(
    plan: Plan,
    times: Outgoing,
    task: str,
    headers: Headers,
    body: bytes,
    source: str,
    hole: Hole,
) -> Release:
    """Build what a continuation releases, sealed if that is to be."""
    tells = hole.fails == "chord" and "errbacks" in plan.embed
    errbacks = plan.encode(plan.embed) if tells else b""
    if plan.seals is None:
        return make_release(times, task, headers, body, hole=hole, errbacks=errbacks)
    # Apps without signing do without it.
    from windlass.sealing.releases import sealed_release  # noqa: PLC0415

    headers.seal = "m" if hole.takes == "nothing" else "j"
    release = make_release(times, task, headers, body, hole=hole, errbacks=errbacks)
    return sealed_release(plan.seals, source, release, body, hole)


def _after(item: Item, source: str) -> Entry:
    """Return how what follows an item comes to be."""
    if isinstance(item, Step):
        return Entry(source, Hole("value", 1, "same"), item.id)
    return Entry(source, Hole("list", width(item), "chord"), last_step(item).id)


def first_step(item: Item) -> Step:
    """Return the first task of an item: of a fork, of its first member."""
    while isinstance(item, Fork):
        item = item.members[0][0]
    return item


def last_step(item: Item) -> Step:
    """Return the last task of an item: of a fork, of its last member."""
    while isinstance(item, Fork):
        item = item.members[-1][-1]
    return item


def _continuation_id(item: Item) -> str:
    return item.id if isinstance(item, Step) else f"{item.id}+"


def _gathering(fork: Fork) -> Step:
    """Return the step that joins the values of a fork; it goes where the fork's last task goes."""
    last = last_step(fork)
    sig: Signature[Any] = Signature(GATHER)
    step = Step(sig, (*last.place, "the values of a group"))
    step.goes_with = last.goes_with or last.sig
    return step


def _refuse_unique(options: Mapping[str, Any]) -> None:
    # Few calls are unique.
    from windlass.uniqueness import refuse  # noqa: PLC0415

    refuse(options, "a task in a workflow", "Send that task alone, or leave the option out.")


def _named(step: Step) -> str:
    return f"{', '.join((*step.place, ''))}task {step.sig.task!r}"


def _smaller(plan: Plan, headers: Headers, body: bytes) -> bytes:
    """Compress a body if its task asks for it and it is worth it; the headers then say so."""
    if plan.compression is None or len(body) < compression.MIN_BYTES:
        return body
    headers.content_encoding = plan.compression
    return compression.compress(body, plan.compression)
