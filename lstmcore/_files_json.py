"""JSON from files that nobody vouches for: no duplicate, no depth, no NaN, always a ValueError."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any, NoReturn

# No file of ours nests deeper, and Python's parser calls itself once per level.
_DEEPEST = 32
# A value takes many times the memory of the bracket or comma before it.
_MOST_VALUES = 2**20

_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
# Possessive: no byte is looked at twice, whatever the text.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', flags=re.DOTALL)


def parse_json(text: bytes, name: str) -> Any:
    """Parse JSON strictly.

    Parameters
    ----------
    text : bytes
        UTF-8.
    name : str
        What messages call the text.

    Returns
    -------
    value : object
        What ``json.loads`` makes of it.

    Raises
    ------
    ValueError
        If the text is not UTF-8 or not JSON, nests deeper than 32 levels, names something twice in
        an object, or has a number that is not finite or too long.

    Examples
    --------
    >>> from lstmcore._files_json import parse_json
    >>> parse_json(b'{"a": [1, 2.5]}', "the text")
    {'a': [1, 2.5]}
    >>> parse_json(b'{"a": 1, "a": 2}', "the text")
    Traceback (most recent call last):
    ...
    ValueError: the text names 'a' twice
    """
    if sum(text.count(byte) for byte in b"[{,") > _MOST_VALUES:
        raise ValueError(f"{name} holds more than {_MOST_VALUES} values")
    if _depth(_STRING.sub(b"", text)) > _DEEPEST:
        raise ValueError(f"{name} nests deeper than {_DEEPEST} levels")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            twice = next(key for key, count in counts.items() if count > 1)
            raise ValueError(f"{name} names {twice!r} twice")
        return result

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{name} holds {constant}, which is no JSON")

    def finite(digits: str) -> float:
        value = float(digits)
        if value in (float("inf"), float("-inf")):
            raise ValueError(f"{name} holds {digits[:40]}, which is too large")
        return value

    try:
        return json.loads(
            text.decode("utf-8"),
            object_pairs_hook=unique,
            parse_constant=refuse,
            parse_float=finite,
        )
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is not UTF-8: {error}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{name} is not JSON: {error}") from error


def _depth(text: bytes) -> int:
    """Return how deep the brackets of a text without strings nest."""
    depth = deepest = 0
    for byte in text.translate(None, _NO_BRACKETS):
        depth += 1 if byte in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest
