"""What the parameters of an estimator may be, and the errors that name those that are not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import get_scorer_names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# What a constraint says of a value: it fits, its type is wrong, or only its value is.
_FITS = None
# No integer needs to be larger, and each of them fits every integer type of the core.
_LARGEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Constraint:
    """What one parameter may be.

    Parameters
    ----------
    expected : str
        The end of the sentence "The parameter must be ...".
    error : callable
        Maps a value to None, to TypeError or to ValueError.
    """

    expected: str
    error: Callable[[Any], type[TypeError | ValueError] | None]


def check_parameters(
    owner: str, parameters: Mapping[str, object], constraints: Mapping[str, Constraint]
) -> None:
    """Check every parameter of an estimator against its constraint.

    Parameters
    ----------
    owner : str
        Name of the estimator, for the message.
    parameters : mapping of str to object
        What ``get_params`` returns.
    constraints : mapping of str to Constraint
        A constraint for each of the parameters.

    Raises
    ------
    TypeError
        If a parameter has a type that no value of it could have.
    ValueError
        If a parameter has the right type and a value that is not allowed.

    Examples
    --------
    >>> from lstmcore._parameters import check_parameters, integer
    >>> check_parameters("LSTMClassifier", {"batch_size": 32}, {"batch_size": integer(1)})
    >>> check_parameters("LSTMClassifier", {"batch_size": 0}, {"batch_size": integer(1)})
    Traceback (most recent call last):
    ...
    ValueError: The 'batch_size' parameter of LSTMClassifier must be an int from 1 to 2147483647.
    Got 0 instead.
    """
    for name, value in parameters.items():
        error = constraints[name].error(value)
        if error is not _FITS:
            raise error(
                f"The {name!r} parameter of {owner} must be {constraints[name].expected}. "
                f"Got {value!r} instead."
            )


def _is_integer(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, (bool, np.bool_))


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, (bool, np.bool_))


def integer(minimum: int) -> Constraint:
    """Allow the integers from ``minimum`` to 2**31 - 1, bool excluded."""

    def error(value: Any) -> type[TypeError | ValueError] | None:
        if not _is_integer(value):
            return TypeError
        return _FITS if minimum <= value <= _LARGEST else ValueError

    return Constraint(f"an int from {minimum} to {_LARGEST}", error)


def number(low: float, high: float = math.inf, *, low_allowed: bool) -> Constraint:
    """Allow the numbers from ``low``, perhaps included, to below ``high``; bool excluded."""

    def error(value: Any) -> type[TypeError | ValueError] | None:
        if not _is_number(value):
            return TypeError
        above = value >= low if low_allowed else value > low
        return _FITS if above and value < high else ValueError

    bracket = "[" if low_allowed else "("
    return Constraint(f"a number in the range {bracket}{low:g}, {high:g})", error)


def choice(*names: str) -> Constraint:
    """Allow one of some strings."""

    def error(value: Any) -> type[TypeError | ValueError] | None:
        if not isinstance(value, str):
            return TypeError
        return _FITS if value in names else ValueError

    return Constraint("one of " + ", ".join(map(repr, names)), error)


def splitter(*names: str) -> Constraint:
    """Allow one of some strings, or an object that splits as scikit-learn's do."""

    def error(value: Any) -> type[TypeError | ValueError] | None:
        if isinstance(value, str):
            return _FITS if value in names else ValueError
        return _FITS if callable(getattr(value, "split", None)) else TypeError

    listed = ", ".join(map(repr, names))
    return Constraint(f"one of {listed}, or a splitter with a method split(X, y, groups)", error)


def scoring(*names: str) -> Constraint:
    """Allow some strings, the names of scikit-learn's scorers, callables and None."""

    def error(value: Any) -> type[TypeError | ValueError] | None:
        if value is None or callable(value):
            return _FITS
        if not isinstance(value, str):
            return TypeError
        return _FITS if value in names or value in get_scorer_names() else ValueError

    listed = ", ".join(map(repr, names))
    return Constraint(f"{listed}, the name of a scorer, a callable or None", error)


def boolean() -> Constraint:
    """Allow True and False."""
    return Constraint(
        "a bool", lambda value: _FITS if isinstance(value, (bool, np.bool_)) else TypeError
    )


def optional(constraint: Constraint) -> Constraint:
    """Allow None beside what ``constraint`` allows."""
    return Constraint(
        f"{constraint.expected} or None",
        lambda value: _FITS if value is None else constraint.error(value),
    )


def layer_sizes() -> Constraint:
    """Allow an integer from 1 to 2**31 - 1, or a tuple or list of them with at least one entry."""

    def error(value: Any) -> type[TypeError | ValueError] | None:
        sizes = value if isinstance(value, (tuple, list)) else (value,)
        if not all(map(_is_integer, sizes)):
            return TypeError
        return _FITS if sizes and min(sizes) >= 1 and max(sizes) <= _LARGEST else ValueError

    return Constraint(
        f"an int from 1 to {_LARGEST}, or a non-empty tuple of such ints, one per stacked layer",
        error,
    )


def embedding_sizes() -> Constraint:
    """Allow None, a size, (n_tokens, size), or a dict of column → one of the two."""

    def sizes_error(value: Any) -> type[TypeError | ValueError] | None:
        sizes = value if isinstance(value, tuple) else (value,)
        if not all(map(_is_integer, sizes)):
            return TypeError
        return _FITS if len(sizes) in (1, 2) and min(sizes) >= 1 else ValueError

    def error(value: Any) -> type[TypeError | ValueError] | None:
        if value is None or not isinstance(value, dict):
            return _FITS if value is None else sizes_error(value)
        for column, sizes in value.items():
            if not (isinstance(column, str) or _is_integer(column)):
                return TypeError
            found = sizes_error(sizes)
            if found is None and not isinstance(column, str) and column < 0:
                found = ValueError
            if found is not None:
                return found
        return _FITS if value else ValueError

    return Constraint(
        "an int of at least 1, a tuple (n_tokens, size) of such ints, a non-empty dict of the "
        "number or name of a feature to one of the two, or None",
        error,
    )


def verbosity() -> Constraint:
    """Allow a bool or an integer from 0 on."""

    def error(value: Any) -> type[TypeError | ValueError] | None:
        if not (_is_integer(value) or isinstance(value, (bool, np.bool_))):
            return TypeError
        return _FITS if value >= 0 else ValueError

    return Constraint("a bool or an int of at least 0", error)


def class_weights() -> Constraint:
    """Allow None, "balanced", a dict of label → weight, or a list of such dicts."""

    def error(value: Any) -> type[TypeError | ValueError] | None:
        if value is None or isinstance(value, str):
            return _FITS if value in (None, "balanced") else ValueError
        tables = value if isinstance(value, (list, tuple)) else [value]
        if not all(isinstance(table, dict) for table in tables):
            return TypeError
        weights = [weight for table in tables for weight in table.values()]
        if not all(map(_is_number, weights)):
            return TypeError
        return _FITS if all(0 <= weight < math.inf for weight in weights) else ValueError

    return Constraint(
        '"balanced", a dict of label to a weight of at least 0, a list of such dicts, or None',
        error,
    )


def instance_of(cls: type, expected: str) -> Constraint:
    """Allow the objects of a class, which ``expected`` describes."""
    return Constraint(expected, lambda value: _FITS if isinstance(value, cls) else TypeError)


def job_count() -> Constraint:
    """Allow None and the integers from -(2**31 - 1) to 2**31 - 1 but 0."""

    def error(value: Any) -> type[TypeError | ValueError] | None:
        if value is None:
            return _FITS
        if not _is_integer(value):
            return TypeError
        return _FITS if 1 <= abs(value) <= _LARGEST else ValueError

    return Constraint(
        f"None, an int from 1 to {_LARGEST}, or a negative int that counts back from all", error
    )


def random_source() -> Constraint:
    """Allow what random numbers may come from: None, a seed, or a generator."""
    generators = (np.random.RandomState, np.random.Generator)

    def error(value: Any) -> type[TypeError | ValueError] | None:
        if value is None or isinstance(value, generators):
            return _FITS
        if not _is_integer(value):
            return TypeError
        return _FITS if 0 <= value < 2**32 else ValueError

    return Constraint("None, an int from 0 to 2**32 - 1, a RandomState or a Generator", error)
