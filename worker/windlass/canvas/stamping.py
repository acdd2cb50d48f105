"""Stamping: headers that are put on every task of a canvas, and go on to what those send.

    class Tenant(StampingVisitor):
        def on_signature(self, sig, **headers):
            return {"tenant": current_tenant()}

    canvas.stamp(visitor=Tenant())       # or canvas.stamp(tenant="acme")

A task finds them in `self.request.stamps`, its retries and the tasks that it sends have them too,
and `revoke_by_stamped_headers` takes back what has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from windlass.canvas.lazy import LazyTasks
from windlass.signature_data import listed
from windlass.signatures import Signature, as_signature

if TYPE_CHECKING:
    from windlass.canvas.chains import chain
    from windlass.canvas.chords import chord
    from windlass.canvas.groups import group

_NAMES = "stamped_headers"
_Headers = dict[str, Any]


class StampingVisitor:
    """Says what to stamp the parts of a canvas with. Override what you need.

    Each method may return headers. Those of a beginning (on_group_start, on_chain_start,
    on_chord_header_start) and of on_chord_body go on to all that is inside, those of on_signature
    are that signature's own. A dict with the key "stamped_headers" stamps only the names listed
    there; without it all of them.
    """

    def on_signature(self, sig: Signature[Any], **headers: Any) -> _Headers | None:
        """Return headers for a task; called for each."""
        return {}

    def on_group_start(self, group: group[Any], **headers: Any) -> _Headers | None:
        """Return headers for a group and all in it."""
        return {}

    def on_group_end(self, group: group[Any], **headers: Any) -> None:
        """Take note that a group is done."""

    def on_chain_start(self, chain: chain[Any], **headers: Any) -> _Headers | None:
        """Return headers for a chain and all in it."""
        return {}

    def on_chain_end(self, chain: chain[Any], **headers: Any) -> None:
        """Take note that a chain is done."""

    def on_chord_header_start(self, sig: chord[Any], **header: Any) -> _Headers | None:
        """Return headers for the header of a chord; on_group_start's if not overridden."""
        return self.on_group_start(sig.header_group(), **header)

    def on_chord_header_end(self, sig: chord[Any], **header: Any) -> None:
        """Take note that the header of a chord is done."""
        self.on_group_end(sig.header_group(), **header)

    def on_chord_body(self, sig: chord[Any], **header: Any) -> _Headers | None:
        """Return headers for the body of a chord."""
        return {}

    def on_callback(self, callback: Signature[Any], **header: Any) -> _Headers | None:
        """Return headers for a task that is linked."""
        return {}

    def on_errback(self, errback: Signature[Any], **header: Any) -> _Headers | None:
        """Return headers for an errback."""
        return {}


#: Asks for nothing: stamping with headers alone.
_NOBODY = StampingVisitor()


def stamp(
    sig: Signature[Any],
    visitor: StampingVisitor | None,
    headers: Mapping[str, Any],
    *,
    append: bool = False,
) -> None:
    """Stamp a signature, its links and all inside.

    Args:
        sig: Of any kind; its options are changed.
        visitor: Says what with; None for the headers alone.
        headers: For all of them.
        append: A stamp that is there already, or given twice, becomes a list of both; else what
            comes first stays: the headers before those of the visitor, before the signature's own.
    """
    _Stamper(visitor or _NOBODY, append=append).stamp(sig, dict(headers))


class _Stamper:
    def __init__(self, visitor: StampingVisitor, *, append: bool) -> None:
        self._visitor = visitor
        self._append = append

    def stamp(self, sig: Signature[Any], headers: _Headers) -> None:
        kind = sig.subtask_type
        if kind == "group":
            self._group(sig, headers)  # type: ignore[arg-type]  # the kind says so
        elif kind == "chain":
            self._chain(sig, headers)  # type: ignore[arg-type]
        elif kind == "chord":
            self._chord(sig, headers)  # type: ignore[arg-type]
        else:
            self._links(sig, headers)
            asked = self._visitor.on_signature(sig, **headers)
            sig.set(**self._merged(headers, asked, sig))

    def _group(self, sig: group[Any], headers: _Headers) -> None:
        headers = self._merged(headers, self._visitor.on_group_start(sig, **headers), sig)
        self._links(sig, headers)
        self._members(sig, headers)
        self._visitor.on_group_end(sig, **headers)

    def _chain(self, sig: chain[Any], headers: _Headers) -> None:
        headers = self._merged(headers, self._visitor.on_chain_start(sig, **headers), sig)
        self._links(sig, headers)
        for task in sig.tasks:
            self.stamp(task, headers)
        self._visitor.on_chain_end(sig, **headers)

    def _chord(self, sig: chord[Any], headers: _Headers) -> None:
        asked = self._visitor.on_chord_header_start(sig, **headers)
        headers = self._merged(headers, asked, sig)
        self._links(sig, headers)
        header = sig.header_group()
        self._members(header, headers)
        sig.tasks = header.tasks if not hasattr(sig.tasks, "options") else header
        self._visitor.on_chord_header_end(sig, **headers)
        if sig.body is not None:
            headers = self._merged(headers, self._visitor.on_chord_body(sig, **headers), sig)
            self.stamp(sig.body, headers)

    def _members(self, sig: group[Any], headers: _Headers) -> None:
        if isinstance(sig.tasks, LazyTasks):
            sig.tasks = sig.tasks.mapped(lambda task: self._stamped(task, headers))
            return
        for task in sig.tasks:
            self.stamp(task, headers)

    def _stamped(self, task: Signature[Any], headers: _Headers) -> Signature[Any]:
        self.stamp(task, headers)
        return task

    def _links(self, sig: Signature[Any], headers: _Headers) -> None:
        asking = (("link", self._visitor.on_callback), ("link_error", self._visitor.on_errback))
        for option, ask in asking:
            links = [as_signature(link, sig._app) for link in listed(sig.options.get(option))]
            for link in links:
                self.stamp(link, self._merged(headers, ask(link, **headers)))
            if links:
                sig.options[option] = links

    def _merged(
        self, headers: _Headers, asked: _Headers | None, sig: Signature[Any] | None = None
    ) -> _Headers:
        """Return headers with those of the visitor and those that the signature has already."""
        merged = {_NAMES: list(headers), **headers}
        own = {} if sig is None else sig.options
        for more in (asked or {}, own):
            names = more.get(_NAMES, [] if more is own else list(more))
            _merge(merged, {name: more[name] for name in names if name in more}, self._append)
            merged[_NAMES] = sorted({*merged[_NAMES], *names})
        extra = {k: v for k, v in (asked or {}).items() if k not in merged and k != _NAMES}
        return {**merged, **extra}


def _merge(merged: _Headers, more: Mapping[str, Any], append: bool) -> None:
    for name, value in more.items():
        if name not in merged:
            merged[name] = value
        elif append and merged[name] != value:
            merged[name] = [*_list(merged[name]), *_list(value)]


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple | set) else [value]
