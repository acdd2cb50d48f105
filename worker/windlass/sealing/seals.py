"""Makes and opens one sealed piece of bytes, bound to the place where it belongs.

    offset  size  field
    0       1     format version (1)
    1       1+n   id of the signing key, empty: not signed
    ..      1+n   id of the encryption key, empty: not encrypted
    ..      32    HMAC-SHA256 of the place and all other bytes, if it is signed
    ..      rest  the data; encrypted: 24 random bytes, then AES-256-GCM with its tag

What is encrypted is signed as it lies there (encrypt, then sign). Each piece has an AES key of its
own, made from the first half of the random bytes, so that no number of messages wears a key out.
A place (`windlass.sealing.places`) is bytes that are not stored: who opens a piece says where it
was found, and a piece that was moved there from somewhere else does not open.
"""

from __future__ import annotations

import hmac
import importlib
import os
from typing import Any

from windlass.errors import ConfigurationError, SecurityError
from windlass.sealing.keys import Key, KeyRing

_VERSION = b"\x01"
_MAC_BYTES, _SALT_BYTES, _TAG_BYTES = 32, 24, 16
_HALF = _SALT_BYTES // 2

UNSIGNED = "unsigned"
UNENCRYPTED = "unencrypted"
BAD_SIGNATURE = "bad_signature"
UNKNOWN_KEY = "unknown_key"


class Seals:
    """What the settings say about signing and encryption.

    Args:
        signing: `message_signing`.
        signing_keys: Path of its keys.
        encryption: `message_encryption`.
        encryption_keys: Path of its keys.

    Attributes:
        seals: Whether what is written gets sealed.
        requires: Whether what is read has to be sealed.
        encrypts: Whether what is written gets encrypted.

    Raises:
        ConfigurationError: Keys are missing or unreadable, or `cryptography` is not installed.
    """

    def __init__(
        self, signing: str, signing_keys: str | None, encryption: str, encryption_keys: str | None
    ) -> None:
        self._signing = self._encryption = None
        if signing != "off":
            self._signing = _ring("message_signing", signing, signing_keys)
        if encryption != "off":
            self._encryption = _ring("message_encryption", encryption, encryption_keys)
            self._aes = _aes()
        self._signs = signing in ("sign", "require")
        self._encrypts = self.encrypts = encryption in ("encrypt", "require")
        self._needs_signature = signing == "require"
        self._needs_encryption = encryption == "require"
        self.seals = self._signs or self._encrypts
        self.requires = self._needs_signature or self._needs_encryption

    def seal(self, place: bytes, data: bytes, *, is_repeatable: bool = False) -> bytes:
        """Seal data for a place.

        Args:
            place: See `windlass.sealing.places`.
            data: Any bytes.
            is_repeatable: The same data, place and keys give the same bytes: for what is compared.
        """
        signer = self._signing.first if self._signing is not None and self._signs else None
        cipher = self._encryption.first if self._encryption is not None and self._encrypts else None
        head = _head(signer, cipher)
        if cipher is not None:
            salt = os.urandom(_SALT_BYTES)
            if is_repeatable:
                salt = hmac.digest(cipher.secret, _framed(place, head, data), "sha256")[-24:]
            aes = self._aes(hmac.digest(cipher.secret, salt[:_HALF], "sha256"))
            data = salt + aes.encrypt(salt[_HALF:], data, _framed(place, head, b""))
        if signer is None:
            return head + data
        return head + hmac.digest(signer.secret, _framed(place, head, data), "sha256") + data

    def open(self, place: bytes, sealed: bytes) -> bytes:
        """Return the data of what was sealed for a place.

        Raises:
            SecurityError: It was altered or moved, a key is unknown, or it is not as it has to be.
        """
        head, signer_id, cipher_id = _read_head(sealed)
        data = sealed[len(head) :]
        if signer_id:
            mac, data = data[:_MAC_BYTES], data[_MAC_BYTES:]
            signer = _known(self._signing, signer_id, "message_signing")
            expected = hmac.digest(signer.secret, _framed(place, head, data), "sha256")
            if not hmac.compare_digest(mac, expected):
                raise bad_signature(f"its signature by key {signer.id.decode()!r} does not fit")
        elif self._needs_signature:
            raise unsigned()
        if cipher_id:
            return self._decrypted(place, head, cipher_id, data)
        if self._needs_encryption:
            raise unencrypted()
        return data

    def refuse_bare(self) -> None:
        """Refuse what is not sealed at all, if it has to be.

        Raises:
            SecurityError: It has to be.
        """
        if self._needs_signature:
            raise unsigned()
        if self._needs_encryption:
            raise unencrypted()

    def _decrypted(self, place: bytes, head: bytes, cipher_id: bytes, data: bytes) -> bytes:
        cipher = _known(self._encryption, cipher_id, "message_encryption")
        salt, secret = data[:_SALT_BYTES], data[_SALT_BYTES:]
        if len(secret) < _TAG_BYTES:
            raise bad_signature("it is cut short")
        aes = self._aes(hmac.digest(cipher.secret, salt[:_HALF], "sha256"))
        try:
            opened: bytes = aes.decrypt(salt[_HALF:], secret, _framed(place, head, b""))
        except Exception as error:  # InvalidTag; its class is the library's, which is optional
            raise bad_signature(f"key {cipher.id.decode()!r} does not decrypt it") from error
        return opened


def unsigned() -> SecurityError:
    """Say that a signature is missing."""
    return SecurityError(
        UNSIGNED,
        "It is not signed, and message_signing is 'require' here. Expected a sender with "
        "message_signing='sign' (or 'require').",
    )


def unencrypted() -> SecurityError:
    """Say that it is in the clear."""
    return SecurityError(
        UNENCRYPTED,
        "It is not encrypted, and message_encryption is 'require' here. Expected a sender with "
        "message_encryption='encrypt' (or 'require').",
    )


def bad_signature(problem: str) -> SecurityError:
    """Say that it is not what was sealed, or not where it was sealed for."""
    return SecurityError(
        BAD_SIGNATURE,
        f"It was altered, or moved here from elsewhere: {problem}. Nothing of it was decoded.",
    )


def _known(ring: KeyRing | None, key_id: bytes, setting: str) -> Key:
    found = None if ring is None else ring.find(key_id)
    if found is None:
        name = key_id.decode(errors="replace")
        raise SecurityError(
            UNKNOWN_KEY,
            f"It names key {name!r}, which {setting}_keys does not have here. Expected one of: "
            f"{', '.join(ring.ids) if ring is not None else f'none, {setting} is off'}. Add a new "
            "key to every process, as its second, before it becomes the first anywhere.",
        )
    return found


def _head(signer: Key | None, cipher: Key | None) -> bytes:
    signer_id = b"" if signer is None else signer.id
    cipher_id = b"" if cipher is None else cipher.id
    return b"%b%c%b%c%b" % (_VERSION, len(signer_id), signer_id, len(cipher_id), cipher_id)


def _read_head(sealed: bytes) -> tuple[bytes, bytes, bytes]:
    """Return (head, id of the signing key, id of the encryption key)."""
    try:
        if sealed[:1] != _VERSION:
            raise bad_signature("it is no seal that this version knows")
        signer_end = 2 + sealed[1]
        end = signer_end + 1 + sealed[signer_end]
    except IndexError:
        raise bad_signature("it is cut short") from None
    if end > len(sealed):
        raise bad_signature("it is cut short")
    return sealed[:end], sealed[2:signer_end], sealed[signer_end + 1 : end]


def _framed(place: bytes, head: bytes, data: bytes) -> bytes:
    return b"".join((len(place).to_bytes(4, "big"), place, head, data))


def _ring(setting: str, mode: str, path: str | None) -> KeyRing:
    if not path:
        raise ConfigurationError(
            f"{setting} is {mode!r}, but {setting}_keys names no file. Expected the path of a file "
            "of keys, one a line: id:base64."
        )
    return KeyRing(path, f"{setting}_keys", setting.encode())


def _aes() -> Any:
    try:
        return importlib.import_module("cryptography.hazmat.primitives.ciphers.aead").AESGCM
    except ModuleNotFoundError as error:
        msg = "message_encryption needs its library: pip install 'windlass[crypto]'."
        raise ConfigurationError(msg) from error
