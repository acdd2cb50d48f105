"""The solo loop: prefork's, in the main thread of the worker process itself.

The supervisor's loop runs in a thread beside it over the same socket and permits. Nothing can be
killed without the worker, so hard limits, recycling and terminate are refused at start.
"""

from __future__ import annotations

from windlass.pools.prefork import run

__all__ = ["run"]
