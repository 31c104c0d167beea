"""What runs here: versions, instruction set, threads."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import Any, Literal, overload

from lstmcore import _core
from lstmcore._threads import resolve_threads

_LIBRARIES = ("numpy", "scikit-learn", "joblib", "threadpoolctl")
_VARIABLES = ("LSTMCORE_ISA", "LSTMCORE_NUM_THREADS", "OMP_NUM_THREADS")


@overload
def show_config(mode: Literal["stdout"] = "stdout") -> None: ...
@overload
def show_config(mode: Literal["dicts"]) -> dict[str, Any]: ...
def show_config(mode: Literal["stdout", "dicts"] = "stdout") -> dict[str, Any] | None:
    """Show how lstmcore was built and what it runs on.

    Parameters
    ----------
    mode : {"stdout", "dicts"}, default="stdout"
        Whether to print a report or to return its content.

    Returns
    -------
    config : dict or None
        With ``mode="dicts"``: ``"core"`` (version, instruction sets, OpenMP, compiler),
        ``"threads"`` (the number that ``n_jobs=None`` stands for), ``"python"``, ``"machine"``,
        ``"libraries"`` and ``"environment"`` (the variables that are set).

    Raises
    ------
    ValueError
        If ``mode`` is another.

    Examples
    --------
    >>> import lstmcore
    >>> config = lstmcore.show_config(mode="dicts")
    >>> config["core"]["version"] == lstmcore.__version__
    True
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f'mode must be "stdout" or "dicts", got {mode!r}.')
    config = {
        "core": _core.config(),
        "threads": resolve_threads(None),
        "python": platform.python_version(),
        "machine": platform.platform(),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "environment": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
    }
    if mode == "dicts":
        return config
    print("\n".join(_lines(config)))
    return None


def _lines(config: dict[str, Any], indent: str = "") -> list[str]:
    """Return the lines of a report, nested dicts indented."""
    width = max((len(name) for name in config), default=0)
    lines = []
    for name, value in config.items():
        if isinstance(value, dict):
            lines += [f"{indent}{name}:", *_lines(value, indent + "  ")]
        else:
            text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
            lines.append(f"{indent}{name + ':':<{width + 1}} {text}")
    return lines
