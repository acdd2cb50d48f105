"""`python -m windlass_cluster`: see `cli.py`."""

import sys

from windlass_cluster.cli import main

if __name__ == "__main__":
    sys.exit(main())
