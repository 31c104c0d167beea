"""Arrays and strings in one file: the safetensors layout, with a checksum and strict checks.

A file is 8 bytes that say how long the header is, the header, which is JSON, and the arrays, one
after the other::

    {"__metadata__": {name: string, ...}, array: {"dtype": "F32", "shape": [...],
     "data_offsets": [begin, end]}, ...}

Any program that reads safetensors reads these files. The reader here takes none but such as
`container_bytes` makes: everything is checked before anything is allocated, so what a file costs
is in proportion to its size, whatever it claims. The metadata hold a SHA-256 of the whole file,
with zeros where the digest stands, so that no flipped bit goes unnoticed. It is no signature: it
guards against accidents, and the checks against everything else.

Why not the package of that name: all that it would do after these checks is to slice a buffer.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcore._files_json import parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from io import BufferedReader
    from pathlib import Path

    from numpy.typing import NDArray

# Names of the layout for what the arrays of a model may be made of.
_DTYPES = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype("<u1"),
    "I8": np.dtype("<i1"),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "F16": np.dtype("<f2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "F32": np.dtype("<f4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F64": np.dtype("<f8"),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}

# Parsed JSON takes many times its length, so it may not be as long as the arrays.
LARGEST_HEADER = 2**24
_MOST_AXES = 8
_ZEROS = "0" * 64


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where an array stands in the data, and what it is."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int


def can_hold(dtype: np.dtype[Any]) -> bool:
    """Whether arrays of a dtype have a place in a file."""
    return dtype.newbyteorder("<") in _NAMES


def container_bytes(
    arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]
) -> list[bytes | memoryview]:
    """Return the content of a file, in parts.

    Parameters
    ----------
    arrays : mapping of name to ndarray
        Arrays of dtypes that `can_hold` allows.
    metadata : mapping of name to str
        Strings; ``"sha256"`` is added.

    Returns
    -------
    parts : list of bytes-like
        The header, and each of the arrays.

    Raises
    ------
    ValueError
        If the header becomes too long.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore._files_container import container_bytes
    >>> parts = container_bytes({"a": np.zeros(2)}, {"kind": "pair"})
    >>> int.from_bytes(parts[0][:8], "little") == len(parts[0]) - 8
    True
    """
    # The widest numbers first: every array then starts at a multiple of its item size.
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    header: dict[str, Any] = {"__metadata__": {"sha256": _ZEROS, **metadata}}
    data: list[bytes | memoryview] = []
    offset = 0
    for name in names:
        array = np.ascontiguousarray(arrays[name], arrays[name].dtype.newbyteorder("<"))
        shape = arrays[name].shape  # ascontiguousarray makes one axis of none
        end = offset + array.nbytes
        header[name] = {
            "dtype": _NAMES[array.dtype],
            "shape": list(shape),
            "data_offsets": [offset, end],
        }
        data.append(_bytes_of(array))
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)
    if len(text) > LARGEST_HEADER:
        raise ValueError(
            f"A file's header may have {LARGEST_HEADER} bytes, but the names, labels and history "
            f"to be saved take {len(text)}."
        )
    prefix = len(text).to_bytes(8, "little")
    digest = hashlib.sha256(prefix + text)
    for part in data:
        digest.update(part)
    return [prefix + text.replace(_ZEROS.encode(), digest.hexdigest().encode(), 1), *data]


def read_container(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Read a file that `container_bytes` made.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    arrays : dict of name to ndarray
        The arrays.
    metadata : dict of name to str
        The strings, without ``"sha256"``.

    Raises
    ------
    OSError
        If the file can't be opened or read.
    ValueError
        If the file is anything but what `container_bytes` made, to the last bit.
    """
    # Opening a pipe would wait for a writer.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    with open(path, "rb", opener=lambda name, _: os.open(name, flags)) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no regular file")
        prefix, header = _read_header(file, status.st_size)
        metadata, entries = _parse_header(header, status.st_size - len(prefix) - len(header))
        claimed = metadata.pop("sha256")
        digest = hashlib.sha256(prefix + header.replace(claimed.encode(), _ZEROS.encode()))
        arrays = {entry.name: _read_array(file, entry, digest) for entry in entries}
    if digest.hexdigest() != claimed:
        raise ValueError("its checksum is wrong: the file was damaged or changed")
    for entry in entries:
        if entry.dtype.kind == "b" and (arrays[entry.name].view(np.uint8) > 1).any():
            raise ValueError(f"array {entry.name!r} of bools holds other values than 0 and 1")
    return arrays, metadata


def _read_header(file: BufferedReader, size: int) -> tuple[bytes, bytes]:
    """Return the first 8 bytes and the header, as bytes."""
    prefix = file.read(8)
    if len(prefix) < 8:
        raise ValueError(f"it has {size} bytes, too few for the length of a header")
    length = int.from_bytes(prefix, "little")
    if length > size - 8:
        raise ValueError(f"its header claims {length} bytes, but only {size - 8} follow")
    if length > LARGEST_HEADER:
        raise ValueError(f"its header claims {length} bytes, more than {LARGEST_HEADER}")
    header = file.read(length)
    if len(header) < length:
        raise ValueError("it became shorter while it was read")
    return prefix, header


def _parse_header(header: bytes, n_data: int) -> tuple[dict[str, str], list[_Entry]]:
    """Return the metadata, and the arrays in the order in which they fill ``n_data`` bytes."""
    content = parse_json(header, "the header")
    if not isinstance(content, dict):
        raise ValueError("the header is no JSON object")
    metadata = content.pop("__metadata__", None)
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError("the header has no __metadata__ that maps names to strings")
    digest = metadata.get("sha256", "")
    if not re.fullmatch("[0-9a-f]{64}", digest) or header.count(digest.encode()) != 1:
        raise ValueError("the header has no checksum, so lstmcore did not write it")
    entries = sorted(
        (_entry(name, value) for name, value in content.items()), key=lambda e: (e.begin, e.end)
    )
    filled = 0
    for entry in entries:
        if entry.begin != filled:
            what = "overlaps the one before" if entry.begin < filled else "leaves a gap before it"
            raise ValueError(f"array {entry.name!r} {what}")
        filled = entry.end
    if filled != n_data:
        raise ValueError(f"its arrays claim {filled} bytes, but {n_data} follow the header")
    return metadata, entries


def _entry(name: str, value: object) -> _Entry:
    """Return the description of an array, checked on its own."""
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"array {name!r} is not described by dtype, shape and data_offsets")
    dtype = _DTYPES.get(value["dtype"]) if isinstance(value["dtype"], str) else None
    if dtype is None:
        raise ValueError(f"array {name!r} has the unknown dtype {value['dtype']!r}")
    offsets, shape = value["data_offsets"], value["shape"]
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise ValueError(f"array {name!r} has the data_offsets {offsets!r}")
    if not _are_sizes(shape) or len(shape) > _MOST_AXES:
        raise ValueError(f"array {name!r} has the shape {shape!r}")
    if math.prod(shape) * dtype.itemsize != offsets[1] - offsets[0]:
        raise ValueError(
            f"array {name!r} of shape {shape!r} and dtype {value['dtype']} does not fill the bytes "
            f"{offsets[0]} to {offsets[1]}"
        )
    return _Entry(name, dtype, tuple(shape), *offsets)


def _are_sizes(values: object) -> bool:
    """Whether something is a list of sizes that a file may have."""
    return isinstance(values, list) and all(
        type(value) is int and 0 <= value < 2**48 for value in values
    )


def _bytes_of(array: NDArray[Any]) -> memoryview:
    """Return the memory of a contiguous array."""
    content: Any = array.reshape(-1).view(np.uint8)
    return memoryview(content)


def _read_array(file: BufferedReader, entry: _Entry, digest: Any) -> NDArray[Any]:
    """Read an array, and let the digest see its bytes."""
    array = np.empty(entry.shape, entry.dtype)
    content = _bytes_of(array)
    if file.readinto(content) < len(content):
        raise ValueError("it became shorter while it was read")
    digest.update(content)
    return array.astype(entry.dtype.newbyteorder("="), copy=False)
