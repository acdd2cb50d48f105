"""The CRDs, the models and the reference say the same."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import UnionType
from typing import Any, Union, get_args, get_origin

import annotated_types
import pytest
from pydantic import AwareDatetime, BaseModel
from pydantic.fields import FieldInfo

from operator_builders import pool_body, queue_body, schedule_body
from repository import ROOT
from resource_files import KINDS, Field, crd_text, fields, schema, version_of
from windlass_operator.models.beatschedule import LINE, ZONE, BeatSchedule, BeatScheduleSpec
from windlass_operator.models.beatschedule import MAX_NAME as MAX_SCHEDULE_NAME
from windlass_operator.models.pod_template import PodTemplate
from windlass_operator.models.quantities import MEMORY, RATE, Words, parse_duration
from windlass_operator.models.taskqueue import MAX_NAME as MAX_QUEUE_NAME
from windlass_operator.models.taskqueue import TaskQueue, TaskQueueSpec
from windlass_operator.models.workerpool import MAX_NAME as MAX_POOL_NAME
from windlass_operator.models.workerpool import WorkerPool, WorkerPoolSpec

SPECS: Mapping[str, type[BaseModel]] = {
    "TaskQueue": TaskQueueSpec,
    "WorkerPool": WorkerPoolSpec,
    "BeatSchedule": BeatScheduleSpec,
}
OBJECTS: Mapping[str, Any] = {
    "TaskQueue": TaskQueue, "WorkerPool": WorkerPool, "BeatSchedule": BeatSchedule,
}  # fmt: skip
BODIES = {"TaskQueue": queue_body, "WorkerPool": pool_body, "BeatSchedule": schedule_body}
#: Fields that a schema leaves to us, and where their default is resolved.
RESOLVED_IN_CODE = {
    "queueName": "TaskQueue.queue_name",
    "autoscaling.scaleDown.toZeroAfter": "ScaleDown.idle_time_s",
    "rollout.maxOldVersions": "Rollout.old_versions",
    "args": "BeatScheduleSpec.args",
    "kwargs": "BeatScheduleSpec.kwargs",
}
#: Read strictly as a whole by `PodTemplate`.
WHOLE = "podTemplate"
#: Plain data of any form: arguments of a call.
ANY = ("spec.args[]", "spec.kwargs")


@dataclass(frozen=True, slots=True)
class Known:
    """One field of a model: as it is declared, and the type below None and Annotated."""

    info: FieldInfo
    kind: Any
    facts: tuple[Any, ...]


def bare(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """Strip None and Annotated."""
    facts: tuple[Any, ...] = ()
    while True:
        if get_origin(annotation) in (Union, UnionType):
            annotation = next(a for a in get_args(annotation) if a is not type(None))
        elif hasattr(annotation, "__metadata__"):
            facts = (*facts, *annotation.__metadata__)
            annotation = annotation.__origin__
        else:
            return annotation, facts


def model_fields(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, Known]]:
    for name, info in model.model_fields.items():
        below = f"{path}.{info.alias or name}" if path else info.alias or name
        kind, facts = bare(info.annotation)
        yield below, Known(info, kind, (*info.metadata, *facts))
        if get_origin(kind) in (tuple, list):
            item, _ = bare(get_args(kind)[0])
            yield f"{below}[]", Known(FieldInfo(annotation=item), item, ())
            if isinstance(item, type) and issubclass(item, BaseModel):
                yield from model_fields(item, f"{below}[]")
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from model_fields(kind, below)


def spec_fields(kind: str) -> dict[str, Field]:
    spec = schema(kind)["properties"]["spec"]
    return {field.path: field for field in fields(spec) if not field.path.startswith(f"{WHOLE}.")}


PAIRS = [
    (kind, path, known, spec_fields(kind).get(path))
    for kind, model in SPECS.items()
    for path, known in model_fields(model)
]
TEMPLATE = schema("WorkerPool")["properties"]["spec"]["properties"][WHOLE]
TEMPLATE_FIELDS = {field.path: field for field in fields(TEMPLATE)}
PAIRS += [
    ("podTemplate", path, known, TEMPLATE_FIELDS.get(path))
    for path, known in model_fields(PodTemplate)
]
WORD = {
    str: "string", int: "integer", bool: "boolean", float: "number", dict: "object",
    AwareDatetime: "string", Any: None,
}  # fmt: skip


def fact(known: Known, kind: type, name: str) -> Any:
    return next((getattr(f, name) for f in known.facts if isinstance(f, kind)), None)


def words_of(known: Known) -> Words | None:
    return next((f for f in known.facts if isinstance(f, Words)), None)


def type_of(known: Known) -> str | None:
    if words_of(known) is not None:
        return "string"
    origin = get_origin(known.kind)
    if origin in (tuple, list):
        return "array"
    if origin is dict:
        return "object"
    if isinstance(known.kind, type) and issubclass(known.kind, StrEnum):
        return "string"
    if isinstance(known.kind, type) and issubclass(known.kind, BaseModel):
        return "object"
    return WORD[known.kind]


@pytest.mark.parametrize("kind", SPECS)
def test_models_and_schema_have_the_same_fields(kind: str) -> None:
    modelled = {path for path, _ in model_fields(SPECS[kind])}

    assert modelled == set(spec_fields(kind))


def test_the_form_of_a_pod_template_is_the_same() -> None:
    modelled = {path for path, _ in model_fields(PodTemplate)}

    assert modelled == {path for path in TEMPLATE_FIELDS if not path.endswith(".*")}


@pytest.mark.parametrize(
    ("kind", "path", "known", "field"), PAIRS, ids=[f"{kind}.{path}" for kind, path, *_ in PAIRS]
)
def test_model_and_schema_agree_on_a_field(
    kind: str, path: str, known: Known, field: Field | None
) -> None:
    assert field is not None
    node = field.node

    assert node.get("type") == type_of(known)
    assert (node.get("format") == "date-time") == (known.kind is AwareDatetime)
    assert known.info.is_required() == field.is_required
    words = words_of(known)
    if words is not None:
        assert node["pattern"] == words.pattern
        assert node["maxLength"] == words.max_length
        check_rule(node, known, is_duration=words not in (MEMORY, RATE))
        return
    ends = annotated_types
    lowest, highest = fact(known, ends.Ge, "ge"), fact(known, ends.Le, "le")
    assert node.get("minimum") == lowest
    assert node.get("maximum") == highest
    is_list, is_map = node.get("type") == "array", path == "kwargs"
    shortest, longest = fact(known, ends.MinLen, "min_length"), fact(
        known, ends.MaxLen, "max_length"
    )  # fmt: skip
    size = ("minItems", "maxItems") if is_list else ("minLength", "maxLength")
    size = ("minProperties", "maxProperties") if is_map else size
    if (is_map or node.get("type") != "object") and "enum" not in node:
        assert node.get(size[0]) == shortest
        assert node.get(size[1]) == longest
    assert node.get("pattern") == next(
        (f.pattern for f in known.facts if getattr(f, "pattern", None)), None
    )
    if isinstance(known.kind, type) and issubclass(known.kind, StrEnum):
        assert node["enum"] == [member.value for member in known.kind]


def check_rule(node: Mapping[str, Any], known: Known, *, is_duration: bool) -> None:
    """A duration's bounds are a CEL rule there and numbers here."""
    lowest, highest = fact(known, annotated_types.Ge, "ge"), fact(known, annotated_types.Le, "le")
    rules = " ".join(rule["rule"] for rule in node.get("x-kubernetes-validations", ()))
    if words_of(known) is RATE:
        assert rules == "double(self.split('/')[0]) > 0.0"
        return
    if not is_duration:
        assert not rules
        return
    low = re.findall(r"duration\(self\) >= duration\('(\w+)'\)", rules)
    high = re.findall(r"duration\(self\) <= duration\('(\w+)'\)", rules)
    units = {"ms": 0.001, "s": 1, "h": 3600}
    seconds = [
        int(number) * units[unit]
        for text in (*low, *high)
        for number, unit in re.findall(r"(\d+)(ms|s|h)", text)
    ]
    assert seconds == [lowest, highest]
    in_days = re.findall(r"<= (\d+) :", rules)
    if in_days:
        assert int(in_days[0]) * 86_400 == highest


def defaulted(node: Mapping[str, Any]) -> Any:
    """What the API server makes of a missing or empty object."""
    if node.get("type") != "object":
        return node.get("default")
    return {
        name: value
        for name, child in node.get("properties", {}).items()
        if "default" in child
        if (value := defaulted(child) if child["type"] == "object" else child["default"])
        is not None
    }


@pytest.mark.parametrize("kind", SPECS)
def test_an_object_with_the_schemas_defaults_is_the_models_default(kind: str) -> None:
    body, model = BODIES[kind](), OBJECTS[kind]
    node = schema(kind)["properties"]["spec"]
    full = {**defaulted(node), **body["spec"]}
    if kind == "WorkerPool":
        auto = node["properties"]["autoscaling"]
        full["autoscaling"] = {**defaulted(auto), **full["autoscaling"]}

    assert model.from_object({**body, "spec": full}).spec == model.from_object(body).spec


@pytest.mark.parametrize("kind", SPECS)
def test_every_optional_field_has_a_default_or_none_means_something(kind: str) -> None:
    """A default that only the code knows is in one named place."""
    for path, known in model_fields(SPECS[kind]):
        field = spec_fields(kind)[path]
        if path.endswith("[]") or field.is_required or "default" in field.node:
            continue
        default = known.info.get_default(call_default_factory=True)
        is_group = type_of(known) == "object"
        assert default is None or is_group or path in RESOLVED_IN_CODE, path


def test_a_fallback_and_time_limits_that_are_absent_are_absent_here_too() -> None:
    spec = WorkerPool.from_object(pool_body()).spec

    assert spec.autoscaling is not None
    assert spec.autoscaling.fallback is None
    assert spec.time_limits.hard is None


def test_longest_names_are_the_rules() -> None:
    assert f"size(self.metadata.name) <= {MAX_QUEUE_NAME}" in crd_text("TaskQueue")
    assert f"size(self.metadata.name) <= {MAX_POOL_NAME}" in crd_text("WorkerPool")
    assert f"size(self.metadata.name) <= {MAX_SCHEDULE_NAME}" in crd_text("BeatSchedule")


def test_the_forms_of_a_crontab_line_and_of_a_zone_are_the_rules() -> None:
    assert f"self.matches('{LINE}')" in crd_text("BeatSchedule")
    assert f"self.matches('{ZONE}')" in crd_text("BeatSchedule")


# -- the schemas themselves -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_crd_fits_the_annotation_of_a_client_side_apply(kind: str) -> None:
    assert len(crd_text(kind).encode()) < 256 * 1024


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_bounded_and_described(kind: str) -> None:
    plain = {"apiVersion", "kind", "metadata", "metadata.name"}
    for field in fields(schema(kind)):
        node, path = field.node, field.path
        if path in plain:
            continue
        is_value = path.endswith(".*") or (path.endswith("[]") and node.get("type") == "string")
        assert node.get("description") or is_value, f"{path} has no description"
        if path in ANY:
            continue
        if node["type"] == "string" and "enum" not in node and "format" not in node:
            assert "maxLength" in node, path
        if node["type"] == "array":
            assert "maxItems" in node, path
        if "additionalProperties" in node:
            assert "maxProperties" in node, path
        if node["type"] == "integer":
            assert node["format"] in ("int32", "int64"), path


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_fields_are_kept_in_a_pod_template_and_in_arguments_only(kind: str) -> None:
    for field in fields(schema(kind)):
        if field.node.get("x-kubernetes-preserve-unknown-fields"):
            is_template = field.path.startswith("spec.podTemplate.spec")
            assert is_template or field.path in ANY, field.path


@pytest.mark.parametrize("kind", KINDS)
def test_every_rule_says_what_is_expected(kind: str) -> None:
    nodes = [schema(kind), *(field.node for field in fields(schema(kind)))]
    for node in nodes:
        for rule in node.get("x-kubernetes-validations", ()):
            assert len(rule["message"]) > 20, rule
            assert rule["reason"].startswith("FieldValue"), rule


@pytest.mark.parametrize("kind", KINDS)
def test_columns_say_what_they_are(kind: str) -> None:
    for column in version_of(kind)["additionalPrinterColumns"]:
        assert column["description"], column["name"]


def test_crds_are_the_only_ones() -> None:
    found = sorted(path.stem for path in (ROOT / "crds").glob("*.yaml"))

    assert found == sorted(KINDS.values())


def test_durations_are_read_as_they_are_written() -> None:
    assert parse_duration("1h30m") == 5400.0
