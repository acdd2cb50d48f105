"""The graph of a task and what it sent, as `AsyncResult.build_graph` returns it."""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import TopologicalSorter
from typing import Generic, Protocol, TypeVar

N = TypeVar("N")


class _Writable(Protocol):
    def write(self, text: str, /) -> object: ...


class DependencyGraph(Generic[N]):
    """Nodes and the edges between them, parents before children."""

    def __init__(self) -> None:
        self.adjacent: dict[N, list[N]] = {}

    def add_arc(self, node: N) -> None:
        """Add a node; one that is there already is left as it is."""
        self.adjacent.setdefault(node, [])

    def add_edge(self, parent: N, child: N) -> None:
        """Add an edge, and its nodes if they are new."""
        self.add_arc(parent)
        self.add_arc(child)
        self.adjacent[parent].append(child)

    def topsort(self) -> list[N]:
        """Return the nodes, each after all of its parents."""
        sorter: TopologicalSorter[N] = TopologicalSorter()
        for parent, children in self.adjacent.items():
            sorter.add(parent)
            for child in children:
                sorter.add(child, parent)
        return list(sorter.static_order())

    def edges(self) -> list[tuple[N, N]]:
        """Return (parent, child) pairs."""
        return [(parent, child) for parent, children in self.adjacent.items() for child in children]

    def to_dot(self, stream: _Writable) -> None:
        """Write the graph in Graphviz's language."""
        lines = [f'  "{node}" [shape=oval];' for node in self.adjacent]
        lines += [f'  "{parent}" -> "{child}";' for parent, child in self.edges()]
        stream.write("\n".join(["digraph results {", *lines, "}"]) + "\n")

    def __iter__(self) -> Iterator[N]:
        return iter(self.adjacent)

    def __len__(self) -> int:
        return len(self.adjacent)

    def __contains__(self, node: object) -> bool:
        return node in self.adjacent
