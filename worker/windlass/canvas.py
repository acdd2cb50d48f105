"""Signatures under Celery's public path. Chains, groups and chords come in a later release."""

from windlass.signatures import Signature, maybe_signature, signature, subtask

__all__ = ["Signature", "maybe_signature", "signature", "subtask"]
