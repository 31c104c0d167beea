"""Command line: ``python -m benchmarks``; the same as ``python -m lstmcore bench``."""

import sys

from .commands import main

if __name__ == "__main__":
    sys.exit(main())
