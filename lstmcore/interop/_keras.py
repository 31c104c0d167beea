"""Keras 3: layers to layers, and weights back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcore.interop._weights import ORDERS, as_floats, make_lstm
from lstmcore.layers import LSTM

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What the configuration of a Keras LSTM has to say, since a layer here does just that. Whatever
# else it says either shows in the weights or makes no difference to one call of the layer.
_EXPECTED = {
    "activation": "tanh",
    "recurrent_activation": "sigmoid",
    "go_backwards": False,
    "time_major": False,
}


def from_keras(layers: Any, *, n_jobs: int | None = None) -> LSTM:
    """Make a layer of a Keras LSTM, or of several that feed each other.

    Parameters
    ----------
    layers : keras.layers.LSTM, or list of them
        Built, so that they have weights. Of a list, each takes what the one before puts out, and
        all have as many units. ``dropout``, ``return_sequences``, ``stateful`` and the like are
        left out: a layer here always returns all outputs and the state.
    n_jobs : int or None, default=None
        Threads of the layer.

    Returns
    -------
    layer : lstmcore.layers.LSTM
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
    order = ORDERS["lstm"]
    parameters: dict[str, NDArray[Any]] = {}
    for level, layer in enumerate(stack):
        name = f"layers[{level}]" if isinstance(layers, list | tuple) else "layers"
        for kind, array in _weights_of(layer, name).items():
            parameters[f"{kind}_l{level}"] = order.to_ours(array, "keras")
    return make_lstm(parameters, len(stack), n_jobs=n_jobs)


def to_keras_weights(layer: LSTM) -> list[list[NDArray[Any]]]:
    """Return the parameters of a layer as Keras orders and shapes them.

    Parameters
    ----------
    layer : lstmcore.layers.LSTM
        The layer.

    Returns
    -------
    weights : list of list of ndarray
        For each of its L layers, what ``set_weights`` of a ``keras.layers.LSTM`` of as many units
        takes: kernel (I, 4H), recurrent kernel (H, 4H) and bias (4H).

    Raises
    ------
    TypeError
        If ``layer`` is no layer.

    Examples
    --------
    >>> from lstmcore.interop import to_keras_weights
    >>> from lstmcore.layers import LSTM
    >>> [[array.shape for array in weights] for weights in to_keras_weights(LSTM(3, 8, 2))]
    [[(3, 32), (8, 32), (32,)], [(8, 32), (8, 32), (32,)]]
    """
    if not isinstance(layer, LSTM):
        raise TypeError(f"layer must be a layer of lstmcore.layers, got {type(layer).__name__}.")
    order = ORDERS["lstm"]
    arrays = {name: order.to_theirs(v, "keras") for name, v in layer.parameters.items()}
    return [
        [
            np.ascontiguousarray(arrays[f"weight_ih_l{level}"].T),
            np.ascontiguousarray(arrays[f"weight_hh_l{level}"].T),
            arrays[f"bias_l{level}"],
        ]
        for level in range(layer.num_layers)
    ]


def _weights_of(layer: Any, name: str) -> dict[str, NDArray[Any]]:
    """Return the weights of a Keras layer by our names and in our shapes, in its order of gates."""
    if not hasattr(layer, "get_config") or not hasattr(layer, "get_weights"):
        raise TypeError(f"{name} must be a layer of Keras, got {type(layer).__name__}.")
    if "LSTM" not in [cls.__name__ for cls in type(layer).__mro__]:
        raise NotImplementedError(f"{name} is a {type(layer).__name__}, not an LSTM.")
    config = layer.get_config()
    for key, expected in _EXPECTED.items():
        if config.get(key, expected) != expected:
            raise NotImplementedError(
                f"{name} has {key}={config[key]!r}: a layer here has {expected!r}."
            )
    weights = [as_floats(np.asarray(array), name) for array in layer.get_weights()]
    if len(weights) < 2:
        raise ValueError(f"{name} has no weights yet: build it, or call it once.")
    kernel, recurrent = weights[0].T, weights[1].T
    bias = weights[2] if config["use_bias"] else np.zeros(len(kernel), kernel.dtype)
    return {"weight_ih": kernel, "weight_hh": recurrent, "bias": bias}
