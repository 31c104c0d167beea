"""``python -m lstmcore bench``: the benchmarks, in a wheel ``lstmcore._cli.benchmarks``.

In a source checkout they are the folder ``benchmarks`` beside the package.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lstmcore

if TYPE_CHECKING:
    import argparse
    from types import ModuleType

_NAME = "lstmcore._cli.benchmarks"


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Describe the command.

    Parameters
    ----------
    subparsers : object
        What ``ArgumentParser.add_subparsers`` returned.

    Returns
    -------
    parser : ArgumentParser
    """
    about = "measure this machine, beside the other libraries that are installed"
    parser: argparse.ArgumentParser = subparsers.add_parser("bench", help=about)
    harness("commands").configure(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Run the command of the benchmarks that was chosen.

    Parameters
    ----------
    options : Namespace
        As the benchmarks' own parsers made it.

    Returns
    -------
    status : int
        1 where a peer gave a wrong result or a comparison found something slower.
    """
    status: int = harness("commands").run(options)
    return status


def harness(name: str) -> ModuleType:
    """Import a module of the benchmarks, from the package or from the checkout around it.

    Parameters
    ----------
    name : str
        Such as ``"commands"``.

    Returns
    -------
    module : ModuleType

    Raises
    ------
    ImportError
        If the installation has none.
    """
    if importlib.util.find_spec(_NAME) is None:
        folder = Path(lstmcore.__file__).parents[1] / "benchmarks"
        spec = importlib.util.spec_from_file_location(
            _NAME, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        if spec is None or spec.loader is None or not folder.is_dir():
            raise ImportError("the benchmarks are not part of this installation")
        module = importlib.util.module_from_spec(spec)
        sys.modules[_NAME] = module
        spec.loader.exec_module(module)
    return import_module(f"{_NAME}.{name}")
