"""``python -m lstmcore info``: what runs here, and which extras are there."""

from __future__ import annotations

import json
import re
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING, Any

from lstmcore._config import show_config

if TYPE_CHECKING:
    import argparse

_OF_DEVELOPERS = ("dev", "test")


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
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "info",
        help="versions, instruction set, threads, extras",
        description="What lstmcore runs on and which optional packages are installed.",
    )
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")
    return parser


def run(options: argparse.Namespace) -> int:
    """Print the report.

    Parameters
    ----------
    options : Namespace
        ``json``.

    Returns
    -------
    status : int
        Always 0.
    """
    extras = installed_extras()
    if options.json:
        print(json.dumps({**show_config(mode="dicts"), "extras": extras}, indent=2))
        return 0
    show_config()
    print("extras:")
    for name, packages in extras.items():
        parts = [f"{package} {found or 'missing'}" for package, found in packages.items()]
        advice = "" if all(packages.values()) else f"  (pip install 'lstmcore[{name}]')"
        print(f"  {name + ':':<10} {', '.join(parts)}{advice}")
    return 0


def installed_extras() -> dict[str, dict[str, str | None]]:
    """Return the packages of each extra and their versions, None for what is not installed.

    Returns
    -------
    extras : dict
        Name of the extra to {package: version or None}; extras for developers are left out.

    Examples
    --------
    >>> from lstmcore._cli.info import installed_extras
    >>> "progress" in installed_extras()
    True
    """
    extras: dict[str, dict[str, str | None]] = {}
    for requirement in requires("lstmcore") or ():
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", requirement)
        package = re.match(r"[\w.-]+", requirement)
        if extra is None or package is None or package[0] == "lstmcore":
            continue  # needed always, or an extra made of other extras
        if extra[1] not in _OF_DEVELOPERS:
            extras.setdefault(extra[1], {})[package[0]] = _version(package[0])
    return dict(sorted(extras.items()))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
