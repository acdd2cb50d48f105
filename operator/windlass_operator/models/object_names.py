"""Names of objects: their form, and how long they may be where children carry them."""

from __future__ import annotations

from windlass_operator.models.resource import Identity, InvalidSpecError

#: Of the objects that a spec may name.
OBJECT_NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"


def checked_name(identity: Identity, longest: int, why: str) -> Identity:
    """Return the identity as it is.

    Raises:
        InvalidSpecError: Its name is longer than `longest`; `why` says who carries it.
    """
    if len(identity.name) > longest:
        raise InvalidSpecError(
            f"{identity.kind} {identity.key}: name must be at most {longest} characters, because "
            f"{why}."
        )
    return identity
