"""GroupResult: the results of a group's members, in order, under the group's id."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from windlass import progress
from windlass.errors import BackendError
from windlass.results import codec
from windlass.results.base import ResultBackend
from windlass.results.handle import AsyncResult, result_from_tuple
from windlass.results.result_set import ResultSet
from windlass.results.tree import ResultTree
from windlass.shared import current_app

if TYPE_CHECKING:
    from windlass.app import Windlass

R = TypeVar("R")

#: State under which the members of a group are stored.
_SAVED = "GROUP"


class GroupResult(ResultSet[R], ResultTree):
    """What `group(...)` gives: many results, read and waited for together.

    A member that is itself a group's (the end of a chain, say) is a GroupResult, and its value a
    list.

    Args:
        id: The group's id.
        results: The members' results, in order.
        parent: The result before the group in a chain.
        app: Whose results; default: the members' app, else the current one.

    Attributes:
        id: The group's id.
        parent: The result before it.
    """

    def __init__(
        self,
        id: str | None = None,
        results: Iterable[Any] = (),
        parent: Any = None,
        app: Windlass | None = None,
        **_ignored: Any,
    ) -> None:
        super().__init__(results, app)
        self.id = id or ""
        self.parent = parent

    @property
    def task_id(self) -> str:
        """The group's id."""
        return self.id

    @property
    def children(self) -> list[AsyncResult[R]]:
        """The members."""
        return self.results

    def save(self, backend: ResultBackend | None = None) -> GroupResult[R]:
        """Store which members the group has, so that `restore` finds them by its id.

        It is kept as long as a result (result_expires); the members' own results are not touched.

        Raises:
            BackendError: Results are off.
        """
        payload = codec.encode_state(self.id, _SAVED, self.as_tuple(), codec.About())
        ttl_ms = progress.ttl_ms(self.app.conf.current)
        _backend(backend, self.app).store_raw(_key(self.id), payload, ttl_ms)
        return self

    def delete(self, backend: ResultBackend | None = None) -> None:
        """Remove what `save` has stored."""
        _backend(backend, self.app).forget([_key(self.id)])

    @classmethod
    def restore(
        cls, id: str, backend: ResultBackend | None = None, app: Windlass | None = None
    ) -> GroupResult[Any] | None:
        """Return a group that was saved, None where nothing is stored under its id.

        Raises:
            BackendError: Results are off.
        """
        app = app or current_app()
        raw = _backend(backend, app).get_raw(_key(id))
        if raw is None:
            return None
        saved: Any = result_from_tuple(codec.decode_meta(id, raw, {"json"}).result, app, backend)
        return saved  # type: ignore[no-any-return]

    def _with_members(self) -> Any:
        return self if self.results else self.restore(self.id, app=self.app) or self

    def _members_as_tuples(self) -> list[Any] | None:
        return [result.as_tuple() for result in self.results]

    def as_list(self) -> list[str]:
        """Return the ids of the members."""
        return [leaf.id for leaf in self._leaves()]

    def __bool__(self) -> bool:
        return True

    def __str__(self) -> str:
        return self.id

    def __eq__(self, other: object) -> bool:
        if isinstance(other, GroupResult):
            return (other.id, other.results, other.parent) == (self.id, self.results, self.parent)
        return other == self.id if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:  # type: ignore[override]  # it has an id, other sets have none
        return hash(self.id)

    def __repr__(self) -> str:
        members = ", ".join(map(str, self.results))
        return f"<{type(self).__name__}: {self.id} [{members}]>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.id, self.results, self.parent)


def _key(group_id: str) -> str:
    return f"group:{group_id}"


def _backend(backend: ResultBackend | None, app: Windlass) -> ResultBackend:
    found = backend if backend is not None else app.backend
    if found is None:
        text = (
            "A group cannot be saved or restored: results are off. Expected a result_backend. Set "
            "backend='redis://' on the app (results on the broker's own server)."
        )
        raise BackendError(text)
    return found
