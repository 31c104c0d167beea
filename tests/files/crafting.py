"""Files made by hand: any header, any record, and a checksum that is right."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

import lstmcore

ZEROS = "0" * 64
DROP = "(nothing at all)"


def file_of(header: bytes, data: bytes = b"") -> bytes:
    """A file of any header; the 64 zeros in it become the checksum."""
    prefix = len(header).to_bytes(8, "little")
    digest = hashlib.sha256(prefix + header + data).hexdigest()
    return prefix + header.replace(ZEROS.encode(), digest.encode(), 1) + data


def parts_of(content: bytes) -> tuple[dict[str, Any], bytes]:
    """The header, with zeros for the checksum, and the data of a file."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"]["sha256"] = ZEROS
    return header, content[8 + length :]


def record_of(content: bytes) -> dict[str, Any]:
    """The record of a file, as JSON."""
    record: dict[str, Any] = json.loads(parts_of(content)[0]["__metadata__"]["record"])
    return record


def with_record(content: bytes, record: Any, **metadata: str) -> bytes:
    """A file with another record, and perhaps with other metadata."""
    header, data = parts_of(content)
    header["__metadata__"] |= {"record": json.dumps(record), **metadata}
    return file_of(json.dumps(header).encode(), data)


def changed(content: bytes, place: tuple[Any, ...], value: Any) -> bytes:
    """A file in which something else stands at a place of the record."""
    record = copy.deepcopy(record_of(content))
    node = record
    for name in place[:-1]:
        node = node[name]
    if value == DROP:
        node.pop(place[-1], None)
    else:
        node[place[-1]] = value
    return with_record(content, record)


def with_all_arrays(content: bytes) -> bytes:
    """A file that refers to all its arrays: else it would be refused for that alone."""
    names = sorted(set(parts_of(content)[0]) - {"__metadata__"})
    return with_record(content, record_of(content) | {"also": [{"array": n} for n in names]})


def refused(content: bytes, folder: Path) -> str:
    """The message with which a file is refused, having cost no more memory than it may."""
    path = folder / f"refused-{os.getpid()}"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"can't be loaded: ") as caught:
            lstmcore.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40 * len(content) + 300_000, f"{peak} bytes for a file of {len(content)}"
    assert str(path) in str(caught.value)
    return str(caught.value)
