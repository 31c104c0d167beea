"""Estimators as records, and back: everything in a record is checked before it is believed."""

from __future__ import annotations

import dataclasses
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from lstmcore._network import NetworkCache, NetworkSpec, layout_of
from lstmcore._parameters import check_parameters
from lstmcore._training import TrainingState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lstmcore._estimator import BaseLSTM

    Estimator = TypeVar("Estimator", bound=BaseLSTM)

# Fitted attributes that are rebuilt, those that are dataclasses, and the rest of the private ones;
# the public ones need no list.
_REBUILT = {"_cache", "layout_"}
# Routing has a place of its own, and callbacks are code.
_NOT_SAVED = {"_metadata_request", "_skl_callbacks"}
_DATACLASSES: dict[str, type[Any]] = {"_spec": NetworkSpec, "_training_state": TrainingState}
_PRIVATE = {"_multilabel": bool, "_flat_targets": bool}
_NEEDED = {"_spec", "coefs_", "n_features_in_", "n_outputs_", "missing_features_"}
_PUBLIC = re.compile("[a-z][a-z0-9_]*_")


def _is_numbers(value: object) -> bool:
    return isinstance(value, dict) and all(type(v) in (bool, int, float) for v in value.values())


# What the fields of the dataclasses may be, by how their types are written there.
_FIELD_TYPES: dict[str, Any] = {
    "None": lambda value: value is None,
    "bool": lambda value: type(value) is bool,
    "int": lambda value: type(value) is int and value >= 0,
    "float": lambda value: type(value) in (int, float),
    "str": lambda value: type(value) is str,
    "FloatArray": lambda value: isinstance(value, np.ndarray) and value.dtype.kind == "f",
    "tuple[int, ...]": lambda value: type(value) is tuple and all(type(v) is int for v in value),
    "tuple[dict[str, float], ...]": lambda value: (
        type(value) is tuple and all(map(_is_numbers, value))
    ),
}


def estimator_record(estimator: BaseLSTM) -> dict[str, Any]:
    """Return the parameters and the fitted state of an estimator.

    Parameters
    ----------
    estimator : BaseLSTM
        Fitted or not.

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
    parameters = estimator.get_params(deep=False)
    check_parameters(owner, parameters, estimator._constraints)
    if isinstance(parameters["random_state"], np.random.RandomState | np.random.Generator):
        raise ValueError(
            "random_state must be None or an int in an estimator that is saved, got "
            f"{parameters['random_state']!r}. Call set_params(random_state=None) before: fitting "
            "is what it was for."
        )
    attributes = {
        name: _fields_of(value) if name in _DATACLASSES else value
        for name, value in vars(estimator).items()
        if name not in parameters and name not in _REBUILT | _NOT_SAVED
    }
    for name in attributes:
        if not (name in _DATACLASSES or name in _PRIVATE or _PUBLIC.fullmatch(name)):
            raise ValueError(f"A file has no place for the attribute {name!r} of {owner}.")
    return {
        "parameters": parameters,
        "fitted": attributes if "coefs_" in attributes else None,
        "requests": _routing_requests(estimator),
    }


def restore_estimator(cls: type[Estimator], record: Mapping[str, Any]) -> Estimator:
    """Return an estimator that is equal to the one of which a record was made.

    Parameters
    ----------
    cls : type
        Its class.
    record : mapping
        What `estimator_record` returned, or pretends to be.

    Returns
    -------
    estimator : BaseLSTM
        What belongs to the class alone, such as ``classes_``, is yet to be checked.

    Raises
    ------
    ValueError
        If the record is not one of this class, or contradicts itself.
    """
    parameters, fitted = record.get("parameters"), record.get("fitted")
    if not isinstance(parameters, dict) or not parameters.keys() <= set(cls._get_param_names()):
        raise ValueError(f"its parameters are not those of {cls.__name__}")
    estimator = cls(**parameters)
    try:
        check_parameters(cls.__name__, estimator.get_params(deep=False), cls._constraints)
    except TypeError as error:
        raise ValueError(str(error)) from error
    _restore_requests(estimator, record.get("requests"))
    if fitted is not None:
        if not isinstance(fitted, dict):
            raise ValueError("its fitted state is no dict")
        _restore_fitted(estimator, fitted)
    return estimator


def _restore_fitted(estimator: BaseLSTM, fitted: dict[str, Any]) -> None:
    """Give the estimator its fitted state."""
    for name, value in fitted.items():
        if name in _DATACLASSES:
            fitted[name] = _restore_dataclass(_DATACLASSES[name], value)
        elif name in _PRIVATE:
            require(type(value) is _PRIVATE[name], f"its {name} is a {type(value).__name__}")
        else:
            known = _PUBLIC.fullmatch(name) and not hasattr(type(estimator), name)
            require(bool(known) and name not in _REBUILT, f"it has the attribute {name!r}")
    require(fitted.keys() >= _NEEDED, f"it lacks {sorted(_NEEDED - fitted.keys())}")
    spec, coefs = fitted["_spec"], fitted["coefs_"]
    require(isinstance(coefs, np.ndarray) and coefs.ndim == 1, "its coefs_ are no vector")
    require(coefs.dtype == spec.dtype, f"its coefs_ are of dtype {coefs.dtype}, not {spec.dtype}")
    # The core allocates for the sizes that it is told.
    require_fitting_sizes(spec.input_size, spec.hidden_sizes, spec.n_outputs, coefs.size)
    network = spec.build_network()
    require(
        network.n_parameters == coefs.size,
        f"its network has {network.n_parameters} parameters, but coefs_ has {coefs.size}",
    )
    missing = fitted["missing_features_"]
    require(
        isinstance(missing, np.ndarray) and missing.dtype == np.intp and missing.ndim == 1,
        "its missing_features_ are no vector of indices",
    )
    require(
        type(fitted["n_features_in_"]) is int
        and type(fitted["n_outputs_"]) is int
        and fitted["n_features_in_"] + len(missing) == spec.input_size
        and fitted["n_outputs_"] == spec.n_outputs,
        "its network has other numbers of features or outputs than the estimator",
    )
    inside = np.isin(missing, np.arange(fitted["n_features_in_"])).all()
    require(bool(inside), f"its missing_features_ are {missing}")
    names = fitted.get("feature_names_in_", np.empty(0, object))
    require(isinstance(names, np.ndarray) and names.dtype == object, "its feature names are none")
    if "_training_state" in fitted:
        state = fitted["_training_state"]
        require(
            state.parameters.shape == coefs.shape
            and state.moments.ndim == 2
            and state.moments.shape[1] == coefs.size
            and state.parameters.dtype == state.moments.dtype == coefs.dtype,
            "the state of its training is of another network",
        )
        best = state.best_parameters
        require(
            best is None or (best.shape == coefs.shape and best.dtype == coefs.dtype),
            "the best parameters of its training are of another network",
        )
        state.parameters.flags.writeable = False
    coefs.flags.writeable = False
    estimator.__dict__.update(fitted, layout_=layout_of(network), _cache=NetworkCache())


def require(condition: bool, message: str) -> None:
    """Raise a ValueError unless a condition holds."""
    if not condition:
        raise ValueError(message)


def require_fitting_sizes(
    input_size: int, hidden_sizes: tuple[int, ...], n_outputs: int, n_parameters: int
) -> None:
    """Refuse sizes that need more parameters than there are, before anything is made of them."""
    sizes = (input_size, *hidden_sizes, n_outputs)
    require(len(sizes) > 2 and min(sizes) >= 1, f"its layers have the sizes {sizes}")
    least = sum(below * above for below, above in pairwise(sizes))
    least += sum(size * size for size in hidden_sizes)
    require(least <= n_parameters, f"its layers need more than {n_parameters} parameters")


def _fields_of(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass, its arrays themselves and no copies."""
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def _restore_dataclass(cls: type[Any], value: object) -> Any:
    """Return a dataclass of the dict of its fields."""
    fields = {field.name: field for field in dataclasses.fields(cls)}
    if not isinstance(value, dict) or not value.keys() <= fields.keys():
        raise ValueError(f"it has no {cls.__name__} with the fields {list(fields)}")
    for name, item in value.items():
        types = str(fields[name].type).split(" | ")
        require(
            any(_FIELD_TYPES[each](item) for each in types),
            f"{name} of its {cls.__name__} is not as it has to be",
        )
    try:
        return cls(**value)
    except TypeError as error:
        raise ValueError(f"its {cls.__name__} is incomplete: {error}") from error


def _routing_requests(estimator: BaseLSTM) -> dict[str, dict[str, bool | str | None]]:
    """Return what the estimator requests by scikit-learn's metadata routing, if it was told to."""
    if "_metadata_request" not in vars(estimator):
        return {}
    routing = estimator.get_metadata_routing()
    return {name: dict(request.requests) for name, request in vars(routing).items()
            if hasattr(request, "requests") and request.requests}  # fmt: skip


def _restore_requests(estimator: BaseLSTM, requests: object) -> None:
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
