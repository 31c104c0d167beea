"""Command line: ``python -m benchmarks``; the same as ``python -m lstmcore bench``."""

import sys

from .commands import main

if __name__ == "__main__":
    if not sys.flags.safe_path:
        # The folder one is in comes last: a checkout's lstmcore is without its compiled modules,
        # and the installed one is what counts.
        sys.path.append(sys.path.pop(0))
    sys.exit(main())
