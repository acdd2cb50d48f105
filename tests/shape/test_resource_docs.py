"""The reference of the resources is what crds/ and the operator's enumerations say."""

from __future__ import annotations

import importlib.util
import re
from enum import StrEnum
from types import ModuleType

import pytest

from repository import ROOT, files
from resource_files import KINDS, fields, schema
from windlass_operator.observed import BrokerError
from windlass_operator.reasons import ConditionReason, ConditionType, EventReason
from windlass_operator.scaling.decide import Reason

WORDS: tuple[type[StrEnum], ...] = (
    ConditionType,
    ConditionReason,
    BrokerError,
    Reason,
    EventReason,
)


def generator() -> ModuleType:
    path = ROOT / "docs" / "generate_resources.py"
    spec = importlib.util.spec_from_file_location("generate_resources", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_are_up_to_date() -> None:
    for page, text in generator().pages().items():
        assert page.read_text() == text, f"{page.name}: run `make docs`"


@pytest.mark.parametrize("kind", KINDS)
def test_page_lists_every_field_of_the_schema(kind: str) -> None:
    page = (ROOT / "docs" / "reference" / f"{kind.lower()}.md").read_text()
    for part in ("spec", "status"):
        for field in fields(schema(kind)["properties"][part]):
            if not field.path.endswith(("[]", ".*")):
                assert f"| `{field.path}` |" in page, field.path


@pytest.mark.parametrize("words", WORDS, ids=lambda words: words.__name__)
def test_page_lists_every_word_once_with_its_meaning(words: type[StrEnum]) -> None:
    module = generator()
    file, name = next((file, name) for _, file, name, _ in module.WORDS if name == words.__name__)
    listed = module.words(file, name)

    assert [word for word, _ in listed] == [word.value for word in words]
    assert all(meaning.endswith(".") for _, meaning in listed)


@pytest.mark.parametrize(
    "word", [word for words in WORDS for word in words], ids=lambda w: f"{type(w).__name__}.{w}"
)
def test_word_is_said_by_something(word: StrEnum) -> None:
    """A reason that nothing ever gives is a promise to alerts that is not kept."""
    name = rf"\b\w*{type(word).__name__}\.{word.name}\b"
    if isinstance(word, BrokerError):
        name = rf"\bBrokerError\.{word.name}\b"
    used = [p for p in files(".py", below="operator") if re.search(name, p.read_text())]

    assert used, f"{word.name} is documented and nothing says it"
