"""What the arguments of a layer may be."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np


def checked_size(value: Any, name: str) -> int:
    """Return a size as an int, of at least 1."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}.")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}.")
    return int(value)


def checked_number(value: Any, name: str) -> float:
    """Return a finite number as a float."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}.")
    if not np.isfinite(float(value)):
        raise ValueError(f"{name} must be finite, got {value}.")
    return float(value)


def checked_dtype(dtype: Any) -> str:
    """Return the name of a dtype that the core is compiled for."""
    for name in ("float32", "float64"):
        if dtype == name or dtype is getattr(np, name):
            return name
    raise ValueError(f'dtype must be "float32" or "float64", got {dtype!r}.')


def checked_bool(value: Any, name: str) -> bool:
    """Return True or False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}.")
    return bool(value)


def checked_seed(seed: Any) -> int | None:
    """Return a seed of masks as an int, or None."""
    if seed is None:
        return None
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise TypeError(f"seed must be an integer or None, got {seed!r}.")
    number = int(seed)
    if not 0 <= number < 2**64:
        raise ValueError(f"seed must be from 0 to 2**64 - 1, got {seed}.")
    return number
