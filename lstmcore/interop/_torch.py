"""PyTorch: modules and state dicts to layers, and back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcore._extras import import_extra
from lstmcore.interop._weights import ORDERS, as_floats, make_lstm
from lstmcore.layers import LSTM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_NAME = re.compile(r"(weight_ih|weight_hh|bias_ih|bias_hh|weight_hr)_l(\d+)(_reverse)?")
_CELL_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def from_torch(module_or_state_dict: Any, *, prefix: str = "", n_jobs: int | None = None) -> LSTM:
    """Make a layer of a PyTorch LSTM.

    Parameters
    ----------
    module_or_state_dict : torch.nn.LSTM, torch.nn.LSTMCell, or mapping of name to tensor
        A module, or what its ``state_dict()`` returned; arrays do as well as tensors. Any number
        of layers, with or without biases. ``batch_first`` makes no difference, as a layer here
        always takes (N, T, I); ``dropout`` is left out, as a layer here has none.
    prefix : str, default=""
        What the names begin with, where the LSTM is a part of a larger module: "encoder.lstm.".
        Other names are then left alone.
    n_jobs : int or None, default=None
        Threads of the layer.

    Returns
    -------
    layer : lstmcore.layers.LSTM
        With float64 parameters if the module's are, else float32. The two biases are summed.

    Raises
    ------
    NotImplementedError
        If the module is bidirectional or has projections.
    ValueError
        If the names or shapes are not those of an LSTM.
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
    _refuse_other_cells(arrays)
    order = ORDERS["lstm"]
    parameters: dict[str, NDArray[Any]] = {}
    for level in range(n_layers):
        for name in ("weight_ih", "weight_hh"):
            parameters[f"{name}_l{level}"] = order.to_ours(arrays[f"{name}_l{level}"], "torch")
        biases = [arrays[n] for n in (f"bias_ih_l{level}", f"bias_hh_l{level}") if n in arrays]
        weight = parameters[f"weight_hh_l{level}"]
        bias = sum(biases[1:], start=biases[0]) if biases else np.zeros(len(weight), weight.dtype)
        parameters[f"bias_l{level}"] = order.to_ours(bias, "torch")
    return make_lstm(parameters, n_layers, n_jobs=n_jobs)


def to_torch_state_dict(layer: LSTM) -> dict[str, Any]:
    """Return the parameters of a layer as PyTorch names and shapes them.

    Parameters
    ----------
    layer : lstmcore.layers.LSTM
        The layer.

    Returns
    -------
    state_dict : dict of name to torch.Tensor
        For ``load_state_dict`` of a ``torch.nn.LSTM`` of as many features, hidden units and layers.
        The second of its two biases is 0, so that `from_torch` gives back the same bits.

    Raises
    ------
    ImportError
        If torch is not installed.
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
    if not isinstance(layer, LSTM):
        raise TypeError(f"layer must be a layer of lstmcore.layers, got {type(layer).__name__}.")
    torch = import_extra("torch", "torch", "to_torch_state_dict")
    order = ORDERS["lstm"]
    state: dict[str, Any] = {}
    for name, values in layer.parameters.items():
        array = order.to_theirs(values, "torch")
        if name.startswith("bias"):
            suffix = name.removeprefix("bias")
            state["bias_ih" + suffix] = torch.from_numpy(array)
            state["bias_hh" + suffix] = torch.zeros_like(state["bias_ih" + suffix])
        else:
            state[name] = torch.from_numpy(array)
    return state


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
            f"The names must be those of an LSTM, such as {prefix}weight_ih_l0, got {given[:8]}. "
            "If it is a part of a larger module, pass that part, or the prefix of its names."
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


def _refuse_other_cells(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Refuse what is no LSTM, which the shape of the recurrent weights tells."""
    shape = arrays["weight_hh_l0"].shape
    if len(shape) == 2 and shape[1] and shape[0] in (shape[1], 3 * shape[1]):
        cell = "an RNN" if shape[0] == shape[1] else "a GRU"
        raise NotImplementedError(f"weight_hh_l0 of shape {shape} is that of {cell}.")
    for name, array in arrays.items():
        if len(array) != 4 * shape[-1]:
            raise ValueError(
                f"{name} must have {4 * shape[-1]} rows, four for each of {shape[-1]} hidden "
                f"units; got the shape {array.shape}."
            )
