"""A canvas as a sequence of steps and forks: what is left when kinds and options are worked out.

    chain(a, group(b, c), d)          a, fork(b | c), d
    chord([a, chain(b, c)], d | e)    fork(a | b, c), d, e

A step is one task, a copy with all its arguments and options. A fork has a sequence for each
member; what follows it gets the list of their values. Everything that runs a canvas (`compile`,
`inline`, `handles`) works on this form.
Next in the walk: `windlass.canvas.compile`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Union

from windlass import sending
from windlass.canvas.names import CHUNKS, GATHER, MAP, STARMAP
from windlass.signature_data import listed
from windlass.signatures import Signature, as_signature

if TYPE_CHECKING:
    from windlass.canvas.chains import chain
    from windlass.canvas.chords import chord
    from windlass.canvas.groups import group

#: Options that are the business of a whole, not of the tasks in it.
_OF_THE_WHOLE = frozenset({"link", "link_error", "task_id", "group_id", "group_index"})
#: Options of a chord that its body does not share with its header.
_OF_THE_HEADER = frozenset({"parent_id", "countdown", "eta"})
_OVER_ITEMS = frozenset({MAP, STARMAP})
#: Where something is in a canvas: names and places, from the outside in.
Place = tuple[str, ...]


class Step:
    """One task.

    Attributes:
        sig: Its signature with all arguments and options; not to be changed.
        id: The task's id.
        group: The group it gives its value to, and its place there; None for none.
        place: Where it is in the canvas, for errors.
        is_sealed: It takes no value of what is before it; as if it were immutable.
        goes_with: The signature whose queue it shares, unless it names one; None for its own.
    """

    __slots__ = ("goes_with", "group", "id", "is_sealed", "place", "sig")

    def __init__(
        self,
        sig: Signature[Any],
        place: Place,
        group: tuple[str, int] | None = None,
        task_id: str | None = None,
    ) -> None:
        options = sig["options"]
        self.sig = sig
        self.id: str = options.get("task_id") or task_id or sending.new_id()
        self.group = group
        if group is None and "group_id" in options:
            self.group = (options["group_id"], options.get("group_index"))
        self.place = place
        self.is_sealed: bool = sig["immutable"]
        self.goes_with: Mapping[str, Any] | None = None
        if sig["task"] in _OVER_ITEMS:
            self.goes_with = sig.kwargs.get("task")


class Fork:
    """Sequences beside one another.

    Attributes:
        id: The group's id.
        members: They are not empty.
    """

    __slots__ = ("id", "members")

    def __init__(self, fork_id: str, members: list[Items]) -> None:
        self.id = fork_id
        self.members = members


Item = Union[Step, Fork]  # noqa: UP007 - Fork is not subscriptable by | in a forward reference
Items = list[Item]


class Given(NamedTuple):
    """What a part of a canvas is given from outside, before its own."""

    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = {}
    options: Mapping[str, Any] = {}


def unfold(
    sig: Signature[Any],
    given: Given = Given(),  # noqa: B008 - it is immutable
    place: Place = (),
) -> Items:
    """Return the sequence of a canvas; empty where it has no tasks.

    Args:
        sig: Of any kind; it is not changed.
        given: Arguments for the tasks that come first, and options.
        place: Where it is, for errors.

    Raises:
        TypeError: Something is no signature, or a chord has no body.
        RecursionError: It contains itself.
    """
    kind = sig.subtask_type
    if kind == "chain":
        return _of_chain(sig, given, place)  # type: ignore[arg-type]  # the kind says so
    if kind == "group":
        return [_of_group(sig, given, place)]  # type: ignore[arg-type]
    if kind == "chord":
        return _of_chord(sig, given, place)  # type: ignore[arg-type]
    if sig.task == CHUNKS:
        parts: Any = sig
        return unfold(parts.group(), Given(options={**sig.options, **given.options}), place)
    return [_of_task(sig, given, place)]


def _of_task(
    sig: Signature[Any],
    given: Given,
    place: Place,
    group: tuple[str, int] | None = None,
    task_id: str | None = None,
) -> Step:
    args, kwargs, options = given
    if args or kwargs or options:
        sig = sig.clone(args, kwargs, **options)
    return Step(sig, place, group, task_id)


def _fresh_ids() -> Iterator[str]:
    """Yield new ids, made in batches that grow: a large group asks for randomness seldom."""
    size = 4
    while True:
        yield from sending.new_ids(size)
        size = min(2 * size, 1024)


def has_tasks(sig: Signature[Any]) -> bool:
    """Whether there is any task in it."""
    if sig.subtask_type in ("chain", "group"):
        return any(has_tasks(task) for task in sig.kwargs["tasks"])
    return True


def is_empty(item: Item) -> bool:
    """Whether it is a fork without members; only a canvas of nothing else has one."""
    return isinstance(item, Fork) and not item.members


def width(item: Item) -> int:
    """Return how many values an item has for what follows it."""
    return len(item.members) if isinstance(item, Fork) else 1


def _of_chain(sig: chain[Any], given: Given, place: Place) -> Items:
    args, _, options = sig.merged(given.args, {}, given.options)
    kwargs = {**sig.partial_kwargs(), **given.kwargs}
    tasks = [(index, task) for index, task in enumerate(sig.tasks) if has_tasks(task)]
    if not tasks:  # a chain of nothing but empty groups is one of them
        nothing = (unfold(task, Given(), place) for task in sig.tasks)
        return next((items for items in nothing if items), [])
    items: Items = []
    for number, (index, task) in enumerate(tasks):
        is_first, is_last = number == 0, number == len(tasks) - 1
        task = _with_links(task, options, is_last=is_last)
        its_options = sig.first_options(options) if is_first else {}
        if is_last:
            whole = ("task_id", "group_id", "group_index")
            its_options.update((key, options[key]) for key in whole if key in options)
        its = Given(args, kwargs, its_options) if is_first else Given(options=its_options)
        items += unfold(task, its, (*place, f"task {index} of a chain"))
    return items


def _with_links(
    task: Signature[Any], options: Mapping[str, Any], *, is_last: bool
) -> Signature[Any]:
    """Return a copy that has the links of the whole: errbacks each task, callbacks the last."""
    callbacks = listed(options.get("link")) if is_last else []
    errbacks = listed(options.get("link_error"))
    if callbacks or errbacks:
        task = task.clone()
    for callback in callbacks:
        task.link(as_signature(callback))
    for errback in errbacks:
        task.link_error(as_signature(errback).clone())
    return task


def _of_group(sig: group[Any], given: Given, place: Place) -> Fork:
    fork = Fork(group_id(sig, given), [])
    fork.members.extend(unfold_members(sig, given, fork.id, place))
    return fork


def group_id(sig: group[Any], given: Given) -> str:
    """Return the id of a group; a new one if it has none."""
    own: str | None = sig.merged((), {}, given.options)[2].get("task_id")
    return own or sending.new_id()


def unfold_members(
    sig: group[Any], given: Given, its_id: str, place: Place = (), *, drains: bool = False
) -> Iterator[Items]:
    """Yield the sequences of a group's members, each when it is needed; none is empty.

    Args:
        sig: The group.
        given: Arguments and options for each member.
        its_id: The group's id.
        place: Where it is, for errors.
        drains: Take the tasks from a generator without keeping them, see `LazyTasks.drained`.
    """
    index, ids = 0, _fresh_ids()
    for number, (task, its) in enumerate(_members(sig, given, drains=drains)):
        inside = (*place, f"task {number} of a group")
        if task["subtask_type"] is None and task["task"] != CHUNKS:
            yield [_of_task(task, its, inside, (its_id, index), next(ids))]
        elif has_tasks(task):
            options = {**its.options, "group_id": its_id, "group_index": index}
            yield unfold(task, its._replace(options=options), inside)
        else:
            continue
        index += 1


def _members(
    sig: group[Any], given: Given, *, drains: bool
) -> Iterator[tuple[Signature[Any], Given]]:
    """Yield the members with what is given to each; those of groups inside in their place."""
    args, _, options = sig.merged(given.args, {}, given.options)
    kwargs = {**sig.partial_kwargs(), **given.kwargs}
    its_options = {key: value for key, value in options.items() if key not in _OF_THE_WHOLE}
    its = Given(args, kwargs, its_options)
    errbacks = {"link_error": options["link_error"]} if options.get("link_error") else None
    tasks: Any = sig.tasks
    for number, task in enumerate(tasks.drained() if drains and _is_lazy(tasks) else tasks):
        if number == 0 and options.get("link"):
            task = task.clone()
            for callback in listed(options["link"]):
                task.link(as_signature(callback).clone().set(immutable=True))
        if errbacks is not None:
            task = _with_links(task, errbacks, is_last=False)
        inner = None if task["subtask_type"] is None else _only_group(task)
        if inner is None:
            yield task, its
        else:
            yield from _members(inner, its, drains=drains)


def _is_lazy(tasks: object) -> bool:
    return not isinstance(tasks, list | tuple)


def _only_group(task: Signature[Any]) -> group[Any] | None:
    """Return the group that a member is: a chain of one task is that task."""
    while task.subtask_type == "chain" and not (task.options or task.args):
        inside = [inner for inner in task.kwargs["tasks"] if has_tasks(inner)]
        if len(inside) != 1:
            return None
        task = inside[0]
    found: Any = task
    return found if task.subtask_type == "group" else None


def _of_chord(sig: chord[Any], given: Given, place: Place) -> Items:
    args, _, options = sig.merged(given.args, {}, given.options)
    kwargs = {**sig.partial_kwargs(), **given.kwargs}
    body = as_signature(kwargs.pop("body", None) or sig.known_body())
    shared = {key: value for key, value in options.items() if key not in _OF_THE_WHOLE}
    header = Given(args, kwargs, shared)
    fork = _of_group(sig.header_group(), header, (*place, "the header of a chord"))
    body_options = {key: value for key, value in options.items() if key not in _OF_THE_HEADER}
    for key in ("link", "link_error"):
        body_options.pop(key, None)
    body = _with_links(body, options, is_last=True)
    inside = (*place, "the body of a chord")
    if not has_tasks(body):  # an empty group: whatever the values are, it comes to []
        body = Signature(GATHER, ([],), immutable=True, app=sig._app)
    if fork.members:
        return [fork, *unfold(body, Given(options=body_options), inside)]
    items = unfold(body, Given(([],), {}, body_options), inside)
    _seal(items)
    return items


def _seal(items: Items) -> None:
    """Make what comes first take no value of what is before it."""
    first = items[0] if items else None
    if isinstance(first, Step):
        first.is_sealed = True
    elif first is not None:
        for member in first.members:
            _seal(member)
