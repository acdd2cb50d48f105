"""What can go wrong with a test cluster, in words a person can act on.

ClusterError
├── CommandFailedError    a program we ran ended badly; carries its output
├── MissingToolError      a program or package is not there; says what to install
├── NotPossibleHereError  the chosen provider cannot work on this machine; says why
└── NotReadyError         something did not come up before its deadline; says what it last said
"""

from collections.abc import Sequence
from shlex import join


class ClusterError(Exception):
    """Root of every error of this tool."""


class CommandFailedError(ClusterError):
    """A command ended with a non-zero code."""

    def __init__(self, argv: Sequence[str], *, code: int, output: str) -> None:
        self.code = code
        self.output = output
        super().__init__(f"`{join(argv)}` ended with code {code}:\n{output.strip()[-4000:]}")


class MissingToolError(ClusterError):
    """A program or a package that is needed is not installed."""

    def __init__(self, what: str, *, install: str) -> None:
        super().__init__(f"{what} was not found. To install it: {install}")


class NotPossibleHereError(ClusterError):
    """This machine cannot give the cluster that was asked for."""


class NotReadyError(ClusterError):
    """A deadline passed."""

    def __init__(self, what: str, *, after_s: float, last: str = "") -> None:
        told = f"; the last answer was: {last.strip()[-2000:]}" if last else ""
        super().__init__(f"{what} was not ready after {after_s:.0f} s{told}")
