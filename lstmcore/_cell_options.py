"""The options of cells: what they may be, and how the core takes them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcore import _parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# The values of alpha and beta where none are given, those that may be given, and the least alpha
# and beta; slopes are computed from values, which takes alphas that are not negative.
_ANY, _ABOVE_0 = -math.inf, 1e-30
_ACTIVATIONS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "sigmoid": ((), ()),
    "tanh": ((), ()),
    "relu": ((), ()),
    "hard_sigmoid": ((0.2, 0.5), (_ABOVE_0, _ANY)),
    "leaky_relu": ((0.01,), (0.0,)),
    "scaled_tanh": ((1.7159, 2 / 3), (_ABOVE_0, _ABOVE_0)),
    "affine": ((1.0, 0.0), (_ANY, _ANY)),
    "thresholded_relu": ((1.0,), (0.0,)),
    "elu": ((1.0,), (0.0,)),
    "softsign": ((), ()),
    "softplus": ((), ()),
}


def as_activation(value: Any) -> tuple[str, float, float]:
    """Return an activation with its alpha and beta, 0 where it has none.

    Parameters
    ----------
    value : str or tuple (str, float) or (str, float, float)
        The name of an activation, with its alpha and beta where they are not the usual ones.

    Returns
    -------
    activation : tuple (str, float, float)
        As the core takes it.

    Examples
    --------
    >>> from lstmcore._cell_options import as_activation
    >>> as_activation("hard_sigmoid"), as_activation(("hard_sigmoid", 0.25))
    (('hard_sigmoid', 0.2, 0.5), ('hard_sigmoid', 0.25, 0.5))
    """
    name, *given = (value,) if isinstance(value, str) else value
    usual = _ACTIVATIONS[name][0]
    alpha, beta = (*map(float, given), *usual[len(given) :], 0.0, 0.0)[:2]
    return name, alpha, beta


def activation() -> _parameters.Constraint:
    """Allow the names of activations, and tuples of one with its alpha and beta."""

    def error(value: Any) -> type[TypeError | ValueError] | None:
        name, *numbers = value if isinstance(value, tuple | list) and value else (value,)
        if not isinstance(name, str):
            return TypeError
        if any(isinstance(x, bool) or not isinstance(x, Real) for x in numbers):
            return TypeError
        least = _ACTIVATIONS.get(name, ((), ()))[1]
        fits = (
            name in _ACTIVATIONS
            and len(numbers) <= len(least)
            and all(low <= x < math.inf for low, x in zip(least, numbers, strict=False))
            and all(map(math.isfinite, numbers))
        )
        return None if fits else ValueError

    names = ", ".join(map(repr, _ACTIVATIONS))
    return _parameters.Constraint(
        f"one of {names}, or a tuple of such a name with its alpha, or its alpha and beta", error
    )


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a cell.

    Parameters
    ----------
    default : object
        Its value in the plain cell.
    constraint : Constraint
        What it may be.
    as_core : callable
        Maps a value, but None, to what the core takes.
    """

    default: Any
    constraint: _parameters.Constraint
    as_core: Callable[[Any], Any]


_BOUND = Option(None, _parameters.optional(_parameters.number(0, low_allowed=False)), float)

_RATE = Option(0.0, _parameters.number(0.0, 1.0, low_allowed=True), float)

LSTM_OPTIONS: dict[str, Option] = {
    "peephole": Option(False, _parameters.boolean(), bool),
    "coupled_gates": Option(False, _parameters.boolean(), bool),
    "layer_norm": Option(False, _parameters.boolean(), bool),
    "gate_clip": _BOUND,
    "cell_clip": _BOUND,
    "gate_activation": Option("sigmoid", activation(), as_activation),
    "cell_activation": Option("tanh", activation(), as_activation),
    "output_activation": Option("tanh", activation(), as_activation),
    "proj_size": Option(0, _parameters.integer(0), int),
    "recurrent_dropout": _RATE,
    "hidden_dropout": _RATE,
    "zoneout_hidden": _RATE,
    "zoneout_cell": _RATE,
}

GRU_OPTIONS: dict[str, Option] = {
    "reset_after": Option(True, _parameters.boolean(), bool),
    **{name: LSTM_OPTIONS[name] for name in ("gate_clip", "gate_activation", "cell_activation")},
    "recurrent_dropout": _RATE,
    "hidden_dropout": _RATE,
    "zoneout_hidden": _RATE,
}

RNN_OPTIONS: dict[str, Option] = {
    "nonlinearity": Option("tanh", activation(), as_activation),
    "gate_clip": _BOUND,
    "hidden_dropout": _RATE,
    "zoneout_hidden": _RATE,
}


def constraints_of(options: Mapping[str, Option]) -> dict[str, _parameters.Constraint]:
    """Return name → what the option may be."""
    return {name: option.constraint for name, option in options.items()}


def plain_value(value: Any) -> Any:
    """Return the value of an option without types of NumPy, and a tuple for a list."""
    if isinstance(value, tuple | list):
        return tuple(map(plain_value, value))
    return value.item() if isinstance(value, np.generic) else value


def core_options(owner: object, options: Mapping[str, Option]) -> dict[str, Any]:
    """Return the options that differ from the plain cell's, as the core takes them.

    Parameters
    ----------
    owner : object
        Has them as attributes.
    options : mapping of name to Option
        Which options there are.

    Returns
    -------
    core : dict of name to object
        Without those that the core assumes.
    """
    core: dict[str, Any] = {}
    for name, option in options.items():
        value, default = (
            None if x is None else option.as_core(x) for x in (getattr(owner, name), option.default)
        )
        if value != default:
            core[name] = value
    return core


def lstm_as_core(owner: object) -> dict[str, Any]:
    """Return the LSTM whose options an object has, as the core takes it."""
    return {"kind": "lstm", **core_options(owner, LSTM_OPTIONS)}


def gru_as_core(owner: Any) -> dict[str, Any]:
    """Return the GRU whose options an object has, as the core takes it."""
    options = {"kind": "gru", "reset_after": bool(owner.reset_after)}
    return options | core_options(owner, GRU_OPTIONS)


def rnn_as_core(owner: Any) -> dict[str, Any]:
    """Return the simple recurrent unit whose options an object has, as the core takes it."""
    options = core_options(owner, RNN_OPTIONS)
    activation = options.pop("nonlinearity", ("tanh", 0.0, 0.0))
    options = {"kind": "rnn", "relu": activation[0] == "relu", **options}
    if activation[0] not in ("tanh", "relu"):
        options["cell_activation"] = activation
    return options


def check_layer_options(owner: object, options: Mapping[str, Option]) -> None:
    """Refuse options of a layer that they can't have, and make the others plain values.

    Raises
    ------
    TypeError, ValueError
        If an option is of another type or has another value than it may.
    """
    given = {name: getattr(owner, name) for name in options}
    _parameters.check_parameters(type(owner).__name__, given, constraints_of(options))
    vars(owner).update({name: plain_value(value) for name, value in given.items()})


def unusual_options(owner: object, options: Mapping[str, Option]) -> dict[str, Any]:
    """Return the options that are not their defaults, as they were given."""
    given = {name: getattr(owner, name) for name in options}
    return {name: value for name, value in given.items() if value != options[name].default}
