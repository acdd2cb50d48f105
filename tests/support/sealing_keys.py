"""Files of keys, and settings that use them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def secret_of(key_id: str) -> bytes:
    """A secret that follows from the id: no randomness in tests."""
    return (key_id.encode() * 32)[:32]


def write_keys(path: Path, ids: Sequence[str]) -> Path:
    """Write a file of keys, as a mounted Secret changes: another file takes its place."""
    lines = ["# keys of a test", ""]
    lines += [f"{key_id}:{base64.b64encode(secret_of(key_id)).decode()}" for key_id in ids]
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text("\n".join(lines) + "\n")
    fresh.rename(path)
    return path


def sealing(path: Path, signing: str = "off", encryption: str = "off") -> dict[str, Any]:
    """Settings with keys."""
    return {
        "message_signing": signing,
        "message_signing_keys": str(path),
        "message_encryption": encryption,
        "message_encryption_keys": str(path),
    }
