"""Secret keys from a file, read again when it changes: a mounted Secret rotates without a restart.

One key a line, `id:secret`, the secret in base64; `#` begins a comment. The first signs and
encrypts, all of them verify and decrypt. Secrets never get into a text.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
import threading
from time import monotonic
from typing import NamedTuple

from windlass import events
from windlass.errors import ConfigurationError
from windlass.log import get_logger

#: A file is looked at no more often than this, seconds.
LOOK_EVERY_S = 1.0
MIN_SECRET_BYTES = 32
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\Z")
_FORM = "one key a line, 'id:secret', the secret at least 32 bytes in base64 (openssl rand 32)"
_log = get_logger(__name__)


class Key(NamedTuple):
    """One key: its id, as in what it made, and the secret for its purpose."""

    id: bytes
    secret: bytes

    def __repr__(self) -> str:
        return f"Key({self.id.decode()!r}, ***)"


class KeyRing:
    """The keys of one file. Thread-safe.

    Args:
        path: Of the file.
        setting: The setting that names it, for error texts.
        purpose: Goes into each secret, so that one file may serve for two things.

    Raises:
        ConfigurationError: The file cannot be read, or is no file of keys.
    """

    def __init__(self, path: str, setting: str, purpose: bytes) -> None:
        self._path = path
        self._setting = setting
        self._purpose = purpose
        self._lock = threading.Lock()
        self._look_at = 0.0
        self._seen: tuple[int, ...] = ()
        self._keys: dict[bytes, Key] = {}
        self._first = Key(b"", b"")
        self._load(self._stamp())

    @property
    def first(self) -> Key:
        """The key that signs or encrypts now."""
        if monotonic() >= self._look_at:
            self._look()
        return self._first

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of all keys, the first one first."""
        return tuple(key.decode() for key in self._keys)

    def find(self, key_id: bytes) -> Key | None:
        """Return a key by its id, None for an unknown one."""
        found = self._keys.get(key_id)
        if found is None or monotonic() >= self._look_at:
            self._look()
            found = self._keys.get(key_id)
        return found

    def _look(self) -> None:
        """Read the file again if it is another one; keys that were good stay if it is not."""
        with self._lock:
            if monotonic() < self._look_at:
                return
            self._look_at = monotonic() + LOOK_EVERY_S
            try:
                stamp = self._stamp()
                if stamp != self._seen:
                    self._load(stamp)
                    _log.info(events.KEYS_CHANGED, setting=self._setting, keys=",".join(self.ids))
            except ConfigurationError as error:
                # Its text is all there is to say.
                _log.error(events.KEYS_UNREADABLE, error=str(error))

    def _stamp(self) -> tuple[int, ...]:
        try:
            found = os.stat(self._path)
        except OSError as error:
            raise self._unreadable(error) from error
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _load(self, stamp: tuple[int, ...]) -> None:
        try:
            with open(self._path, encoding="ascii") as file:
                text = file.read()
        except (OSError, UnicodeDecodeError) as error:
            raise self._unreadable(type(error).__name__) from None
        keys = [
            self._key(number, line)
            for number, line in enumerate(text.splitlines(), 1)
            if line.strip() and not line.lstrip().startswith("#")
        ]
        if not keys or len({key.id for key in keys}) != len(keys):
            raise self._bad("it has no key, or one id twice")
        self._keys, self._first, self._seen = {key.id: key for key in keys}, keys[0], stamp

    def _key(self, number: int, line: str) -> Key:
        key_id, colon, text = line.strip().partition(":")
        if not colon or not _ID.match(key_id):
            raise self._bad(f"line {number} does not begin with an id and ':'")
        try:
            secret = base64.b64decode(text.strip(), validate=True)
        except (binascii.Error, ValueError):
            raise self._bad(f"the secret of key {key_id!r} is not base64") from None
        if len(secret) < MIN_SECRET_BYTES:
            raise self._bad(f"the secret of key {key_id!r} has {len(secret)} bytes")
        return Key(key_id.encode(), hmac.digest(secret, b"windlass " + self._purpose, "sha256"))

    def _bad(self, problem: str) -> ConfigurationError:
        return ConfigurationError(
            f"{self._setting} names {self._path!r}: {problem}. Expected {_FORM}."
        )

    def _unreadable(self, error: object) -> ConfigurationError:
        return self._bad(f"it cannot be read ({error})")
