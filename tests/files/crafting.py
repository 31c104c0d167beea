"""Files made by hand: any header, any record, and a checksum that is right."""

from __future__ import annotations

import hashlib
import json
from typing import Any

ZEROS = "0" * 64


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
