"""Optional packages, imported when they are needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def import_extra(package: str, extra: str, purpose: str) -> Any:
    """Import an optional package, or say how to get it.

    Parameters
    ----------
    package : str
        Its name.
    extra : str
        The extra of lstmcore that installs it.
    purpose : str
        What needs it, for the message.

    Returns
    -------
    module : module
        The package.

    Raises
    ------
    ImportError
        If it is not installed; the message names the extra.

    Examples
    --------
    >>> from lstmcore._extras import import_extra
    >>> import_extra("no_such_package", "onnx", "to_onnx")
    Traceback (most recent call last):
    ...
    ImportError: to_onnx needs no_such_package: pip install 'lstmcore[onnx]'.
    """
    try:
        return import_module(package)
    except ImportError as error:
        name = package.partition(".")[0]
        raise ImportError(f"{purpose} needs {name}: pip install 'lstmcore[{extra}]'.") from error
