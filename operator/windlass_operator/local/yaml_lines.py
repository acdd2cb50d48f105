"""YAML documents that know where each of their fields was written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from windlass.errors import WindlassError

FieldPath = tuple[str | int, ...]


class FileError(WindlassError):
    """A file cannot be used; the text begins with the file and the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One YAML document.

    Attributes:
        number: First is 1.
        line: Where it begins.
        lines: Path of a field -> the line that it is on.
    """

    file: Path
    number: int
    line: int
    value: Any
    lines: Mapping[FieldPath, int] = field(default_factory=dict)

    def place(self, path: FieldPath = ()) -> str:
        """`queue.yaml:12`: the line of the field, or of the nearest one around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.file}:{self.lines.get(path, self.line)}"


def read_documents(file: Path) -> Iterator[Document]:
    """Read the documents of a file; empty ones are left out.

    Raises:
        FileError: It cannot be read, is no YAML, or writes a field twice.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise FileError(f"{file}: cannot be read: {reason}.") from error
    try:
        for number, node in enumerate(yaml.compose_all(text, yaml.SafeLoader), start=1):
            if node is not None and not _is_null(node):
                yield _document(file, number, node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{file}:{mark.line + 1}" if mark else str(file)
        what = error.problem or error.context or ""
        hint = " YAML is indented with spaces, not tabs." if "'\\t'" in what else ""
        raise FileError(f"{where}: this is no YAML: {what}.{hint}") from error
    except yaml.YAMLError as error:
        raise FileError(f"{file}: this is no YAML: {error}.") from error


def _document(file: Path, number: int, node: yaml.Node) -> Document:
    lines: dict[FieldPath, int] = {}
    _note_lines(file, node, (), lines)
    loader = yaml.SafeLoader("")
    try:
        value = loader.construct_document(node)
    finally:
        loader.dispose()
    line = node.start_mark.line + 1
    return Document(file=file, number=number, line=line, value=value, lines=lines)


def _note_lines(file: Path, node: yaml.Node, path: FieldPath, lines: dict[FieldPath, int]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, str(key.value))
            line = key.start_mark.line + 1
            if here in lines:
                name = ".".join(map(str, here))
                raise FileError(
                    f"{file}:{line}: {name} is written twice, first on line {lines[here]}. "
                    "Keep one of them."
                )
            lines[here] = line
            _note_lines(file, value, here, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            here = (*path, index)
            lines[here] = item.start_mark.line + 1
            _note_lines(file, item, here, lines)


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"
