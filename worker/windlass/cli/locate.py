"""Find the app that `-A` names: a module, module:attribute, or a package, as Celery does.

    shop.tasks          attribute `app`, `windlass` or `celery` of the module, else its only app
    shop.tasks:queue    that attribute (or a function without arguments that returns the app)
    shop                a package: the same, then its submodules `windlass` and `celery`

Next in the walk: `windlass.cli.worker`.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType

from windlass.app import Windlass
from windlass.errors import ConfigurationError, nearest

ATTRIBUTES = ("app", "windlass", "celery")
SUBMODULES = ("windlass", "celery")
_OURS = str(Path(__file__).resolve().parent.parent)
_STANDARD_LIBRARY = str(Path(os.__file__).resolve().parent)


class AppNotFoundError(ConfigurationError):
    """-A names nothing that is an app."""


class AppImportError(ConfigurationError):
    """The module that -A names, or one that it imports, fails to import."""


def find_app(name: str, *, workdir: str | None = None) -> Windlass:
    """Import and return the app.

    Args:
        name: What -A says.
        workdir: Folder to change to first; the current one is put on the import path, as a
            console script does not do that by itself.

    Raises:
        AppNotFoundError: There is no such module, or no app in it.
        AppImportError: The module raised while it was imported.
    """
    _enter(workdir)
    module_name, colon, attribute = name.partition(":")
    if not module_name or name.startswith("-"):
        msg = f"-A {name!r} is not a module name. Expected e.g. -A shop.tasks or -A shop.tasks:app."
        raise AppNotFoundError(msg)
    if colon:
        return _named(_import(module_name, name), attribute, name)
    try:
        module = _import(module_name, name)
    except AppNotFoundError:
        return _last_part_as_attribute(module_name, name)
    return _search(module, name)


def _enter(workdir: str | None) -> None:
    if workdir is not None:
        try:
            os.chdir(workdir)
        except OSError as error:
            msg = f"--workdir {workdir!r} cannot be entered: {error.strerror}. Expected a folder."
            raise ConfigurationError(msg) from error
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)


def _import(module_name: str, asked: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise AppNotFoundError(_no_module(asked, error.name)) from error
        raise AppImportError(_broken_import(module_name, error)) from error
    except Exception as error:
        raise AppImportError(_broken_import(module_name, error)) from error


def _last_part_as_attribute(module_name: str, asked: str) -> Windlass:
    """`shop.tasks.queue`: Celery takes the last part for an attribute when it is no module."""
    parent, dot, attribute = module_name.rpartition(".")
    if dot:
        module = _import(parent, asked)
        if hasattr(module, attribute):
            return _named(module, attribute, asked)
    raise AppNotFoundError(_no_module(asked, module_name))


def _named(module: ModuleType, path: str, asked: str) -> Windlass:
    found: object = module
    for attribute in path.split("."):
        if not hasattr(found, attribute):
            names = [name for name, _ in _apps_in(module)]
            hint = nearest(attribute, vars(module)) or _app_hint(module.__name__, names)
            msg = f"-A {asked}: module {module.__name__!r} has no attribute {path!r}.{hint}"
            raise AppNotFoundError(msg)
        found = getattr(found, attribute)
    if isinstance(found, ModuleType):
        return _search(found, asked)
    if isinstance(found, FunctionType):
        found = _call(found, path, asked)
    if not isinstance(found, Windlass):
        msg = (
            f"-A {asked}: {path!r} is a {type(found).__name__}; expected a Windlass app, or a "
            "function without arguments that returns one."
        )
        raise AppNotFoundError(msg)
    return found


def _call(factory: FunctionType, path: str, asked: str) -> object:
    try:
        return factory()
    except Exception as error:
        message = (
            f"-A {asked}: {path}() failed: {type(error).__name__}: {error}"
            f"{_first_relevant_line(error)} Expected a function without arguments that returns "
            "the app."
        )
        raise AppImportError(message) from error


def _search(module: ModuleType, asked: str) -> Windlass:
    for attribute in ATTRIBUTES:
        found = getattr(module, attribute, None)
        if isinstance(found, Windlass):
            return found
    if hasattr(module, "__path__"):
        app = _in_submodules(module, asked)
        if app is not None:
            return app
    apps = dict(_apps_in(module))
    if len({id(app) for app in apps.values()}) == 1:
        return next(iter(apps.values()))
    raise AppNotFoundError(_no_app(module, asked, list(apps)))


def _in_submodules(package: ModuleType, asked: str) -> Windlass | None:
    for submodule in SUBMODULES:
        name = f"{package.__name__}.{submodule}"
        try:
            return _search(_import(name, asked), asked)
        except AppNotFoundError:
            continue  # no such submodule, or no app in it; one that fails to import is an error
    return None


def _apps_in(module: ModuleType) -> Iterator[tuple[str, Windlass]]:
    for name, value in vars(module).items():
        if isinstance(value, Windlass):
            yield name, value


def _no_app(module: ModuleType, asked: str, names: list[str]) -> str:
    if names:
        choice = ", ".join(f"-A {module.__name__}:{name}" for name in names)
        return f"-A {asked}: module {module.__name__!r} has several apps. Choose one: {choice}."
    where = getattr(module, "__file__", None) or "a folder without __init__.py"
    return (
        f"-A {asked}: no app in module {module.__name__!r} ({where}). Expected an attribute named "
        "'app' or 'celery' that is a Windlass instance; another name is given as "
        f"-A {module.__name__}:name."
    )


def _app_hint(module_name: str, names: list[str]) -> str:
    return "".join(f" Did you mean -A {module_name}:{name}?" for name in names[:1])


def _no_module(asked: str, missing: str) -> str:
    folder = Path.cwd()
    local = [path.stem for path in folder.glob("*.py")]
    local += [path.parent.name for path in folder.glob("*/__init__.py")]
    return (
        f"-A {asked}: there is no module {missing!r}, neither in {folder} nor installed."
        f"{nearest(missing, local)} Run this in the folder that holds it, or name the folder with "
        "--workdir."
    )


def _broken_import(module_name: str, error: BaseException) -> str:
    where = _first_relevant_line(error)
    return (
        f"Module {module_name!r} fails to import: {type(error).__name__}: {error}{where} Mend it, "
        f"and check with: python -c 'import {module_name}'"
    )


def _first_relevant_line(error: BaseException) -> str:
    """Say where in the user's own code it happened: the last frame that is nobody else's."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" (at {error.filename}, line {error.lineno})."
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(("<frozen", _OURS))
    ]
    # A library's frame names the symptom; the user's line above it is what can be mended.
    own = [frame for frame in frames if not _is_a_librarys(frame.filename)] or frames
    if not own:
        return "."
    return f" (at {own[-1].filename}, line {own[-1].lineno}: {own[-1].line})."


def _is_a_librarys(filename: str) -> bool:
    return "site-packages" in filename or filename.startswith(_STANDARD_LIBRARY)
