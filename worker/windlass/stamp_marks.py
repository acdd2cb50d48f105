"""Which stamps are revoked: what `revoke_by_stamped_headers` leaves on the broker.

A mark is one value of one stamped header. Workers get the marks with a fetch when those have
changed (the generation says so) and look at them for messages that have stamps; no other pays.
Pure. Next in the walk: `windlass.runtime.orders`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

_encode = msgspec.json.Encoder(order="deterministic").encode


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """One value of one stamped header that is revoked.

    Attributes:
        name: Of the header.
        value: JSON of the value.
        signal: That ends a run, '' to leave runs alone.
        until_ms: The broker's clock, ms; 0 for a mark that does not end.
    """

    name: str
    value: str
    signal: str = ""
    until_ms: int = 0

    def encode(self) -> bytes:
        """Return what is kept of it, without the time."""
        return _encode([self.name, self.value, self.signal])

    @classmethod
    def decode(cls, data: bytes, until_ms: int) -> Mark:
        """Read what `encode` returned."""
        name, value, signal = msgspec.json.decode(data, type=tuple[str, str, str])
        return cls(name=name, value=value, signal=signal, until_ms=until_ms)


def marks_of(headers: Mapping[str, Any], signal: str = "") -> list[Mark]:
    """Return one mark for each value.

    Args:
        headers: Name -> a value, or a list of values any of which is meant.
        signal: That ends a run, '' to leave runs alone.

    Raises:
        TypeError: It is no mapping of names to JSON values, or it is empty.
    """
    if not isinstance(headers, Mapping) or not headers:
        msg = f"Stamped headers are {headers!r}. Expected e.g. {{'customer': 'c-17'}}."
        raise TypeError(msg)
    found = []
    for name, given in headers.items():
        try:
            found += [Mark(name=name, value=text, signal=signal) for text in _texts(given)]
        except (TypeError, msgspec.MsgspecError) as error:
            msg = f"The stamped header {name!r} cannot be written as JSON: {error}."
            raise TypeError(msg) from error
    return found


class StampMarks:
    """The marks of one generation.

    Args:
        generation: Changes whenever a mark is set; 0 where there is none.
        marks: Those that have not ended.
    """

    def __init__(self, generation: int = 0, marks: Iterable[Mark] = ()) -> None:
        self.generation = generation
        self._by_value: dict[tuple[str, str], list[Mark]] = {}
        for mark in marks:
            self._by_value.setdefault((mark.name, mark.value), []).append(mark)

    def signal_for(self, stamps: Mapping[str, Any] | None, now_ms: int) -> str | None:
        """Say whether a message with these stamps is revoked.

        Returns:
            None if it is not; else the signal that ends its run, '' to leave a run alone.
        """
        if not (self._by_value and stamps):
            return None
        signals = [
            mark.signal
            for name, given in stamps.items()
            for text in _texts(given)
            for mark in self._by_value.get((name, text), ())
            if not mark.until_ms or mark.until_ms > now_ms
        ]
        return max(signals, default=None)


def _texts(given: Any) -> list[str]:
    values = given if isinstance(given, list | tuple | set | frozenset) else [given]
    return [_encode(value).decode() for value in values]
