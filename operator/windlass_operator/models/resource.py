"""What both kinds share: identity, and reading a spec with errors a person can act on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from windlass.errors import WindlassError, nearest

API_VERSION = "windlass.dev/v1alpha1"
S = TypeVar("S", bound="Spec")


class InvalidSpecError(WindlassError):
    """A resource's spec cannot be used; the text names each field and what it may be."""


class Spec(BaseModel):
    """Base of specs: frozen, camelCase on the outside, unknown fields are errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which object it is, and which version of it."""

    kind: str
    namespace: str
    name: str
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    created_s: float = 0.0
    deleted_s: float | None = None
    finalizers: tuple[str, ...] = ()

    @property
    def is_deleting(self) -> bool:
        """Its deletion was asked for."""
        return self.deleted_s is not None

    @property
    def key(self) -> str:
        """namespace/name."""
        return f"{self.namespace}/{self.name}"


def _seconds(stamp: str | None) -> float | None:
    return datetime.fromisoformat(stamp).timestamp() if stamp else None


def identity_of(body: Mapping[str, Any]) -> Identity:
    """Read an object's metadata."""
    metadata = body.get("metadata", {})
    return Identity(
        kind=body.get("kind", ""),
        namespace=metadata.get("namespace", "default"),
        name=metadata.get("name", ""),
        uid=metadata.get("uid", ""),
        generation=metadata.get("generation", 0),
        resource_version=metadata.get("resourceVersion", ""),
        created_s=_seconds(metadata.get("creationTimestamp")) or 0.0,
        deleted_s=_seconds(metadata.get("deletionTimestamp")),
        finalizers=tuple(metadata.get("finalizers", ())),
    )


def read_spec(model: type[S], body: Mapping[str, Any]) -> S:
    """Turn an object's spec into its model.

    Raises:
        InvalidSpecError: With one line for each field that is wrong.
    """
    try:
        return model.model_validate(body.get("spec") or {})
    except ValidationError as error:
        identity = identity_of(body)
        lines = [_line(model, problem) for problem in error.errors()]
        raise InvalidSpecError(
            f"{identity.kind} {identity.key} has an invalid spec: {'; '.join(lines)}."
        ) from error


def _line(model: type[BaseModel], problem: Any) -> str:
    path = ".".join(str(part) for part in ("spec", *problem["loc"]))
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        names = [field.alias or name for name, field in model.model_fields.items()]
        return f"{path} is not a field.{nearest(str(problem['loc'][-1]), names)}".rstrip(".")
    if problem["type"] == "missing":
        return f"{path} is required"
    return f"{path}: {message}"
