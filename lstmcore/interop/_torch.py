"""PyTorch: modules and state dicts to layers, and back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcore._extras import import_extra
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
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lstmcore.layers._recurrent import RecurrentLayer

# Rows of the recurrent weights over columns: how many gates there are, which tells the cell.
_CELLS = {4: "lstm", 3: "gru", 1: "rnn"}
_NAME = re.compile(r"(weight_ih|weight_hh|bias_ih|bias_hh|weight_hr)_l(\d+)(_reverse)?")
_CELL_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def from_torch(
    module_or_state_dict: Any, *, prefix: str = "", n_jobs: int | None = None
) -> RecurrentLayer[Any]:
    """Make a layer of a PyTorch LSTM, GRU or RNN.

    Parameters
    ----------
    module_or_state_dict : torch.nn.LSTM, GRU, RNN, one of their cells, or mapping of name to tensor
        A module, or what its ``state_dict()`` returned; arrays do as well as tensors. Any number
        of layers, with or without biases. A mapping doesn't tell what an RNN passes its sums
        through: it is taken for tanh. ``batch_first`` makes no difference, as a layer here
        always takes (N, T, I); ``dropout`` is left out, as a layer here has none.
    prefix : str, default=""
        What the names begin with, where it is a part of a larger module: "encoder.lstm.".
        Other names are then left alone.
    n_jobs : int or None, default=None
        Threads of the layer.

    Returns
    -------
    layer : lstmcore.layers.LSTM, GRU or RNN
        With float64 parameters if the module's are, else float32. Of two biases that are only ever
        added, it has the sum.

    Raises
    ------
    NotImplementedError
        If the module is bidirectional or has projections.
    ValueError
        If the names or shapes are not those of such a module.
    TypeError
        If it is neither a module nor a mapping.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore.interop import from_torch
    >>> state = {"lstm.weight_ih_l0": np.ones((8, 3)), "lstm.weight_hh_l0": np.ones((8, 2))}
    >>> from_torch(state, prefix="lstm.")
    LSTM(3, 2, num_layers=1, dtype='float64', n_jobs=None)
    """
    state = module_or_state_dict
    if hasattr(state, "state_dict"):
        state = state.state_dict()
    if not hasattr(state, "items"):
        raise TypeError(
            "module_or_state_dict must be a module or a mapping of names to tensors, got "
            f"{type(module_or_state_dict).__name__}."
        )
    arrays = {
        name.removeprefix(prefix): _as_array(value, name)
        for name, value in state.items()
        if name.startswith(prefix)
    }
    if arrays and arrays.keys() <= set(_CELL_NAMES):
        arrays = {f"{name}_l0": array for name, array in arrays.items()}
    n_layers = _checked_names(arrays, prefix, list(state))
    cell = _cell_of(arrays)
    order = ORDERS[cell]
    parameters: dict[str, NDArray[Any]] = {}
    for level in range(n_layers):
        names = (f"weight_ih_l{level}", f"weight_hh_l{level}")
        parameters |= {name: order.to_ours(arrays[name], "torch") for name in names}
        nothing = np.zeros(len(parameters[names[1]]), parameters[names[1]].dtype)
        biases = (arrays.get(f"bias_{part}_l{level}", nothing) for part in ("ih", "hh"))
        ours = (order.to_ours(bias, "torch") for bias in biases)
        for name, bias in joined_biases(*ours, resets_after=cell == "gru").items():
            parameters[f"{name}_l{level}"] = bias
    options = {}
    if cell == "rnn":
        options["nonlinearity"] = getattr(module_or_state_dict, "nonlinearity", "tanh")
    return make_layer(cell, parameters, n_layers, n_jobs=n_jobs, **options)


def to_torch_state_dict(layer: RecurrentLayer[Any]) -> dict[str, Any]:
    """Return the parameters of a layer as PyTorch names and shapes them.

    Parameters
    ----------
    layer : lstmcore.layers.LSTM, GRU or RNN
        The layer; a GRU must have ``reset_after=True``, as PyTorch knows no other.

    Returns
    -------
    state_dict : dict of name to torch.Tensor
        For ``load_state_dict`` of a ``torch.nn.LSTM``, ``GRU`` or ``RNN`` of as many features,
        hidden units and layers. The second of its two biases is 0 where it is only added to the
        first, so that `from_torch` gives back the same bits.

    Raises
    ------
    ImportError
        If torch is not installed.
    NotImplementedError
        If the layer is a GRU with ``reset_after=False``, or an LSTM with options.
    TypeError
        If ``layer`` is no layer.

    Examples
    --------
    >>> from lstmcore.interop import to_torch_state_dict
    >>> from lstmcore.layers import LSTM
    >>> state = to_torch_state_dict(LSTM(3, 8))  # doctest: +SKIP
    >>> torch.nn.LSTM(3, 8, batch_first=True).load_state_dict(state)  # doctest: +SKIP
    <All keys matched successfully>
    """
    cell = checked_layer(layer)._options()
    if cell.get("reset_after") is False:
        raise NotImplementedError("reset_after=False: PyTorch has no such GRU.")
    check_options(cell, "PyTorch")
    torch = import_extra("torch", "torch", "to_torch_state_dict")
    order = ORDERS[cell["kind"]]
    return {
        f"{name}_l{level}": torch.from_numpy(order.to_theirs(array, "torch"))
        for level in range(layer.num_layers)
        for name, array in layer_arrays(layer, level).items()
    }


def _as_array(value: Any, name: str) -> NDArray[Any]:
    """Return a tensor or an array as an array of float32 or float64."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if value.is_floating_point() and value.element_size() < 4:
            value = value.float()  # NumPy has no bfloat16, and float32 holds every value
        value = value.numpy()
    return as_floats(np.asarray(value), name)


def _checked_names(arrays: Mapping[str, NDArray[Any]], prefix: str, given: list[str]) -> int:
    """Return the number of layers."""
    unknown = [name for name in arrays if not _NAME.fullmatch(name)]
    if unknown or "weight_ih_l0" not in arrays:
        raise ValueError(
            f"The names must be those of an LSTM, GRU or RNN, such as {prefix}weight_ih_l0, got "
            f"{given[:8]}. If it is a part of a larger module, pass that part, or the prefix of "
            "its names."
        )
    if any(name.endswith("_reverse") for name in arrays):
        raise NotImplementedError("bidirectional=True: a layer here runs in one direction.")
    if any(name.startswith("weight_hr") for name in arrays):
        raise NotImplementedError("proj_size: a layer here has no projection.")
    n_layers = 1 + max(int(name.rpartition("_l")[2]) for name in arrays)
    for level in range(n_layers):
        for name in ("weight_ih", "weight_hh"):
            if f"{name}_l{level}" not in arrays:
                raise ValueError(f"There is no {prefix}{name}_l{level} among {given[:8]}.")
    return n_layers


def _cell_of(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the cell, which the shape of the recurrent weights tells."""
    shape = arrays["weight_hh_l0"].shape
    if len(shape) != 2 or not shape[1] or shape[0] not in [n * shape[1] for n in _CELLS]:
        raise ValueError(
            "weight_hh_l0 must have the shape (n * H, H), with n = 4 for an LSTM, 3 for a GRU, 1 "
            f"for an RNN; got {shape}."
        )
    for name, array in arrays.items():
        if len(array) != shape[0]:
            raise ValueError(
                f"{name} must have {shape[0]} rows, as weight_hh_l0 has; got the shape "
                f"{array.shape}."
            )
    return _CELLS[shape[0] // shape[1]]
