"""`python -m windlass` is the `windlass` command."""

from __future__ import annotations

import sys

from windlass.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
