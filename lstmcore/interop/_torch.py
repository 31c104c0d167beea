"""PyTorch: modules and state dicts to layers, and back."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcore._extras import import_extra
from lstmcore.interop._weights import (
    ORDERS,
    as_floats,
    checked_layer,
    direction_arrays,
    direction_names,
    directions_of,
    joined_biases,
    make_layer,
    refuse_options,
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
        of layers, in one direction or both, with or without biases and projections. A mapping
        doesn't tell what an RNN passes its sums through: it is taken for tanh. ``batch_first``
        makes no difference, as a layer here always takes (N, T, I); ``dropout`` is left out, as a
        layer here has none.
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
    n_layers, bidirectional = _checked_names(arrays, prefix, list(state))
    cell = _cell_of(arrays)
    order = ORDERS[cell]
    parameters: dict[str, NDArray[Any]] = {}
    for name in chain(*direction_names(n_layers, bidirectional=bidirectional)):
        for part in ("weight_ih", "weight_hh"):
            parameters[f"{part}_{name}"] = order.to_ours(arrays[f"{part}_{name}"], "torch")
        nothing = np.zeros_like(parameters[f"weight_hh_{name}"][:, 0])
        biases = (arrays.get(f"bias_{part}_{name}", nothing) for part in ("ih", "hh"))
        ours = (order.to_ours(bias, "torch") for bias in biases)
        for kind, bias in joined_biases(*ours, resets_after=cell == "gru").items():
            parameters[f"{kind}_{name}"] = bias
        if f"weight_hr_{name}" in arrays:
            parameters[f"weight_hr_{name}"] = arrays[f"weight_hr_{name}"]
    options: dict[str, Any] = {"bidirectional": True} if bidirectional else {}
    if cell == "rnn":
        options["nonlinearity"] = getattr(module_or_state_dict, "nonlinearity", "tanh")
    if "weight_hr_l0" in arrays:
        options["proj_size"] = len(arrays["weight_hr_l0"])
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
        hidden units, layers and directions, and of the same ``proj_size``. The second of its two
        biases is 0 where it is only added to the first, so that `from_torch` gives back the same
        bits.

    Raises
    ------
    ImportError
        If torch is not installed.
    NotImplementedError
        If the layer is a GRU with ``reset_after=False``, or has an option that PyTorch has not.
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
    cell = checked_layer(layer, "PyTorch")._options()
    if cell.get("reset_after") is False:
        raise NotImplementedError("reset_after=False: PyTorch has no such GRU.")
    refuse_options(cell, "PyTorch", known=("proj_size",))
    torch = import_extra("torch", "torch", "to_torch_state_dict")
    order = ORDERS[cell["kind"]]
    state = {}
    for name in chain(*directions_of(layer)):
        for part, array in direction_arrays(layer.parameters, name).items():
            theirs = array if part == "weight_hr" else order.to_theirs(array, "torch")
            state[f"{part}_{name}"] = torch.from_numpy(theirs)
    return state


def _as_array(value: Any, name: str) -> NDArray[Any]:
    """Return a tensor or an array as an array of float32 or float64."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if value.is_floating_point() and value.element_size() < 4:
            value = value.float()  # NumPy has no bfloat16, and float32 holds every value
        value = value.numpy()
    return as_floats(np.asarray(value), name)


def _checked_names(
    arrays: Mapping[str, NDArray[Any]], prefix: str, given: list[str]
) -> tuple[int, bool]:
    """Return the number of layers, and whether they run in both directions."""
    unknown = [name for name in arrays if not _NAME.fullmatch(name)]
    if unknown or "weight_ih_l0" not in arrays:
        raise ValueError(
            f"The names must be those of an LSTM, GRU or RNN, such as {prefix}weight_ih_l0, got "
            f"{given[:8]}. If it is a part of a larger module, pass that part, or the prefix of "
            "its names."
        )
    bidirectional = any(name.endswith("_reverse") for name in arrays)
    levels = [int(name.removesuffix("_reverse").rpartition("_l")[2]) for name in arrays]
    parts = ["weight_ih", "weight_hh"]
    if any(name.startswith("weight_hr") for name in arrays):
        parts.append("weight_hr")
    for name in chain(*direction_names(1 + max(levels), bidirectional=bidirectional)):
        for part in parts:
            if f"{part}_{name}" not in arrays:
                raise ValueError(f"There is no {prefix}{part}_{name} among {given[:8]}.")
    return 1 + max(levels), bidirectional


def _cell_of(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the cell, which the shape of the recurrent weights tells."""
    shape = arrays["weight_hh_l0"].shape
    projection = arrays.get("weight_hr_l0")
    if projection is not None:
        n_hidden = projection.shape[-1]
        if projection.ndim != 2 or shape != (4 * n_hidden, len(projection)):
            raise ValueError(
                "weight_hr_l0 must have the shape (P, H), and weight_hh_l0 (4 * H, P); got "
                f"{projection.shape} and {shape}."
            )
        shape = 4 * n_hidden, n_hidden
    if len(shape) != 2 or not shape[1] or shape[0] not in [n * shape[1] for n in _CELLS]:
        raise ValueError(
            "weight_hh_l0 must have the shape (n * H, H), with n = 4 for an LSTM, 3 for a GRU, 1 "
            f"for an RNN; got {shape}."
        )
    for name, array in arrays.items():
        if len(array) != shape[0] and not name.startswith("weight_hr"):
            raise ValueError(
                f"{name} must have {shape[0]} rows, as weight_hh_l0 has; got the shape "
                f"{array.shape}."
            )
    return _CELLS[shape[0] // shape[1]]
