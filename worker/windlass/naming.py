"""What a task is called when nobody says: "module.function"."""

from __future__ import annotations

import sys


def task_name(main: str | None, name: str, module: str) -> str:
    """Return the automatic name of a task.

    A module that is run as a script is called `__main__`, and a worker that imports it calls it by
    its real name. With `python -m pkg.mod` the real one is known; else the app's main is taken.

    Args:
        main: The app's name, e.g. that of the module it is in.
        name: Name of the function or class.
        module: Name of its module.
    """
    if module == "__main__":
        spec = getattr(sys.modules.get("__main__"), "__spec__", None)
        module = (spec.name if spec is not None else main) or module
    return f"{module}.{name}"
