"""Command line: ``python -m lstmcore``."""

import sys

from lstmcore._cli import main

if __name__ == "__main__":
    sys.exit(main())
