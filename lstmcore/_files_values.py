"""Python values as JSON and arrays, and back: a closed set, so that a file can name no code.

None, bools, ints, finite floats, strings and lists are themselves in JSON. Everything else is an
object with one name that says what it is:

| JSON                    | value                                                      |
|-------------------------|------------------------------------------------------------|
| ``{"float": "nan"}``    | a float that JSON has no number for: nan, inf, -inf        |
| ``{"tuple": [...]}``    | a tuple                                                    |
| ``{"dict": {...}}``     | a dict with strings as keys                                |
| ``{"map": [[k, v], ...]}`` | a dict with other plain values as keys                    |
| ``{"array": name}``     | an array of the file                                       |
| ``{"text": name}``      | an array of strings, of which the file holds the code points |
| ``{"objects": [...]}``  | an array of dtype object that holds strings                |
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcore._files_container import can_hold

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_NO_NUMBERS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class Encoder:
    """Turns values into what JSON can hold, and collects their arrays.

    Attributes
    ----------
    arrays : dict of name to ndarray
        The arrays met so far, named after their places.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore._files_values import Encoder
    >>> encoder = Encoder()
    >>> encoder.encode((1, np.ones(2)), "pair")
    {'tuple': [1, {'array': 'pair.1'}]}
    >>> encoder.arrays
    {'pair.1': array([1., 1.])}
    """

    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[Any]] = {}
        self._names: dict[int, str] = {}

    def encode(self, value: Any, place: str) -> Any:
        """Return a value as JSON.

        Parameters
        ----------
        value : object
            What is to be saved.
        place : str
            Where it stands, for the names of arrays and for messages.

        Returns
        -------
        json : object
            What `decode` turns into the value again.

        Raises
        ------
        ValueError
            If there is no place for a value of this type in a file.
        """
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"float": str(value)}
        if type(value) is list:
            return self._encode_items(value, place)
        if type(value) is tuple:
            return {"tuple": self._encode_items(value, place)}
        if isinstance(value, dict) and all(type(key) is str for key in value):
            return {"dict": {k: self.encode(v, f"{place}.{k}") for k, v in value.items()}}
        if isinstance(value, dict):
            pairs = [self._encode_items(pair, place) for pair in value.items()]
            if not any(isinstance(key, list | dict) for key, _ in pairs):
                return {"map": pairs}
        if type(value) is np.ndarray:
            return self._encode_array(value, place)
        raise ValueError(f"A file can't hold {place}, which is a {type(value).__name__}.")

    def _encode_items(self, values: list[Any] | tuple[Any, ...], place: str) -> list[Any]:
        return [self.encode(value, f"{place}.{i}") for i, value in enumerate(values)]

    def _encode_array(self, array: NDArray[Any], place: str) -> dict[str, Any]:
        if array.dtype.kind == "O" and array.ndim == 1 and all(type(v) is str for v in array):
            return {"objects": array.tolist()}
        if array.dtype.kind == "U" and array.ndim == 1 and array.itemsize:
            points = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).view(np.uint32)
            return {"text": self._add(points.reshape(len(array), -1), place)}
        if not can_hold(array.dtype):
            raise ValueError(f"A file can't hold {place}, an array of dtype {array.dtype}.")
        return {"array": self._add(array, place)}

    def _add(self, array: NDArray[Any], place: str) -> str:
        """Return the name of an array in the file; one that stands in two places is there once."""
        if id(array) not in self._names:
            self._names[id(array)] = place
            self.arrays[place] = array  # kept, so that no other array gets its id
        return self._names[id(array)]


def decode(value: Any, arrays: Mapping[str, NDArray[Any]], used: set[str]) -> Any:
    """Return the value that an `Encoder` made JSON of.

    Parameters
    ----------
    value : object
        JSON.
    arrays : mapping of name to ndarray
        The arrays of the file.
    used : set of str
        Gets the names of the arrays that the value holds.

    Returns
    -------
    value : object
        The value. An array that stands in two places is one array.

    Raises
    ------
    ValueError
        If the JSON is not what an `Encoder` makes.

    Examples
    --------
    >>> from lstmcore._files_values import decode
    >>> decode({"tuple": [1, {"float": "inf"}]}, {}, set())
    (1, inf)
    """
    if isinstance(value, list):
        return [decode(item, arrays, used) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) != 1:
        raise ValueError(f"a value has the {len(value)} tags {list(value)[:8]} and not one")
    ((tag, content),) = value.items()
    if tag == "float" and isinstance(content, str) and content in _NO_NUMBERS:
        return _NO_NUMBERS[content]
    if tag == "tuple" and isinstance(content, list):
        return tuple(decode(item, arrays, used) for item in content)
    if tag == "dict" and isinstance(content, dict):
        return {name: decode(item, arrays, used) for name, item in content.items()}
    if tag == "map" and isinstance(content, list):
        return _map(content, arrays, used)
    if tag == "objects" and isinstance(content, list) and all(type(v) is str for v in content):
        return np.array(content, dtype=object)
    if tag in ("array", "text") and isinstance(content, str) and content in arrays:
        used.add(content)
        return arrays[content] if tag == "array" else _text(arrays[content], content)
    raise ValueError(f"a value is tagged {tag!r}, with a content that does not suit")


def _map(pairs: list[Any], arrays: Mapping[str, NDArray[Any]], used: set[str]) -> dict[Any, Any]:
    """Return a dict of its pairs."""
    result = {}
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or isinstance(pair[0], list | dict):
            raise ValueError("a map holds something else than pairs of a plain key and a value")
        result[pair[0]] = decode(pair[1], arrays, used)
    if len(result) < len(pairs):
        raise ValueError("a map has a key twice")
    return result


def _text(points: NDArray[Any], name: str) -> NDArray[Any]:
    """Return strings of their code points, of shape (n, width)."""
    if points.dtype != np.uint32 or points.ndim != 2 or points.shape[1] == 0:
        raise ValueError(f"array {name!r} is meant as text, but is no matrix of code points")
    if (points > 0x10FFFF).any():
        raise ValueError(f"array {name!r} holds numbers that are no code points")
    return points.view(f"U{points.shape[1]}")[:, 0]
