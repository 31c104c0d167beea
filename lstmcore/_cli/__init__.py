"""The command line, ``python -m lstmcore COMMAND``: a module here for each command.

Each has ``add_parser(subparsers)``, which describes the command and returns its parser, and
``run(options)``, which does the work and returns the exit status.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = ("info", "demo", "train", "predict", "bench")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str or None, default=None
        What stands behind ``python -m lstmcore``; None: the arguments of this process.

    Returns
    -------
    status : int
        0 if all went well; 2 if the command was misused or could not be done, with the reason on
        stderr; 1 where a command says "no", as the comparison of benchmarks does.

    Examples
    --------
    >>> from lstmcore._cli import main
    >>> main(["info", "--json"])  # doctest: +ELLIPSIS
    {...}
    0
    """
    parser = argparse.ArgumentParser(
        prog="python -m lstmcore", description="LSTM networks on the CPU."
    )
    parser.add_argument("--version", action="version", version=version("lstmcore"))
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for name in COMMANDS:
        module = import_module(f"lstmcore._cli.{name}")
        module.add_parser(subparsers).set_defaults(run=module.run)
    options = parser.parse_args(arguments)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    return status
