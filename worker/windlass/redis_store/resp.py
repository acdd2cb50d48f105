"""Packing commands for the wire: hiredis' packer with types."""

from __future__ import annotations

from typing import cast

import hiredis

Argument = bytes | str | int


def pack(parts: tuple[Argument, ...]) -> bytes:
    """Pack one command from its parts."""
    return cast("bytes", hiredis.pack_command(parts))  # type: ignore[arg-type]  # takes unions too


def packed(*parts: Argument) -> bytes:
    """Pack one command from its words."""
    return pack(parts)
