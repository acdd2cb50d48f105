"""The traceback of what went wrong in the user's own code, without the frames that led there."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Iterator
from pathlib import Path

import click

_OURS = str(Path(__file__).resolve().parent.parent)
_CLICK = str(Path(click.__file__).resolve().parent)
_MACHINERY = ("<frozen", importlib.__file__)
_LEADING = (*_MACHINERY, _OURS, _CLICK)


def is_users(error: BaseException) -> bool:
    """Whether it was raised by code that is not ours: an import of theirs, say, that we began."""
    frames = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    return bool(frames) and not all(name.startswith(_LEADING) for name in frames)


def users_traceback(error: BaseException) -> str:
    """Render it as Python does, from the first frame of the user's; no import machinery."""
    found = traceback.TracebackException.from_exception(error)
    for each in _chain(found):
        kept = [frame for frame in each.stack if not frame.filename.startswith(_MACHINERY)]
        while kept and kept[0].filename.startswith(_LEADING):
            del kept[0]
        each.stack = traceback.StackSummary.from_list(kept)
    return "".join(found.format())


def _chain(error: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    """The error and what it came from."""
    current: traceback.TracebackException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__
