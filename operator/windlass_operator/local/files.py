"""Our resources out of YAML files, as `kubectl apply -f` would take them.

Everything that is wrong is reported at once, each with its file, line, field and fix. What only a
cluster can do (images, pod templates, other kinds) is left out and said in a note.
Next in the walk: `windlass_operator.local.session`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from windlass.errors import nearest
from windlass_operator.local.yaml_lines import Document, FileError, read_documents
from windlass_operator.models.beatschedule import MAX_NAME as MAX_SCHEDULE_NAME
from windlass_operator.models.beatschedule import BeatScheduleSpec
from windlass_operator.models.resource import API_VERSION, InvalidSpecError, Spec, check_spec
from windlass_operator.models.taskqueue import TaskQueueSpec
from windlass_operator.models.workerpool import MAX_NAME, WorkerPoolSpec

MODELS: dict[str, type[Spec]] = {
    "TaskQueue": TaskQueueSpec,
    "WorkerPool": WorkerPoolSpec,
    "BeatSchedule": BeatScheduleSpec,
}
_KINDS = "TaskQueue, WorkerPool or BeatSchedule"
_GROUP = API_VERSION.partition("/")[0]
_SUFFIXES = (".yaml", ".yml")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_LONGEST = {"TaskQueue": 253, "WorkerPool": MAX_NAME, "BeatSchedule": MAX_SCHEDULE_NAME}
_TOP_LEVEL = ("apiVersion", "kind", "metadata", "spec", "status")


class InvalidFilesError(FileError):
    """One or more files cannot be used: one line for each thing that is wrong."""

    def __init__(self, problems: Sequence[str]) -> None:
        count = "is 1 problem" if len(problems) == 1 else f"are {len(problems)} problems"
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"Nothing was started: there {count} in the files.\n{lines}")
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What the files hold.

    Attributes:
        bodies: Our resources in the form of the API, in the files' order.
        folders: (namespace, pool) -> folder of the file that it is in.
        places: (kind, namespace, name) -> `file:line`.
        notes: What was left out, and why.
    """

    bodies: tuple[dict[str, Any], ...]
    folders: Mapping[tuple[str, str], Path] = field(default_factory=dict)
    places: Mapping[tuple[str, str, str], str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_resources(paths: Iterable[Path]) -> Resources:
    """Read files, and the YAML files directly in folders.

    Raises:
        InvalidFilesError: With everything that is wrong in all of them.
    """
    reader = _Reader()
    for path in paths:
        reader.read(path)
    return reader.result()


class _Reader:
    def __init__(self) -> None:
        self._bodies: list[dict[str, Any]] = []
        self._folders: dict[tuple[str, str], Path] = {}
        self._places: dict[tuple[str, str, str], str] = {}
        self._problems: list[str] = []
        self._other_kinds: dict[str, str] = {}
        self._ignored: dict[str, list[str]] = {}

    def read(self, path: Path) -> None:
        for file in self._files_of(path):
            try:
                for document in read_documents(file):
                    self._take(document)
            except FileError as error:
                self._problems.append(str(error))

    def _files_of(self, path: Path) -> list[Path]:
        if not path.exists():
            self._problems.append(f"{path}: there is no such file or folder.")
            return []
        if not path.is_dir():
            return [path]
        found = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES)
        if not found:
            self._problems.append(f"{path}: no .yaml or .yml file is in this folder.")
        return found

    def _take(self, document: Document) -> None:
        problems = _problems_of_envelope(document)
        if problems:
            self._problems += problems
            return
        body = dict(document.value)
        kind = body["kind"]
        if kind not in MODELS:
            self._other_kinds.setdefault(kind, document.place())
            return
        problems = [*_problems_of_metadata(document, kind), *_problems_of_spec(document, body)]
        if problems:
            self._problems += problems
            return
        self._keep(document, body)

    def _keep(self, document: Document, body: dict[str, Any]) -> None:
        metadata = {"namespace": "default", **body["metadata"]}
        kind, namespace, name = body["kind"], metadata["namespace"], metadata["name"]
        place = self._places.get((kind, namespace, name))
        if place is not None:
            self._problems.append(
                f"{document.place(('metadata', 'name'))}: {kind} {name!r} is declared already at "
                f"{place}. Rename one, or remove it."
            )
            return
        self._places[kind, namespace, name] = document.place()
        spec = dict(body.get("spec") or {})
        if kind == "WorkerPool":
            self._folders[namespace, name] = document.file.resolve().parent
            self._ignored.setdefault("image", []).append(name)
            if spec.pop("podTemplate", None):
                self._ignored.setdefault("podTemplate", []).append(name)
        uid = f"{kind}-{namespace}-{name}".lower()
        metadata |= {"uid": uid, "generation": 1, "resourceVersion": "1"}
        kept = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}
        self._bodies.append(kept)

    def result(self) -> Resources:
        if not self._problems and not self._bodies:
            self._problems.append(
                f"no {_KINDS} is in these files. The smallest of each is in "
                "docs/how-to/run-locally.md."
            )
        if self._problems:
            raise InvalidFilesError(self._problems)
        notes = [
            f"{kind} at {place} is for a cluster; it is left out here."
            for kind, place in self._other_kinds.items()
        ]
        if self._ignored:
            fields = "; ".join(
                f"spec.{field} of {', '.join(pools)}" for field, pools in self._ignored.items()
            )
            notes.append(f"workers are processes of this Python, so these are not used: {fields}.")
        return Resources(
            bodies=tuple(self._bodies),
            folders=self._folders,
            places=self._places,
            notes=tuple(notes),
        )


def _problems_of_envelope(document: Document) -> list[str]:
    """Look at what it is at all."""
    value = document.value
    if not isinstance(value, Mapping):
        return [
            f"{document.place()}: document {document.number} is a {type(value).__name__}, not a "
            "resource. Expected apiVersion, kind, metadata and spec."
        ]
    version, kind = value.get("apiVersion"), value.get("kind")
    for name, given in (("apiVersion", version), ("kind", kind)):
        if not isinstance(given, str) or not given:
            wanted = API_VERSION if name == "apiVersion" else _KINDS
            return [
                f"{document.place((name,))}: document {document.number} has no {name}. "
                f"Add `{name}: {wanted}`."
            ]
    return _problems_of_kind(document, str(version), str(kind))


def _problems_of_kind(document: Document, version: str, kind: str) -> list[str]:
    group = version.partition("/")[0]
    if group != _GROUP:
        if kind in MODELS or nearest(group, [_GROUP]):
            return [
                f"{document.place(('apiVersion',))}: apiVersion: {version!r} has no {kind}. "
                f"Write `apiVersion: {API_VERSION}`."
            ]
        return []
    if version != API_VERSION:
        return [
            f"{document.place(('apiVersion',))}: apiVersion: {version!r} is not known here. "
            f"Write `apiVersion: {API_VERSION}`."
        ]
    if kind not in MODELS:
        return [
            f"{document.place(('kind',))}: kind: {kind!r} is not a kind of {_GROUP}. Expected "
            f"{_KINDS}.{nearest(kind, MODELS)}"
        ]
    return []


def _problems_of_metadata(document: Document, kind: str) -> list[str]:
    value = document.value
    problems = [
        f"{document.place((str(name),))}: {name} is not a field of a {kind}."
        f"{nearest(str(name), _TOP_LEVEL)}"
        for name in value
        if name not in _TOP_LEVEL
    ]
    metadata = value.get("metadata")
    if not isinstance(metadata, Mapping) or not metadata.get("name"):
        problems.append(
            f"{document.place(('metadata',))}: metadata.name is required. "
            "Add `metadata: {name: ...}`."
        )
        return problems
    for part in ("name", "namespace"):
        given = metadata.get(part, "default")
        longest = _LONGEST[kind] if part == "name" else 63
        if not isinstance(given, str) or not _NAME.fullmatch(given):
            problems.append(
                f"{document.place(('metadata', part))}: metadata.{part}: {given!r} is no name. "
                "Expected small letters, digits and '-', beginning and ending with a letter or "
                "digit."
            )
        elif len(given) > longest:
            problems.append(
                f"{document.place(('metadata', part))}: metadata.{part}: {given!r} has "
                f"{len(given)} characters; at most {longest} are allowed."
            )
    return problems


def _problems_of_spec(document: Document, body: Mapping[str, Any]) -> list[str]:
    if not isinstance(body.get("spec") or {}, Mapping):
        return [f"{document.place(('spec',))}: spec is not a mapping. Expected fields under it."]
    try:
        check_spec(MODELS[body["kind"]], body)
    except InvalidSpecError as error:
        return [
            f"{document.place(problem.path)}: {body['kind']}: {_as_sentence(str(problem))}"
            for problem in error.problems
        ]
    return []


def _as_sentence(text: str) -> str:
    return text if text.endswith((".", "?")) else f"{text}."
