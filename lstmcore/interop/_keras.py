"""Keras 3: layers to layers, and weights back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcore._cell_options import as_activation
from lstmcore.interop._weights import (
    ORDERS,
    as_floats,
    checked_layer,
    direction_arrays,
    directions_of,
    joined_biases,
    make_layer,
    refuse_options,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lstmcore.layers._recurrent import RecurrentLayer

_CELLS = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "rnn"}
# What the configuration of a Keras layer has to say, since a layer here does just that. Whatever
# else it says either shows in the weights or makes no difference to one call of the layer.
_EXPECTED = {"activation": "tanh", "recurrent_activation": "sigmoid", "time_major": False}
# Activations of Keras as ours, with its own alpha and beta.
_ACTIVATIONS: dict[str, Any] = {
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "relu": "relu",
    "hard_sigmoid": ("hard_sigmoid", 1 / 6, 0.5),
    "linear": ("affine", 1.0, 0.0),
    "elu": ("elu", 1.0),
    "leaky_relu": ("leaky_relu", 0.2),
    "softplus": "softplus",
    "softsign": "softsign",
}
# Where our layers have theirs.
_PARAMETERS: dict[str, dict[str, tuple[str, ...]]] = {
    "lstm": {
        "activation": ("cell_activation", "output_activation"),
        "recurrent_activation": ("gate_activation",),
    },
    "gru": {"activation": ("cell_activation",), "recurrent_activation": ("gate_activation",)},
    "rnn": {"activation": ("nonlinearity",)},
}


def from_keras(layers: Any, *, n_jobs: int | None = None) -> RecurrentLayer[Any]:
    """Make a layer of a Keras LSTM, GRU or SimpleRNN, or of several that feed each other.

    Parameters
    ----------
    layers : keras.layers.LSTM, GRU, SimpleRNN, Bidirectional of one of these, or list of them
        Built, so that they have weights. Of a list, each takes what the one before puts out, and
        all have as many units. Their ``recurrent_dropout``, of h where the recurrent weights
        multiply it, is ``hidden_dropout`` here. ``dropout``, ``return_sequences``, ``stateful`` and
        the like are left out: a layer here always returns all outputs and the state.
    n_jobs : int or None, default=None
        Threads of the layer.

    Returns
    -------
    layer : lstmcore.layers.LSTM, GRU or RNN
        With float64 parameters if those of Keras are, else float32.

    Raises
    ------
    NotImplementedError
        If a layer is of another class, or has an activation or a ``merge_mode`` that a layer here
        has not, or ``go_backwards``.
    ValueError
        If a layer is not built, or the layers do not feed each other.
    TypeError
        If one is no layer of Keras.

    Examples
    --------
    >>> from lstmcore.interop import from_keras
    >>> model = keras.Sequential([keras.Input((None, 3)), keras.layers.LSTM(8)])  # doctest: +SKIP
    >>> from_keras(model.layers[0])  # doctest: +SKIP
    LSTM(3, 8, num_layers=1, dtype='float32', n_jobs=None)
    """
    stack = list(layers) if isinstance(layers, list | tuple) else [layers]
    if not stack:
        raise ValueError("layers must hold at least one layer, got none.")
    found: tuple[str, dict[str, Any]] | None = None
    parameters: dict[str, NDArray[Any]] = {}
    for level, layer in enumerate(stack):
        name = "layers" if layer is layers else f"layers[{level}]"
        directions = _directions_of(layer, name)
        for end, direction in zip(("", "_reverse"), directions, strict=False):
            cell, options = _cell_of(direction, name, backward=bool(end))
            if len(directions) == 2:
                options["bidirectional"] = True
            if found not in (None, (cell, options)):
                raise ValueError(f"{name} is another kind of layer than layers[0].")
            found = cell, options
            order = ORDERS[cell]
            kernel, recurrent, *biases = _weights_of(direction, name)
            ours = [order.to_ours(bias, "keras") for bias in biases]
            arrays = {
                "weight_ih": order.to_ours(kernel, "keras"),
                "weight_hh": order.to_ours(recurrent, "keras"),
                **joined_biases(*ours, resets_after=options.get("reset_after", False)),
            }
            parameters |= {f"{kind}_l{level}{end}": array for kind, array in arrays.items()}
    return make_layer(cell, parameters, len(stack), n_jobs=n_jobs, **options)


def to_keras_weights(layer: RecurrentLayer[Any]) -> list[list[NDArray[Any]]]:
    """Return the parameters of a layer as Keras orders and shapes them.

    Parameters
    ----------
    layer : lstmcore.layers.LSTM, GRU or RNN
        The layer.

    Returns
    -------
    weights : list of list of ndarray
        For each of its L layers, what ``set_weights`` of a ``keras.layers.LSTM``, ``GRU`` (of the
        same ``reset_after``) or ``SimpleRNN`` of as many units and with the same activations takes.
        Of an LSTM it is the kernel (I, 4H), the recurrent kernel (H, 4H) and the bias (4H); of one
        in both directions these three twice, as ``keras.layers.Bidirectional`` takes them.

    Raises
    ------
    NotImplementedError
        If the layer has an option that Keras has not.
    TypeError
        If ``layer`` is no layer.

    Examples
    --------
    >>> from lstmcore.interop import to_keras_weights
    >>> from lstmcore.layers import LSTM
    >>> [[array.shape for array in weights] for weights in to_keras_weights(LSTM(3, 8, 2))]
    [[(3, 32), (8, 32), (32,)], [(8, 32), (8, 32), (32,)]]
    """
    cell = checked_layer(layer, "Keras")._options()
    _check_keras_has(cell)
    order = ORDERS[cell["kind"]]
    weights = []
    for names in directions_of(layer):
        of_layer = []
        for name in names:
            arrays = {
                part: order.to_theirs(array, "keras")
                for part, array in direction_arrays(layer.parameters, name).items()
            }
            bias = arrays["bias_ih"]
            if cell.get("reset_after"):
                bias = np.stack([bias, arrays["bias_hh"]])
            kernels = (np.ascontiguousarray(arrays[part].T) for part in ("weight_ih", "weight_hh"))
            of_layer += [*kernels, bias]
        weights.append(of_layer)
    return weights


def _check_keras_has(cell: Mapping[str, Any]) -> None:
    """Refuse a cell that Keras has not."""
    activations = "gate_activation", "cell_activation", "output_activation"
    refuse_options(cell, "Keras", known=activations)
    ours = {name: cell.get(name, as_activation("tanh")) for name in activations[1:]}
    if cell["kind"] == "lstm" and len(set(ours.values())) > 1:
        raise NotImplementedError(f"{ours}: Keras has one activation for both.")
    theirs = [as_activation(value) for value in _ACTIVATIONS.values()]
    for name in activations:
        if name in cell and cell[name] not in theirs:
            raise NotImplementedError(f"{name}={cell[name]!r}: Keras has no such activation.")


def _directions_of(layer: Any, name: str) -> list[Any]:
    """Return the layer that runs forward, and of a Bidirectional the one that runs backward."""
    if not any(cls.__name__ == "Bidirectional" for cls in type(layer).__mro__):
        return [layer]
    if layer.merge_mode != "concat":
        raise NotImplementedError(
            f"{name} has merge_mode={layer.merge_mode!r}: a layer here has 'concat'."
        )
    return [layer.forward_layer, layer.backward_layer]


def _cell_of(layer: Any, name: str, *, backward: bool) -> tuple[str, dict[str, Any]]:
    """Return the cell of a Keras layer, and the options of ours."""
    if not hasattr(layer, "get_config") or not hasattr(layer, "get_weights"):
        raise TypeError(f"{name} must be a layer of Keras, got {type(layer).__name__}.")
    cells = [_CELLS[cls.__name__] for cls in type(layer).__mro__ if cls.__name__ in _CELLS]
    if not cells:
        raise NotImplementedError(
            f"{name} is a {type(layer).__name__}, not one of {', '.join(_CELLS)}."
        )
    config = layer.get_config()
    options: dict[str, Any] = {}
    expected: dict[str, Any] = _EXPECTED | {"go_backwards": backward}
    if cells[0] == "gru":
        options["reset_after"] = config["reset_after"]
    for key, ours in _PARAMETERS[cells[0]].items():
        theirs = config[key]
        if theirs != expected[key] and isinstance(theirs, str) and theirs in _ACTIVATIONS:
            expected[key] = theirs
            options |= dict.fromkeys(ours, _ACTIVATIONS[theirs])
    for key, value in expected.items():
        if config.get(key, value) != value:
            raise NotImplementedError(
                f"{name} has {key}={config[key]!r}: a layer here has {value!r}."
            )
    if config.get("recurrent_dropout"):
        options["hidden_dropout"] = config["recurrent_dropout"]
    return cells[0], options


def _weights_of(layer: Any, name: str) -> list[NDArray[Any]]:
    """Return W_ih, W_hh and two biases of a Keras layer, in its order of gates."""
    weights = [as_floats(np.asarray(array), name) for array in layer.get_weights()]
    if len(weights) < 2:
        raise ValueError(f"{name} has no weights yet: build it, or call it once.")
    kernel, recurrent = weights[0].T, weights[1].T
    nothing = np.zeros(len(kernel), kernel.dtype)
    biases = weights[2] if layer.get_config()["use_bias"] else nothing
    # A GRU that resets the product has two of them.
    return [kernel, recurrent, *(biases if biases.ndim == 2 else (biases, nothing))]
