"""Workflows under Celery's path: signatures, and the kinds that are made of others.

    chain(a.s(1), b.s())            b(a(1))                          a.s(1) | b.s()
    group(a.s(1), b.s(2))           [a(1), b(2)]
    chord([a.s(1), b.s(2)], c.s())  c([a(1), b(2)])                  group(...) | c.s()
    a.chunks(items, 10)             items in lists of ten, a message each
    a.map(items), a.starmap(items)  all items in one message

`pipes` is what `|` makes of two of them, `compile` turns one into messages and continuations,
`dispatch` sends it, `inline` runs it here. docs/explanation/workflows.md has the pictures.
"""

from windlass.canvas.chains import chain
from windlass.canvas.chords import chord
from windlass.canvas.groups import group
from windlass.canvas.maps import chunks, xmap, xstarmap
from windlass.canvas.stamping import StampingVisitor
from windlass.signatures import Signature, maybe_signature, signature, subtask

__all__ = [
    "Signature",
    "StampingVisitor",
    "chain",
    "chord",
    "chunks",
    "group",
    "maybe_signature",
    "signature",
    "subtask",
    "xmap",
    "xstarmap",
]
