"""Keras 3: layers to layers, and weights back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcore.interop._weights import (
    ORDERS,
    as_floats,
    check_options,
    checked_layer,
    joined_biases,
    layer_arrays,
    make_layer,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lstmcore.layers._recurrent import RecurrentLayer

_CELLS = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "rnn"}
# What the configuration of a Keras layer has to say, since a layer here does just that. Whatever
# else it says either shows in the weights or makes no difference to one call of the layer.
_EXPECTED = {
    "activation": "tanh",
    "recurrent_activation": "sigmoid",
    "go_backwards": False,
    "time_major": False,
}


def from_keras(layers: Any, *, n_jobs: int | None = None) -> RecurrentLayer[Any]:
    """Make a layer of a Keras LSTM, GRU or SimpleRNN, or of several that feed each other.

    Parameters
    ----------
    layers : keras.layers.LSTM, GRU or SimpleRNN, or list of one of these
        Built, so that they have weights. Of a list, each takes what the one before puts out, and
        all have as many units. ``dropout``, ``return_sequences``, ``stateful`` and the like are
        left out: a layer here always returns all outputs and the state.
    n_jobs : int or None, default=None
        Threads of the layer.

    Returns
    -------
    layer : lstmcore.layers.LSTM, GRU or RNN
        With float64 parameters if those of Keras are, else float32.

    Raises
    ------
    NotImplementedError
        If a layer is of another class, or has other activations or ``go_backwards``.
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
    cell, options = _cell_of(stack[0], "layers" if stack[0] is layers else "layers[0]")
    order = ORDERS[cell]
    parameters: dict[str, NDArray[Any]] = {}
    for level, layer in enumerate(stack):
        name = "layers" if layer is layers else f"layers[{level}]"
        if _cell_of(layer, name) != (cell, options):
            raise ValueError(f"{name} is another kind of layer than layers[0].")
        kernel, recurrent, *biases = _weights_of(layer, name)
        ours = [order.to_ours(bias, "keras") for bias in biases]
        arrays = {
            "weight_ih": order.to_ours(kernel, "keras"),
            "weight_hh": order.to_ours(recurrent, "keras"),
            **joined_biases(*ours, resets_after=options.get("reset_after", False)),
        }
        parameters |= {f"{kind}_l{level}": array for kind, array in arrays.items()}
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
        same ``reset_after``) or ``SimpleRNN`` of as many units takes. Of an LSTM it is the kernel
        (I, 4H), the recurrent kernel (H, 4H) and the bias (4H).

    Raises
    ------
    NotImplementedError
        If the layer is an LSTM with options.
    TypeError
        If ``layer`` is no layer.

    Examples
    --------
    >>> from lstmcore.interop import to_keras_weights
    >>> from lstmcore.layers import LSTM
    >>> [[array.shape for array in weights] for weights in to_keras_weights(LSTM(3, 8, 2))]
    [[(3, 32), (8, 32), (32,)], [(8, 32), (8, 32), (32,)]]
    """
    cell = checked_layer(layer)._options()
    check_options(cell, "Keras")
    order = ORDERS[cell["kind"]]
    weights = []
    for level in range(layer.num_layers):
        arrays = {
            name: order.to_theirs(array, "keras")
            for name, array in layer_arrays(layer, level).items()
        }
        bias = arrays["bias_ih"]
        if cell.get("reset_after"):
            bias = np.stack([bias, arrays["bias_hh"]])
        kernels = (np.ascontiguousarray(arrays[name].T) for name in ("weight_ih", "weight_hh"))
        weights.append([*kernels, bias])
    return weights


def _cell_of(layer: Any, name: str) -> tuple[str, dict[str, Any]]:
    """Return the cell of a Keras layer, and the options of ours."""
    if not hasattr(layer, "get_config") or not hasattr(layer, "get_weights"):
        raise TypeError(f"{name} must be a layer of Keras, got {type(layer).__name__}.")
    cells = [_CELLS[cls.__name__] for cls in type(layer).__mro__ if cls.__name__ in _CELLS]
    if not cells:
        raise NotImplementedError(
            f"{name} is a {type(layer).__name__}, not one of {', '.join(_CELLS)}."
        )
    config = layer.get_config()
    options = {}
    expected: dict[str, Any] = dict(_EXPECTED)
    if cells[0] == "gru":
        options["reset_after"] = config["reset_after"]
    if cells[0] == "rnn" and config["activation"] in ("tanh", "relu"):
        options["nonlinearity"] = expected["activation"] = config["activation"]
    for key, value in expected.items():
        if config.get(key, value) != value:
            raise NotImplementedError(
                f"{name} has {key}={config[key]!r}: a layer here has {value!r}."
            )
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
