"""Rules for every source file: size, form, and what never stands in one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from repository import ROOT, files

FILE_LINES = 400
FUNCTION_LINES = 50


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


SOURCES = list(files(".py"))
PRODUCT = [path for path in SOURCES if path.relative_to(ROOT).parts[0] in ("worker", "operator")]


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text())
    return [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the signature to the end, less the docstring, which may be as long as needed."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def test_the_sources_are_found() -> None:
    assert len(PRODUCT) > 20


def test_no_file_is_longer_than_the_cap() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in SOURCES}

    assert {name: lines for name, lines in lengths.items() if lines > FILE_LINES} == {}


def test_no_function_is_longer_than_the_cap() -> None:
    long = {
        f"{name_of(path)}:{function.name}": lines
        for path in SOURCES
        for function in functions(path)
        if (lines := code_lines(function)) > FUNCTION_LINES
    }

    assert long == {}


def test_outer_folders_and_tests_are_no_packages() -> None:
    """operator/__init__.py would hide the standard library's module of that name."""
    forbidden = [ROOT / "operator/__init__.py", ROOT / "worker/__init__.py"]
    forbidden += [path for path in files("__init__.py", below="tests") if is_plain(path)]

    assert [name_of(path) for path in forbidden if path.exists()] == []


def is_plain(path: Path) -> bool:
    """A helper package that tests import (tests/cluster/windlass_cluster) may be one.

    So may the applications that the migration test copies: they are programs of their own.
    """
    parts = path.relative_to(ROOT / "tests").parts
    is_helper = parts[0] in ("cluster", "support") and len(parts) > 2
    return not (is_helper or parts[:3] == ("integration", "migration", "apps"))


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("an unfinished spot", r"\b(TODO|FIXME|XXX)\b"),
        ("a stub", r"\braise NotImplementedError\b"),
        ("a debugger", r"\bbreakpoint\(\)|\bset_trace\("),
    ],
)
def test_product_code_is_finished(what: str, pattern: str) -> None:
    found = [
        f"{name_of(path)}:{number}"
        for path in PRODUCT
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(pattern, line)
    ]

    assert found == [], what


def test_no_file_names_a_folder_of_one_machine() -> None:
    # Put together here, so that this file passes itself.
    homes = "|".join(("/" + "work/", "/" + "root/", "/" + r"home/[a-z]\w+/", "/" + "Users/[a-z]"))
    pattern = re.compile(rf"(?<![\w.:-])(?:{homes})")
    found = [
        f"{name_of(path)}:{number}: {line.strip()[:80]}"
        for path in files(
            ".py", ".md", ".toml", ".lua", ".mk", ".yaml", ".yml", ".txt", ".go", ".sh"
        )
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]

    assert found == []
