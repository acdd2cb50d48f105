"""What -A finds, and what it says when it finds nothing."""

from __future__ import annotations

import itertools
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from windlass.cli.locate import AppImportError, AppNotFoundError, find_app
from windlass.errors import ConfigurationError

_numbers = itertools.count()


@pytest.fixture
def new_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """Give names of modules that nobody has imported, in a folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield lambda: f"project{next(_numbers)}"
    for module in [name for name in sys.modules if name.startswith("project")]:
        del sys.modules[module]


APP = "from windlass import Windlass\n{name} = Windlass({main!r}, set_as_current=False)\n"


def app_named(name: str, main: str = "found") -> str:
    return APP.format(name=name, main=main)


@pytest.fixture
def module(new_name: Callable[[], str], tmp_path: Path) -> Callable[[str], str]:
    """Write one module; gives its name."""

    def write(text: str) -> str:
        name = new_name()
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        return name

    return write


@pytest.fixture
def package(new_name: Callable[[], str], tmp_path: Path) -> Callable[..., str]:
    """Write a package; keyword arguments are its submodules, `init` its __init__."""

    def write(init: str = "", **submodules: str) -> str:
        name = new_name()
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(textwrap.dedent(init))
        for submodule, text in submodules.items():
            (tmp_path / name / f"{submodule}.py").write_text(textwrap.dedent(text))
        return name

    return write


@pytest.mark.parametrize("attribute", ["app", "windlass", "celery", "anything_else"])
def test_module_with_one_app_is_enough(module, attribute: str) -> None:
    assert find_app(module(app_named(attribute))).main == "found"


def test_app_wins_over_celery_in_one_module(module) -> None:
    name = module(app_named("celery", "second") + app_named("app", "first"))

    assert find_app(name).main == "first"


def test_attribute_is_named_after_a_colon(module) -> None:
    name = module(app_named("one", "1") + app_named("two", "2"))

    assert find_app(f"{name}:two").main == "2"
    assert find_app(f"{name}.two").main == "2"


def test_several_apps_without_a_choice_are_an_error_that_lists_them(module) -> None:
    name = module(app_named("one") + app_named("two"))
    with pytest.raises(AppNotFoundError, match=rf"-A {name}:one, -A {name}:two"):
        find_app(name)


def test_one_app_under_two_names_is_one_app(module) -> None:
    assert find_app(module(app_named("one") + "two = one\n")).main == "found"


@pytest.mark.parametrize("submodule", ["windlass", "celery"])
def test_package_is_searched_in_its_submodule(package, submodule: str) -> None:
    assert find_app(package(**{submodule: app_named("app")})).main == "found"


def test_package_itself_comes_before_its_submodules(package) -> None:
    name = package(app_named("app", "init"), celery=app_named("app", "submodule"))

    assert find_app(name).main == "init"


def test_submodule_named_app_is_no_instance_but_is_searched(package) -> None:
    name = package(app=app_named("app"))

    assert find_app(f"{name}.app").main == "found"
    assert find_app(f"{name}:app").main == "found"


def test_function_may_return_the_app(module) -> None:
    name = module(app_named("_hidden") + "def make():\n    return _hidden\n")

    assert find_app(f"{name}:make").main == "found"


def test_function_that_fails_says_where(module) -> None:
    name = module("def make():\n    return 1 / 0\n")
    with pytest.raises(AppImportError, match=r"make\(\) failed: ZeroDivisionError.*line 2"):
        find_app(f"{name}:make")


def test_missing_module_is_named_with_the_nearest(module, tmp_path: Path) -> None:
    name = module(app_named("app"))
    with pytest.raises(AppNotFoundError, match=rf"no module '{name}x'.*Did you mean '{name}'"):
        find_app(f"{name}x")


def test_missing_attribute_is_named_with_the_nearest(module) -> None:
    name = module(app_named("tasks_app"))
    with pytest.raises(AppNotFoundError, match="Did you mean 'tasks_app'"):
        find_app(f"{name}:task_app")


def test_module_without_an_app_says_what_was_expected(module) -> None:
    name = module("x = 1\n")
    with pytest.raises(AppNotFoundError, match="attribute named 'app' or 'celery'"):
        find_app(name)


def test_attribute_that_is_something_else_is_refused(module) -> None:
    name = module("x = 1\n")
    with pytest.raises(AppNotFoundError, match="'x' is a int; expected a Windlass app"):
        find_app(f"{name}:x")


def test_failing_import_shows_the_users_line(module, tmp_path: Path) -> None:
    name = module("import json\n\njson.loads('{')\n")
    with pytest.raises(AppImportError) as caught:
        find_app(name)

    text = str(caught.value)
    assert f"Module '{name}' fails to import: JSONDecodeError" in text
    assert f"{tmp_path / name}.py, line 3: json.loads('{{')" in text


def test_import_of_a_missing_dependency_is_not_a_missing_app(module) -> None:
    name = module("import no_such_library\n")
    with pytest.raises(AppImportError, match=r"No module named 'no_such_library'.*line 1"):
        find_app(name)


def test_syntax_error_shows_file_and_line(module) -> None:
    name = module("x = 1\ny = (\n")
    with pytest.raises(AppImportError, match=r"SyntaxError.*line 2"):
        find_app(name)


def test_broken_submodule_is_an_error_and_not_passed_over(package) -> None:
    name = package(celery="import no_such_library\n")
    with pytest.raises(AppImportError, match="no_such_library"):
        find_app(name)


def test_workdir_is_entered_and_searched(module, tmp_path: Path, monkeypatch) -> None:
    name = module(app_named("app"))
    other = tmp_path / "elsewhere"
    other.mkdir()
    monkeypatch.chdir(other)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(tmp_path))])

    assert find_app(name, workdir=str(tmp_path)).main == "found"
    assert Path.cwd() == tmp_path


def test_missing_workdir_is_one_clear_error() -> None:
    with pytest.raises(ConfigurationError, match="--workdir '/no/such' cannot be entered"):
        find_app("x", workdir="/no/such")


@pytest.mark.parametrize("name", ["", ":app", "-c"])
def test_what_is_no_module_name_is_refused(name: str) -> None:
    with pytest.raises(AppNotFoundError, match="is not a module name"):
        find_app(name)
