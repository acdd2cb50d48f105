"""The tasks of a group that was made of a generator: they are taken from it when they are needed.

What was taken by looking at the group is kept. Sending a group by itself does not keep it: then it
can be sent once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from windlass.signatures import Signature, as_signature


class LazyTasks:
    """A list that is filled from an iterator as far as it is read.

    Args:
        tasks: Signatures, or their dicts.
        place: What they are, for errors.
    """

    __slots__ = ("_is_spent", "_known", "_rest")

    def __init__(self, tasks: Iterable[Any], place: str) -> None:
        self._is_spent = False
        self._known: list[Signature[Any]] = []
        self._rest: Iterator[Signature[Any]] = (
            as_signature(task, place=f"(task {index} of {place})")
            for index, task in enumerate(tasks)
        )

    def __iter__(self) -> Iterator[Signature[Any]]:
        at = 0
        while True:
            while at < len(self._known):
                yield self._known[at]
                at += 1
            if not self._take():
                return

    def __getitem__(self, index: int) -> Signature[Any]:
        while (index < 0 or index >= len(self._known)) and self._take():
            pass
        return self._known[index]

    def __len__(self) -> int:
        while self._take():
            pass
        return len(self._known)

    def __bool__(self) -> bool:
        return bool(self._known) or self._take()

    def __eq__(self, other: object) -> bool:
        return list(self) == other if isinstance(other, list) else self is other

    __hash__ = None  # type: ignore[assignment]  # it is equal to lists

    def __deepcopy__(self, memo: dict[int, Any]) -> LazyTasks:
        return self.mapped(Signature.clone)

    def __reduce__(self) -> tuple[Any, ...]:
        return (list, (list(self),))

    def __json__(self) -> list[Signature[Any]]:
        return list(self)

    def __repr__(self) -> str:
        known = ", ".join(map(repr, self._known))
        return f"<{type(self).__name__}: [{known}{', ' if known else ''}...]>"

    def drained(self) -> Iterator[Signature[Any]]:
        """Yield the tasks without keeping them: a group of 100,000 is sent in little memory.

        What is not known yet is gone afterwards, and asking for it again is an error.
        """
        if self._is_spent:
            raise _spent()
        yield from self._known
        for task in self._rest:
            self._is_spent = True
            yield task

    def mapped(self, change: Callable[[Signature[Any]], Signature[Any]]) -> LazyTasks:
        """Return the tasks changed, each when it is needed."""
        return LazyTasks(map(change, self), "a generator")

    def _take(self) -> bool:
        if self._is_spent:
            raise _spent()
        found = next(self._rest, None)
        if found is not None:
            self._known.append(found)
        return found is not None


def _spent() -> ValueError:
    return ValueError(
        "This group was made of a generator, and has been sent: its tasks are gone. Make it of a "
        "list, group([...]), to send it or to look at it again."
    )
