"""Saving to a file, and reading what a file holds; `_files_load` makes objects of it again.

A file holds the name of one of our classes and a record: a dict of plain values and arrays, see
`_files_values`. Which names there are, and what a record must hold, is decided by the code that
reads it, never by the file.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

from lstmcore._files_atomic import write_atomically
from lstmcore._files_container import container_bytes, read_container
from lstmcore._files_json import parse_json
from lstmcore._files_values import Encoder, decode

FORMAT = "lstmcore"
# Raised when older versions of lstmcore would misread what is written; what they wrote stays
# readable.
FORMAT_VERSION = 1


class Savable:
    """Base of what has a method `save`, and can be had again by `lstmcore.load`."""

    # The name in files: of the class itself, not inherited, so that no subclass is taken for it.
    _kind: ClassVar[str]

    def _record(self) -> dict[str, Any]:
        """Return all that makes up the object, as plain values and arrays."""
        record: Any = self.__getstate__()
        return dict(record)

    def _named_record(self) -> dict[str, Any]:
        """Return the record with the name of the class, as it stands in records of others."""
        if "_kind" not in vars(type(self)):
            raise TypeError(
                f"{type(self).__name__} is a class of your own: files hold those of lstmcore alone."
            )
        return {"kind": self._kind, "record": self._record()}

    def save(self, path: str | PathLike[str]) -> None:
        """Save to a file, from which `lstmcore.load` makes an equal object.

        The file is of the safetensors format: arrays and JSON, no code and no names of code. It is
        replaced in one step, so at any moment there is the old one or the new one.

        Parameters
        ----------
        path : str or path-like
            The file; it is replaced if it exists.

        Raises
        ------
        OSError
            If the file can't be written. What was there before is unchanged, as after all errors.
        ValueError
            If the object holds what a file can't, such as a generator of random numbers.
        TypeError
            If the object is of a class of your own, of which `lstmcore.load` can't know, or if
            ``path`` is no path.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> import numpy as np
        >>> import lstmcore
        >>> layer = lstmcore.layers.LSTM(3, 8)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "layer.safetensors")
        ...     layer.save(path)
        ...     loaded = lstmcore.load(path)
        >>> bool(np.all(loaded(np.ones((1, 5, 3)))[0] == layer(np.ones((1, 5, 3)))[0]))
        True
        """
        named = self._named_record()
        write_record(path, named["kind"], named["record"])


def write_record(path: str | PathLike[str], kind: str, record: dict[str, Any]) -> None:
    """Write a file that holds one record."""
    encoder = Encoder()
    content = {name: encoder.encode(value, name) for name, value in record.items()}
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "lstmcore_version": version("lstmcore"),
        "kind": kind,
        "record": json.dumps(content, separators=(",", ":"), allow_nan=False),
    }
    write_atomically(_checked_path(path), container_bytes(encoder.arrays, metadata))


def _checked_path(path: Any) -> Path:
    """Return a path as one."""
    if not isinstance(path, str | PathLike):
        raise TypeError(f"path must be a str or a path-like object, got {path!r}.")
    return Path(path)


def read_record(path: str | PathLike[str]) -> tuple[str, dict[str, Any]]:
    """Read a file that `write_record` made.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    kind : str
        The name of a class, which nobody has looked at yet.
    record : dict
        Plain values and arrays, of which the same holds.

    Raises
    ------
    OSError
        If the file can't be opened or read.
    TypeError
        If ``path`` is no path.
    ValueError
        If it is not such a file, or damaged, or of a later format.
    """
    arrays, metadata = read_container(_checked_path(path))
    if metadata.get("format") != FORMAT:
        raise ValueError("it is a file of safetensors, but not one that lstmcore wrote")
    if metadata.get("format_version") != str(FORMAT_VERSION):
        raise ValueError(
            f"it was written by lstmcore {metadata.get('lstmcore_version')!r} in version "
            f"{metadata.get('format_version')!r} of the format; here, {FORMAT_VERSION} is the "
            "latest known"
        )
    content = parse_json(metadata.get("record", "").encode(errors="surrogatepass"), "the record")
    if not isinstance(content, dict):
        raise ValueError("the record is no JSON object")
    used: set[str] = set()
    record = {name: decode(value, arrays, used) for name, value in content.items()}
    if used != arrays.keys():
        raise ValueError(f"nothing refers to the arrays {sorted(arrays.keys() - used)}")
    return metadata.get("kind", ""), record
