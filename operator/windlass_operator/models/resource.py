"""What both kinds share: identity, and reading a spec with errors a person can act on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar, get_args

import msgspec
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from windlass.errors import WindlassError, nearest

API_VERSION = "windlass.dev/v1alpha1"
S = TypeVar("S", bound="Spec")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One field that is wrong: where, from `spec` on, and what is expected there."""

    path: tuple[str | int, ...]
    text: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path))}{self.text}"


class InvalidSpecError(WindlassError):
    """A resource's spec cannot be used; the text names each field and what it may be."""

    def __init__(self, text: str, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(text)
        self.problems = problems


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
        raise _invalid(model, body, error) from error


def check_spec(model: type[S], body: Mapping[str, Any]) -> None:
    """As `read_spec`, but as strict as the API server: "3" is no number, 1 is not true.

    Raises:
        InvalidSpecError: With one line for each field that is wrong.
    """
    try:
        # Strictly of JSON, since a list is no tuple and a word no enum in Python's strict mode.
        spec = {} if body.get("spec") is None else body["spec"]
        model.model_validate_json(msgspec.json.encode(spec, enc_hook=str), strict=True)
    except ValidationError as error:
        raise _invalid(model, body, error) from error


def _invalid(
    model: type[BaseModel], body: Mapping[str, Any], error: ValidationError
) -> InvalidSpecError:
    identity = identity_of(body)
    problems = tuple(_problem(model, each) for each in error.errors())
    lines = "; ".join(map(str, problems))
    text = f"{identity.kind} {identity.key} has an invalid spec: {lines}."
    return InvalidSpecError(text, problems)


def _problem(model: type[BaseModel], found: Any) -> Problem:
    path = ("spec", *found["loc"])
    message = str(found["msg"]).removeprefix("Value error, ")
    if found["type"] == "extra_forbidden":
        fields = _model_at(model, found["loc"][:-1]).model_fields
        names = [field.alias or name for name, field in fields.items()]
        hint = nearest(str(found["loc"][-1]), names)
        known = "" if hint else f" Known are: {', '.join(names)}"
        return Problem(path=path, text=f" is not a field.{hint}{known}")
    if found["type"] == "missing":
        return Problem(path=path, text=" is required")
    given = found["input"]
    is_said = given is None or isinstance(given, dict | list) or repr(given) in message
    return Problem(path=path, text=f": {message}" + ("" if is_said else f", not {given!r}"))


def _model_at(model: type[BaseModel], path: tuple[str | int, ...]) -> type[BaseModel]:
    """Return the model of the spec that is nested at the path."""
    for part in path:
        field = next((f for n, f in model.model_fields.items() if part in (n, f.alias)), None)
        if field is None:
            continue  # an index of a list
        kinds = [field.annotation, *get_args(field.annotation)]
        nested = [k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)]
        model = nested[0] if nested else model
    return model
