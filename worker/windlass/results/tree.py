"""From a result to the results around it: parents (chains) and children (what a task sent)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from windlass.errors import IncompleteStream
from windlass.results.graph import DependencyGraph

if TYPE_CHECKING:
    from windlass.results.handle import AsyncResult


class ResultBase:
    """What every result handle is, for isinstance checks."""

    __slots__ = ()


class ResultTree(ResultBase):
    """Navigation; mixed into AsyncResult."""

    __slots__ = ()

    def as_tuple(self) -> tuple[tuple[str, Any], Any]:
        """Return the id and those of the parents as `((id, parent's tuple), None)`.

        `result_from_tuple` turns it, also after a trip through JSON, into a handle again.
        """
        known: Any = None
        for node in (*reversed(list(self.parents())), self._this()):
            known = (node.id, known), node._members_as_tuples()
        return known  # type: ignore[no-any-return]

    def _members_as_tuples(self) -> list[Any] | None:
        return None

    def _with_members(self) -> Any:
        """Return it as it is; a group that is known by its id alone with what was saved of it."""
        return self

    def as_list(self) -> list[str]:
        """Return the id and those of the parents, from here to the root."""
        return [self._this().id, *(node.id for node in self.parents())]

    def parents(self) -> Iterator[Any]:  # AsyncResult or GroupResult
        """Yield the parent, its parent and so on."""
        node = self._this().parent
        while node is not None:
            yield node
            node = node.parent

    def iterdeps(
        self, intermediate: bool = False
    ) -> Iterator[tuple[AsyncResult[Any] | None, AsyncResult[Any]]]:
        """Yield (parent, result) of this task and all that it sent, breadth first.

        Args:
            intermediate: Step over tasks that are not ready instead of raising.

        Raises:
            IncompleteStream: A task is not ready, so its children are not known yet.
        """
        waiting: deque[tuple[AsyncResult[Any] | None, AsyncResult[Any]]] = deque()
        waiting.append((None, self._this()))
        while waiting:
            parent, node = waiting.popleft()
            yield parent, node
            if node.ready():
                waiting.extend((node, child) for child in node.children or ())
            elif not intermediate:
                raise IncompleteStream(node.id)

    def collect(
        self, intermediate: bool = False, **get_options: Any
    ) -> Iterator[tuple[AsyncResult[Any], Any]]:
        """Wait for this task and all that it sent, and yield (result, value) of each.

        Args:
            intermediate: As in `iterdeps`.
            get_options: For `get` of each, e.g. timeout.
        """
        for _, node in self.iterdeps(intermediate=intermediate):
            yield node, node.get(**get_options)

    def get_leaf(self) -> Any:  # any task's value
        """Return the value of the last task in the tree, waiting for each on the way."""
        value = None
        for _, node in self.iterdeps():
            value = node.get()
        return value

    def build_graph(self, intermediate: bool = False) -> DependencyGraph[AsyncResult[Any]]:
        """Return the graph of this task and all that it sent.

        Args:
            intermediate: As in `iterdeps`.
        """
        graph: DependencyGraph[AsyncResult[Any]] = DependencyGraph()
        for parent, node in self.iterdeps(intermediate=intermediate):
            graph.add_arc(node)
            if parent is not None:
                graph.add_edge(parent, node)
        return graph

    @property
    def graph(self) -> DependencyGraph[AsyncResult[Any]]:
        """The graph as it is now."""
        return self.build_graph()

    def _this(self) -> AsyncResult[Any]:
        return cast("AsyncResult[Any]", self)
