"""The settings of signing and encryption, and what is made of them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from windlass.settings import fields

if TYPE_CHECKING:
    from windlass.sealing.seals import Seals


class SecuritySettings(BaseModel):
    """Security: what lies on the broker is signed, and encrypted."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    message_signing: Literal["off", "verify", "sign", "require"] = "off"
    """Whether messages and results are signed (HMAC-SHA256). verify: what comes signed is checked.
    sign: what is sent is signed, too. require: what is not signed becomes a dead letter. Take one
    step at a time, each in every process; see docs/how-to/sign-and-encrypt.md."""

    message_signing_keys: fields.Text | None = None
    """Path of a file of keys, one a line: `id:base64 of 32 random bytes`. The first signs, all
    verify; it is read again when it changes, so a mounted Secret rotates without a restart."""

    message_encryption: Literal["off", "decrypt", "encrypt", "require"] = "off"
    """Whether arguments, results and checkpoints are encrypted (AES-256-GCM, `pip install
    'windlass[crypto]'`). The steps are those of message_signing. Names, ids, queues, headers and
    stamps stay readable."""

    message_encryption_keys: fields.Text | None = None
    """As message_signing_keys: the first encrypts, all decrypt. It may be the same file."""

    @property
    def encrypts(self) -> bool:
        """Whether what this process writes is encrypted."""
        return self.message_encryption in ("encrypt", "require")

    @cached_property
    def seals(self) -> Seals | None:
        """What signs and encrypts; None where both are off.

        Raises:
            ConfigurationError: Keys are missing or unreadable.
        """
        if self.message_signing == "off" and self.message_encryption == "off":
            return None
        # Clients and workers without signing do without it.
        from windlass.sealing.seals import Seals  # noqa: PLC0415

        return Seals(
            self.message_signing,
            self.message_signing_keys,
            self.message_encryption,
            self.message_encryption_keys,
        )
