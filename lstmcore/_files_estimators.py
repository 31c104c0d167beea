"""Estimators as records, and back: everything in a record is checked before it is believed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from lstmcore._cells import cell_of_record, cell_record
from lstmcore._parameters import check_parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Estimator = TypeVar("Estimator")

# Routing has a place of its own, and callbacks are code.
_NOT_SAVED = {
    "_metadata_request",
    "_skl_callbacks",
    "_callback_fit_ctx",
    "_parent_callback_ctx",
    "_skl_callbacks_to_teardown",
}
_PUBLIC = re.compile("[a-z][a-z0-9_]*_")


@dataclass(frozen=True, slots=True)
class FittedState:
    """Which attributes a fit adds, beside public ones of plain values and arrays.

    Parameters
    ----------
    private : dict of name to callable
        Attributes whose names are private, each with what tells whether a value can be right.
    dataclasses : dict of name to type
        Attributes that are dataclasses of plain values and arrays.
    rebuilt : frozenset of str
        Attributes that are not saved, since others say all of it.
    """

    private: dict[str, Callable[[Any], bool]] = field(default_factory=dict)
    dataclasses: dict[str, type[Any]] = field(default_factory=dict)
    rebuilt: frozenset[str] = frozenset()


def _is_numbers(value: object) -> bool:
    return isinstance(value, dict) and all(type(v) in (bool, int, float) for v in value.values())


# What the fields of the dataclasses may be, by how their types are written there.
_FIELD_TYPES: dict[str, Any] = {
    "None": lambda value: value is None,
    "bool": lambda value: type(value) is bool,
    "int": lambda value: type(value) is int and value >= 0,
    "float": lambda value: type(value) in (int, float),
    "str": lambda value: type(value) is str,
    "CellOptions": lambda value: (
        isinstance(value, dict)
        and all(type(v) in (bool, int, float, str, tuple) for v in value.values())
    ),
    "Embeddings": lambda value: (
        type(value) is tuple
        and all(type(each) is tuple and len(each) == 3 for each in value)
        and all(type(n) is int and n >= 0 for each in value for n in each)
    ),
    "FloatArray": lambda value: isinstance(value, np.ndarray) and value.dtype.kind == "f",
    "tuple[int, ...]": lambda value: type(value) is tuple and all(type(v) is int for v in value),
    "tuple[dict[str, float], ...]": lambda value: (
        type(value) is tuple and all(map(_is_numbers, value))
    ),
}


def estimator_record(estimator: Any, state: FittedState) -> dict[str, Any]:
    """Return the parameters and the fitted state of an estimator.

    Parameters
    ----------
    estimator : BaseEstimator
        Fitted or not; its class has ``_constraints``. What it holds in ``estimator`` and
        ``estimators_`` becomes records with names.
    state : FittedState
        What its fit adds.

    Returns
    -------
    record : dict
        ``"parameters"``, ``"fitted"`` (None if it is not) and ``"requests"`` (its routing).

    Raises
    ------
    ValueError
        If a parameter is not valid, or `random_state` is a generator, or the estimator has an
        attribute that was not made by its fit.
    TypeError
        If a parameter has the wrong type.
    """
    owner = type(estimator).__name__
    parameters: dict[str, Any] = estimator.get_params(deep=False)
    check_parameters(owner, parameters, estimator._constraints)
    if isinstance(parameters.get("random_state"), np.random.RandomState | np.random.Generator):
        raise ValueError(
            "random_state must be None or an int in an estimator that is saved, got "
            f"{parameters['random_state']!r}. Call set_params(random_state=None) before: fitting "
            "is what it was for."
        )
    attributes = {
        name: _fields_of(value) if name in state.dataclasses else value
        for name, value in vars(estimator).items()
        if name not in parameters and name not in state.rebuilt | _NOT_SAVED
    }
    for name in attributes:
        if not (name in state.dataclasses or name in state.private or _PUBLIC.fullmatch(name)):
            raise ValueError(f"A file has no place for the attribute {name!r} of {owner}.")
    if "cell" in parameters:
        parameters["cell"] = cell_record(parameters["cell"])
    base: Any = parameters.get("estimator")
    if base is not None:
        parameters["estimator"] = base._named_record()
    models: Any = attributes.get("estimators_", ())
    if models:
        attributes["estimators_"] = [model._named_record() for model in models]
    return {
        "parameters": parameters,
        "fitted": attributes or None,
        "requests": _routing_requests(estimator),
    }


def restore_estimator(
    cls: type[Estimator],
    record: Mapping[str, Any],
    state: FittedState,
    check: Callable[[dict[str, Any]], dict[str, Any]],
) -> Estimator:
    """Return an estimator that is equal to the one of which a record was made.

    Parameters
    ----------
    cls : type
        Its class.
    record : mapping
        What `estimator_record` returned, or pretends to be.
    state : FittedState
        What its fit adds.
    check : callable
        Gets the fitted attributes, raises a ValueError if they contradict each other, and returns
        those that are rebuilt.

    Returns
    -------
    estimator : BaseEstimator
        Fitted if the one before was.

    Raises
    ------
    ValueError
        If the record is not one of this class, or contradicts itself.
    """
    known: Any = cls
    parameters, fitted = record.get("parameters"), record.get("fitted")
    if not isinstance(parameters, dict) or not parameters.keys() <= set(known._get_param_names()):
        raise ValueError(f"its parameters are not those of {cls.__name__}")
    if "cell" in parameters:
        parameters = parameters | {"cell": cell_of_record(parameters["cell"])}
    estimator = known(**parameters)
    try:
        check_parameters(cls.__name__, estimator.get_params(deep=False), known._constraints)
    except TypeError as error:
        raise ValueError(str(error)) from error
    _restore_requests(estimator, record.get("requests"))
    if fitted is not None:
        if not isinstance(fitted, dict):
            raise ValueError("its fitted state is no dict")
        attributes = _checked_attributes(cls, fitted, state)
        estimator.__dict__.update(attributes | check(attributes))
    return estimator  # type: ignore[no-any-return]


def _checked_attributes(
    cls: type[Any], fitted: dict[str, Any], state: FittedState
) -> dict[str, Any]:
    """Return fitted attributes that a fit may have added, its dataclasses restored."""
    attributes = dict(fitted)
    for name, value in fitted.items():
        if name in state.dataclasses:
            attributes[name] = _restore_dataclass(state.dataclasses[name], value)
        elif name in state.private:
            require(state.private[name](value), f"its {name} is not as it has to be")
        else:
            known = bool(_PUBLIC.fullmatch(name)) and not hasattr(cls, name)
            require(known and name not in state.rebuilt, f"it has the attribute {name!r}")
    names = fitted.get("feature_names_in_", np.empty(0, object))
    require(isinstance(names, np.ndarray) and names.dtype == object, "its feature names are none")
    return attributes


def require(condition: bool, message: str) -> None:
    """Raise a ValueError unless a condition holds."""
    if not condition:
        raise ValueError(message)


def _fields_of(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass, its arrays themselves and no copies."""
    return {each.name: getattr(value, each.name) for each in fields(value)}


def _restore_dataclass(cls: type[Any], value: object) -> Any:
    """Return a dataclass of the dict of its fields."""
    types = {each.name: str(each.type).split(" | ") for each in fields(cls)}
    if not isinstance(value, dict) or not value.keys() <= types.keys():
        raise ValueError(f"it has no {cls.__name__} with the fields {list(types)}")
    for name, item in value.items():
        require(
            any(_FIELD_TYPES[each](item) for each in types[name]),
            f"{name} of its {cls.__name__} is not as it has to be",
        )
    try:
        return cls(**value)
    except TypeError as error:
        raise ValueError(f"its {cls.__name__} is incomplete: {error}") from error


def _routing_requests(estimator: Any) -> dict[str, dict[str, bool | str | None]]:
    """Return what the estimator requests by scikit-learn's metadata routing, if it was told to."""
    if "_metadata_request" not in vars(estimator):
        return {}
    routing = estimator.get_metadata_routing()
    return {name: dict(request.requests) for name, request in vars(routing).items()
            if hasattr(request, "requests") and request.requests}  # fmt: skip


def _restore_requests(estimator: Any, requests: object) -> None:
    """Have the estimator request what it did."""
    if requests == {}:
        return
    routing = estimator.get_metadata_routing()
    known = {n: r for n, r in vars(routing).items() if hasattr(r, "requests") and r.requests}
    if not isinstance(requests, dict) or not requests.keys() <= known.keys():
        raise ValueError("its metadata requests are none of this class")
    for method, aliases in requests.items():
        if not isinstance(aliases, dict) or not aliases.keys() <= known[method].requests.keys():
            raise ValueError(f"its metadata requests for {method} are none of this class")
        for name, alias in aliases.items():
            require(alias is None or type(alias) in (bool, str), f"it requests {name} as {alias!r}")
            known[method].add_request(param=name, alias=alias)
    estimator._metadata_request = routing
