"""Deciding fast whether a value holds nothing but what a format has by itself.

Most payloads do, and then they are encoded in one pass in C. The check is on the path of every
message, hence the flat loop over exact types.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def only_plain(members: Iterable[Any], scalars: frozenset[type], keys: frozenset[type]) -> bool:
    """Whether members, and theirs in turn, are scalars, finite floats, lists, tuples or dicts.

    Args:
        members: The members of a list, or the values of a dict.
        scalars: Types that need no look inside. Subclasses do not count.
        keys: Types of keys that dicts may have.

    Raises:
        RecursionError: The value is too deep, or contains itself.
    """
    for member in members:
        kind = type(member)
        if kind in scalars:
            continue
        if kind is float:
            if member - member != 0.0:  # NaN and the infinities differ
                return False
        elif kind is dict:
            if member and not (
                keys.issuperset(map(type, member)) and only_plain(member.values(), scalars, keys)
            ):
                return False
        elif kind is list or kind is tuple:
            if member and not only_plain(member, scalars, keys):
                return False
        else:
            return False
    return True
