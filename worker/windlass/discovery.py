"""Finds the modules that define tasks: the `imports` and `include` settings, and autodiscovery."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Iterable
from types import ModuleType

from windlass.errors import ConfigurationError

Packages = Iterable[str] | Callable[[], Iterable[str]] | None


def import_modules(names: Iterable[str], setting: str = "imports") -> list[ModuleType]:
    """Import modules by name, each once, in order.

    Raises:
        ConfigurationError: There is no such module. An error inside a module comes as it is.
    """
    modules = []
    for name in dict.fromkeys(names):
        try:
            modules.append(importlib.import_module(name))
        except ModuleNotFoundError as error:
            if not f"{name}.".startswith(f"{error.name}."):
                raise  # the module is there; something that it imports is not
            msg = (
                f"Setting {setting} names module {name!r}, which cannot be found. Expected a "
                "module on the import path; run in the folder that holds it, or install it."
            )
            raise ConfigurationError(msg) from error
    return modules


def discover(packages: Packages, related_name: str | None) -> list[ModuleType]:
    """Import `package.related_name` of each package that has one.

    Args:
        packages: Names of packages, a function that returns them, or None: Django's installed apps.
        related_name: Name of the submodule; None imports the packages themselves.

    Returns:
        The modules that were found.

    Raises:
        ConfigurationError: A package cannot be found, or None was given without Django.
    """
    if packages is None:
        names: Iterable[str] = _django_apps()
    else:
        names = packages() if callable(packages) else packages
    found = []
    for package in dict.fromkeys(names):
        module = _related_module(package, related_name)
        if module is not None:
            found.append(module)
    return found


def _related_module(name: str, related_name: str | None) -> ModuleType | None:
    """As Celery: what does not exist is passed over, what fails to import is an error."""
    package = _import_package(name)
    if related_name is None:
        return package
    related = f"{package.__name__}.{related_name}"
    if not hasattr(package, "__path__") or importlib.util.find_spec(related) is None:
        return None
    return importlib.import_module(related)


def _import_package(name: str) -> ModuleType:
    """Import a package; of a class in one (Django's "shop.apps.ShopConfig"), its package."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):
            raise
        parent = name.rpartition(".")[0]
        if not parent:
            msg = (
                f"autodiscover_tasks was given package {name!r}, which cannot be found. "
                "Expected a package on the import path."
            )
            raise ConfigurationError(msg) from error
        return importlib.import_module(_import_package(parent).__package__ or parent)


def _django_apps() -> list[str]:
    """Return the packages of Django's installed apps."""
    if not os.environ.get("DJANGO_SETTINGS_MODULE"):
        msg = (
            "autodiscover_tasks() without packages looks into Django's installed apps, and "
            "DJANGO_SETTINGS_MODULE is not set. Expected autodiscover_tasks(['shop', 'mail']), or "
            "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'proj.settings') before it."
        )
        raise ConfigurationError(msg)
    django = importlib.import_module("django")  # optional, so imported by name
    apps = importlib.import_module("django.apps").apps
    if not apps.ready:
        django.setup()
    return [config.name for config in apps.get_app_configs()]
