"""The parts of a podTemplate that are merged by our own rules: their form, nothing more.

What else a pod may have is the API server's to judge, when the Deployment is applied.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

_Label = Annotated[str, Field(max_length=63)]
_Annotation = Annotated[str, Field(max_length=16_384)]


class _Open(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="allow", alias_generator=to_camel, populate_by_name=True, strict=True
    )


class Named(_Open):
    """Anything with a name."""

    name: str = Field(min_length=1, max_length=253)


class Variable(_Open):
    """An environment variable."""

    name: str = Field(min_length=1, max_length=256)


class Port(_Open):
    """A container's port."""

    container_port: int = Field(ge=1, le=65_535)


class Mount(_Open):
    """A volume in a container."""

    mount_path: str = Field(min_length=1, max_length=4096)


class Spread(_Open):
    """A rule of spreading."""

    topology_key: str = Field(min_length=1, max_length=316)


class Container(_Open):
    """A container."""

    name: str = Field(min_length=1, max_length=63)
    env: list[Variable] = Field(default_factory=list, max_length=256)
    ports: list[Port] = Field(default_factory=list, max_length=64)
    volume_mounts: list[Mount] = Field(default_factory=list, max_length=64)


class PodMetadata(_Open):
    """What may be said of the pods' metadata."""

    model_config = ConfigDict(extra="forbid")

    labels: dict[str, _Label] = Field(default_factory=dict, max_length=64)
    annotations: dict[str, _Annotation] = Field(default_factory=dict, max_length=64)


class PodSpec(_Open):
    """A pod's spec, as far as we merge it ourselves."""

    termination_grace_period_seconds: int = Field(default=0, ge=0, le=604_800)
    containers: list[Container] = Field(default_factory=list, max_length=16)
    init_containers: list[Container] = Field(default_factory=list, max_length=16)
    volumes: list[Named] = Field(default_factory=list, max_length=64)
    image_pull_secrets: list[Named] = Field(default_factory=list, max_length=16)
    topology_spread_constraints: list[Spread] = Field(default_factory=list, max_length=16)


class PodTemplate(_Open):
    """A podTemplate."""

    model_config = ConfigDict(extra="forbid")

    metadata: PodMetadata = PodMetadata()
    spec: PodSpec = PodSpec()


def checked_template(template: dict[str, Any]) -> dict[str, Any]:
    """Return the template as it is.

    Raises:
        ValueError: A part of it has another form; the text names the first.
    """
    try:
        PodTemplate.model_validate(template)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{path}: {first['msg']}") from error
    return template
