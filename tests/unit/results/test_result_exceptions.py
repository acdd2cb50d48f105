"""Exceptions on the wire: the same class where it is loaded, a stand-in of its name elsewhere."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass import errors
from windlass.results import exceptions
from windlass.serializers import registry

JSON = registry.serializer_named("json")


def there_and_back(exc: BaseException, serializer: str = "json") -> Exception:
    codec = registry.serializer_named(serializer)
    return exceptions.rebuild(codec.decode(codec.encode(exceptions.describe(exc, codec))))


class PlainError(Exception):
    pass


class PicksItsArgumentsError(Exception):
    """Its constructor takes other arguments than it keeps, as many libraries' do."""

    def __init__(self, code: int, *, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code


class ComposesItsMessageError(Exception):
    def __init__(self, what: str) -> None:
        super().__init__(f"cannot find {what}")


class NeedsItsAttributeError(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__(a)
        self.b = b

    def __str__(self) -> str:
        return str(self.b)


class FalsyError(Exception):
    def __bool__(self) -> bool:
        return False


class Outer:
    class InnerError(ValueError):
        pass


@pytest.mark.parametrize(
    "exc",
    [
        ValueError("x"),
        KeyError("k"),
        OSError(2, "No such file"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        PlainError(1, [2], {"a": 3}),
        FalsyError("x"),
        Outer.InnerError("nested"),
        errors.MaxRetriesExceededError("no more"),
        errors.TimeLimitExceeded(3),
        errors.TaskRevokedError("expired"),
        errors.NotRegistered("t"),
        errors.MessageTooLarge("It", 5, 4, "task_max_size_bytes"),
        errors.BrokerFullError(),
        errors.ContentDisallowed("application/x", ["json"]),
    ],
    ids=lambda exc: type(exc).__name__,
)
def test_an_exception_comes_back_as_its_class_with_its_arguments_and_text(exc: Exception) -> None:
    back = there_and_back(exc)

    assert type(back) is type(exc)
    assert back.args == exc.args
    assert str(back) == str(exc)


def test_a_class_whose_constructor_wants_other_arguments_is_rebuilt_past_it() -> None:
    back = there_and_back(PicksItsArgumentsError(404, detail="no page"))

    assert type(back) is PicksItsArgumentsError
    assert str(back) == "404: no page"


def test_a_constructor_that_composes_its_message_does_not_do_so_twice() -> None:
    assert str(there_and_back(ComposesItsMessageError("it"))) == "cannot find it"


def test_a_class_that_cannot_be_printed_without_its_attributes_gets_a_stand_in() -> None:
    back = there_and_back(NeedsItsAttributeError(1, 2))

    assert type(back) is not NeedsItsAttributeError
    assert type(back).__name__ == "NeedsItsAttributeError"
    assert str(back) == "1"


def test_arguments_without_representation_become_their_repr() -> None:
    class Odd:
        def __repr__(self) -> str:
            return "<odd>"

    assert there_and_back(ValueError(1, Odd())).args == (1, "<odd>")


def test_an_argument_whose_repr_raises_is_described() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    assert "whose repr raised RuntimeError" in there_and_back(ValueError(Broken())).args[0]


def test_a_long_repr_is_cut() -> None:
    class Long:
        def __repr__(self) -> str:
            return "x" * 100_000

    assert len(there_and_back(ValueError(Long())).args[0]) == 2_000


def test_an_unknown_class_becomes_a_synthetic_exception_of_its_name_and_module() -> None:
    wire = {"exc_type": "CardDeclined", "exc_module": "shop.billing", "exc_message": ["no", 3]}

    back = exceptions.rebuild(wire)

    assert (type(back).__name__, type(back).__module__) == ("CardDeclined", "shop.billing")
    assert type(back).__bases__ == (Exception,)
    assert back.args == ("no", 3)
    assert type(exceptions.rebuild(wire)) is type(back)  # one class a name, so `except` can work


def test_a_local_class_becomes_a_synthetic_exception_of_its_short_name() -> None:
    class LocalError(Exception):
        pass

    assert type(there_and_back(LocalError("x"))).__name__ == "LocalError"


def test_decoding_never_imports_a_module() -> None:
    module = "wsgiref.validate"  # stdlib, with an exception class, not loaded by anything here
    sys.modules.pop(module, None)

    back = exceptions.rebuild(
        {"exc_type": "WSGIWarning", "exc_module": module, "exc_message": ["x"]}
    )

    assert module not in sys.modules
    assert type(back).__name__ == "WSGIWarning"


def test_decoding_never_asks_a_module_for_a_lazy_attribute() -> None:
    asked: list[str] = []
    lazy = types.ModuleType("lazy_for_this_test")
    lazy.__getattr__ = asked.append  # type: ignore[attr-defined]
    sys.modules["lazy_for_this_test"] = lazy
    try:
        exceptions.rebuild(
            {"exc_type": "Any", "exc_module": "lazy_for_this_test", "exc_message": []}
        )
    finally:
        del sys.modules["lazy_for_this_test"]

    assert asked == []


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("subprocess", "Popen"),
        ("builtins", "eval"),
        ("builtins", "SystemExit"),
        ("builtins", "KeyboardInterrupt"),
        ("builtins", "object"),
        ("sys", "modules"),
        ("os", "path.join"),
    ],
)
def test_what_is_no_exception_class_is_never_called(module: str, name: str) -> None:
    wire = {"exc_type": name, "exc_module": module, "exc_message": ["true"]}

    back = exceptions.rebuild(wire)

    assert isinstance(back, Exception)
    assert type(back).__bases__ == (Exception,)
    assert back.args == ("true",)


def test_system_exit_of_a_task_does_not_end_the_caller() -> None:
    back = there_and_back(SystemExit(3))

    assert isinstance(back, Exception)
    assert (type(back).__name__, back.args) == ("SystemExit", (3,))


_anything = st.recursive(
    st.none() | st.integers() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    name=_anything
    | st.sampled_from(["ValueError", "UnicodeDecodeError", "ExceptionGroup", "a\0b"]),
    module=_anything | st.just("builtins"),
    message=_anything,
)
def test_whatever_the_data_is_an_exception_comes_out(name: Any, module: Any, message: Any) -> None:
    back = exceptions.rebuild({"exc_type": name, "exc_module": module, "exc_message": message})

    assert isinstance(back, Exception)
    assert isinstance(str(back), str)
