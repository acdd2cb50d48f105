"""The outline of a workflow: which tasks it has and what follows what, kept beside its results.

It is for people (`windlass graph`, `windlass.canvas.drawing`), the engine never reads it. A node is
["t", id, name], ["g", id, members, how many more] with a list of nodes for each member, or for the
whole a list of nodes. Written once, when the workflow is sent, under the id of its result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windlass import progress
from windlass.canvas.unfold import Fork, Item, Items
from windlass.results import codec
from windlass.results.group_result import GroupResult

if TYPE_CHECKING:
    from windlass.app import Windlass

#: State under which it is stored.
_OUTLINE = "WORKFLOW"
#: Members of a group that are kept; of the others only how many there are.
_MEMBERS = 200


def save(items: Items, result: Any, app: Windlass) -> None:
    """Store the outline of a workflow that was sent, and the members of the groups in it.

    It is kept as long as a result. Nothing is stored where results are off.
    """
    backend = app.backend
    if backend is None or len(items) < 2:
        return
    ttl_ms = progress.ttl_ms(app.conf.current)
    value = [_node(item) for item in items]
    payload = codec.encode_state(result.id, _OUTLINE, value, codec.About())
    backend.store_raw(_key(result.id), payload, ttl_ms)
    for node in result.parents():
        # The first of all has nothing before it that would name it as its child.
        if isinstance(node, GroupResult) and node.parent is not None:
            node.save(backend)
    if isinstance(result, GroupResult):
        result.save(backend)


def load(result_id: str, app: Windlass) -> list[Any] | None:
    """Return the outline of the workflow with this result, None if there is none.

    Raises:
        BackendError: Results are off.
    """
    backend = app.backend
    raw = None if backend is None else backend.get_raw(_key(result_id))
    if raw is None:
        return None
    found: list[Any] = codec.decode_meta(result_id, raw, {"json"}).result
    return found


def outline_of(result: Any) -> list[Any]:
    """Return what can be told of a result by its handle alone: it, its parents, its members."""
    nodes: list[Any] = []
    for node in (*reversed(list(result.parents())), result):
        if isinstance(node, GroupResult):
            members = [outline_of(member) for member in node.results[:_MEMBERS]]
            nodes.append(["g", node.id, members, len(node.results) - len(members)])
        else:
            nodes.append(["t", node.id, ""])
    return nodes


def _node(item: Item) -> list[Any]:
    if isinstance(item, Fork):
        members = [[_node(inner) for inner in member] for member in item.members[:_MEMBERS]]
        return ["g", item.id, members, len(item.members) - len(members)]
    return ["t", item.id, item.sig.task]


def _key(result_id: str) -> str:
    return f"workflow:{result_id}"
