"""Draws a workflow as it is now: which task waits for what, what has failed.

    Drawing.of(result).text()       for a terminal
    Drawing.of(result).mermaid()    for a page
    Drawing.of(result).dot()        for Graphviz

`windlass graph ID` prints them. States are read, a hundred in a round trip, when it is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windlass import states
from windlass.canvas import outline
from windlass.results.group_result import GroupResult
from windlass.results.handle import AsyncResult

if TYPE_CHECKING:
    from windlass.app import Windlass

#: How a state looks in Graphviz and in mermaid.
_COLOURS = {
    states.SUCCESS: "#b7e1cd",
    states.FAILURE: "#f4c7c3",
    states.REVOKED: "#fce8b2",
    states.STARTED: "#c9daf8",
}


@dataclass(frozen=True, slots=True)
class Node:
    """A task, or what stands for many.

    Attributes:
        id: Its id.
        name: Name of the task; empty where only the id is known.
        state: Its state; "WAITING" while something before it has not ended.
        note: Why it failed, or what it waits for.
        depth: Groups that it is in.
        after: Ids of the tasks whose ends it waits for, or waited for.
    """

    id: str
    name: str
    state: str
    note: str = ""
    depth: int = 0
    after: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The name, else the id."""
        return self.name or self.id


class Drawing:
    """A workflow and the states of its tasks at one moment.

    Attributes:
        nodes: The tasks, each after what it waits for.
    """

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes

    @classmethod
    def of(cls, result: Any, app: Windlass | None = None) -> Drawing:
        """Look at the workflow that has this result.

        Args:
            result: The handle that sending it gave, or its id. Of an id the outline that was
                stored with the workflow is drawn; it is there as long as results are kept.
            app: Whose results; that of the handle by default.

        Raises:
            BackendError: Results are off.
        """
        handle: Any = AsyncResult(result, app=app) if isinstance(result, str) else result
        found = outline.load(handle.id, handle.app)
        if found is None and isinstance(result, str):
            handle = GroupResult.restore(result, app=handle.app) or handle
        shape = outline.outline_of(handle) if found is None else found
        return cls(list(_Reading(handle.app, shape).nodes()))

    def text(self) -> str:
        """Return it for a terminal: a line a task, members of a group indented."""
        width = max((len(node.label) + 2 * node.depth for node in self.nodes), default=0)
        lines = []
        for node in self.nodes:
            label = f"{'  ' * node.depth}{node.label}"
            note = f"  {node.note}" if node.note else ""
            lines.append(f"{label:<{width}}  {node.state:<8}  {node.id}{note}".rstrip())
        return "\n".join(lines)

    def dot(self) -> str:
        """Return it in Graphviz's language."""
        lines = [
            "digraph workflow {",
            "  rankdir=LR;",
            '  node [shape=box, style="rounded,filled"];',
        ]
        for node in self.nodes:
            label = f"{_escaped(node.label)}\\n{_escaped(node.state)}"
            fill = _COLOURS.get(node.state, "#ffffff")
            lines.append(f'  "{node.id}" [label="{label}", fillcolor="{fill}"];')
        lines += [f'  "{before}" -> "{after}";' for before, after in self.edges()]
        return "\n".join([*lines, "}"])

    def mermaid(self) -> str:
        """Return it as a mermaid flowchart."""
        names = {node.id: f"n{number}" for number, node in enumerate(self.nodes)}
        lines = ["flowchart LR"]
        for node in self.nodes:
            label = f"{node.label}<br/>{node.state}".replace('"', "#quot;")
            lines.append(f'  {names[node.id]}["{label}"]')
            if node.state in _COLOURS:
                lines.append(f"  style {names[node.id]} fill:{_COLOURS[node.state]}")
        lines += [f"  {names[before]} --> {names[after]}" for before, after in self.edges()]
        return "\n".join(lines)

    def edges(self) -> Iterator[tuple[str, str]]:
        """Yield (id, id of what waits for it)."""
        for node in self.nodes:
            for before in node.after:
                yield before, node.id


class _Reading:
    """Reads the states of an outline's tasks, and tells of each what it waits for."""

    def __init__(self, app: Windlass, shape: list[Any]) -> None:
        self._shape = shape
        self._handles = {
            task_id: AsyncResult[Any](task_id, app=app) for task_id in _task_ids(shape)
        }
        members: GroupResult[Any] = GroupResult("", self._handles.values(), app=app)
        members._look()

    def nodes(self) -> Iterator[Node]:
        yield from self._sequence(self._shape, (), 0)[0]

    def _sequence(
        self, shape: list[Any], after: tuple[str, ...], depth: int
    ) -> tuple[list[Node], tuple[str, ...]]:
        nodes: list[Node] = []
        for kind, node_id, *rest in shape:
            if kind == "t":
                nodes.append(self._task(node_id, rest[0], after, depth))
                after = (node_id,)
                continue
            members, more = rest
            ends: list[str] = []
            for member in members:
                inside, its_ends = self._sequence(member, after, depth + 1)
                nodes += inside
                ends += its_ends
            if more:
                many = f"and {more} more tasks"
                nodes.append(Node(f"{node_id}+", many, "", depth=depth + 1, after=after))
            after = tuple(ends)
        return nodes, after

    def _task(self, task_id: str, name: str, after: tuple[str, ...], depth: int) -> Node:
        handle = self._handles[task_id]
        meta = handle._known() if handle._is_over() else None
        waits = [before for before in after if not self._handles[before]._is_over()]
        if meta is not None:
            failed = meta.status in states.PROPAGATE_STATES
            note = repr(meta.result) if failed else ""
            return Node(task_id, name, meta.status, note, depth, after)
        if waits:
            note = f"waits for {len(waits)} of {len(after)}: {', '.join(waits[:3])}"
            return Node(task_id, name, "WAITING", note, depth, after)
        return Node(task_id, name, handle.state, "", depth, after)


def _task_ids(shape: list[Any]) -> Iterator[str]:
    for kind, node_id, *rest in shape:
        if kind == "t":
            yield node_id
        else:
            for member in rest[0]:
                yield from _task_ids(member)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
