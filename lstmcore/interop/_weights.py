"""What the exchange with other libraries shares: the order of gates, and layers made of arrays.

Everything goes through one neutral form, the dict of a layer's own parameters by their names. The
table `ORDERS` says where the others keep the gates; a further cell is a further row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcore.layers import LSTM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class GateOrder:
    """Where other libraries keep the gates of a cell.

    Parameters
    ----------
    gates : str
        Our order, one letter each.
    torch, keras, onnx : str
        Theirs.
    """

    gates: str
    torch: str
    keras: str
    onnx: str

    def to_ours(self, array: NDArray[Any], theirs: str) -> NDArray[Any]:
        """Return an array of which the first axis holds the gates, in our order.

        Parameters
        ----------
        array : ndarray of shape (n_gates * H, ...)
            Blocks of H rows, one for each gate.
        theirs : {"torch", "keras", "onnx"}
            Whose order it has.

        Returns
        -------
        array : ndarray of shape (n_gates * H, ...)
            A copy.

        Examples
        --------
        >>> import numpy as np
        >>> from lstmcore.interop._weights import ORDERS
        >>> ORDERS["lstm"].to_ours(np.array(["i", "o", "f", "g"]), "onnx").tolist()
        ['i', 'f', 'g', 'o']
        """
        return _permuted(array, getattr(self, theirs), self.gates)

    def to_theirs(self, array: NDArray[Any], theirs: str) -> NDArray[Any]:
        """Return an array of which the first axis holds the gates, in their order, as a copy."""
        return _permuted(array, self.gates, getattr(self, theirs))


# g is what Keras and ONNX call c.
ORDERS = {"lstm": GateOrder("ifgo", torch="ifgo", keras="ifgo", onnx="iofg")}


def _permuted(array: NDArray[Any], before: str, after: str) -> NDArray[Any]:
    blocks = array.reshape(len(before), -1, *array.shape[1:])
    return blocks[[before.index(gate) for gate in after]].reshape(array.shape)


def as_floats(array: NDArray[Any], name: str) -> NDArray[Any]:
    """Return numbers as float32, or as float64 if that is what they are."""
    if array.dtype.kind not in "fV" or array.dtype.itemsize > 8:
        raise ValueError(f"{name} must hold real numbers, got dtype {array.dtype}.")
    return array.astype(np.promote_types(array.dtype, np.float32), copy=False)


def make_lstm(parameters: Mapping[str, NDArray[Any]], n_layers: int, *, n_jobs: int | None) -> LSTM:
    """Return a layer that holds parameters.

    Parameters
    ----------
    parameters : mapping of name to ndarray
        By the names of `LSTM.parameters`, all of them, float32 or float64.
    n_layers : int
        Number of layers, of which ``parameters`` holds the first at least.
    n_jobs : int or None
        Of the layer.

    Returns
    -------
    layer : LSTM
        Of float64 if one of the arrays is.

    Raises
    ------
    ValueError
        If the arrays are not of the shapes that fit together.
    """
    input_size = parameters["weight_ih_l0"].shape[-1]
    hidden_size = parameters["weight_hh_l0"].shape[-1]
    dtype = np.result_type(*parameters.values())
    layer = LSTM(input_size, hidden_size, n_layers, dtype=dtype.name, n_jobs=n_jobs, random_state=0)
    views = layer.parameters
    if views.keys() != parameters.keys():
        raise ValueError(f"There must be the arrays {list(views)}, got {list(parameters)}.")
    for name, view in views.items():
        if parameters[name].shape != view.shape:
            raise ValueError(
                f"{name} must have the shape {view.shape}, since there are {input_size} features "
                f"and {hidden_size} hidden units; got {parameters[name].shape}."
            )
    for name, view in views.items():
        view[...] = parameters[name]
    return layer
