"""What the exchange with other libraries shares: the order of gates, and layers made of arrays.

Everything goes through one neutral form, the dict of a layer's own parameters by their names. The
table `ORDERS` says where the others keep the gates; a further cell is a further row.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcore.layers import GRU, LSTM, RNN
from lstmcore.layers._recurrent import RecurrentLayer

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from numpy.typing import NDArray


_CLASSES: dict[str, Any] = {"lstm": LSTM, "gru": GRU, "rnn": RNN}


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


# Keras and ONNX call g c, and n h.
ORDERS = {
    "lstm": GateOrder("ifgo", torch="ifgo", keras="ifgo", onnx="iofg"),
    "gru": GateOrder("rzn", torch="rzn", keras="zrn", onnx="zrn"),
    "rnn": GateOrder("h", torch="h", keras="h", onnx="h"),
}
# Options of cells that only training knows: what is exported predicts the same without them.
_OF_TRAINING = {"recurrent_dropout", "hidden_dropout"}
_ALWAYS_SAID = {"kind", "reset_after", "relu"}


def _permuted(array: NDArray[Any], before: str, after: str) -> NDArray[Any]:
    blocks = array.reshape(len(before), -1, *array.shape[1:])
    return blocks[[before.index(gate) for gate in after]].reshape(array.shape)


def as_floats(array: NDArray[Any], name: str) -> NDArray[Any]:
    """Return numbers as float32, or as float64 if that is what they are."""
    if array.dtype.kind not in "fV" or array.dtype.itemsize > 8:
        raise ValueError(f"{name} must hold real numbers, got dtype {array.dtype}.")
    return array.astype(np.promote_types(array.dtype, np.float32), copy=False)


def joined_biases(
    of_input: NDArray[Any], of_hidden: NDArray[Any], *, resets_after: bool
) -> dict[str, NDArray[Any]]:
    """Make our biases of two: the one added to W_ih x and the one added to W_hh h.

    Parameters
    ----------
    of_input, of_hidden : ndarray of shape (n_gates * H,)
        In our order of gates.
    resets_after : bool
        Whether they are those of a GRU whose reset gate acts on the product. In its candidate, only
        the second one passes the gate, so the two stay apart.

    Returns
    -------
    biases : dict of name to ndarray
        ``"bias"``, their sum, and where they stay apart ``"bias_hn"`` (H,).

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore.interop._weights import joined_biases
    >>> joined_biases(np.array([1, 2, 3]), np.array([10, 20, 30]), resets_after=True)
    {'bias': array([11, 22,  3]), 'bias_hn': array([30])}
    """
    bias = of_input + of_hidden
    if not resets_after:
        return {"bias": bias}
    candidate = 2 * (len(bias) // 3)
    bias[candidate:] = of_input[candidate:]
    return {"bias": bias, "bias_hn": of_hidden[candidate:]}


def direction_names(n_layers: int, *, bidirectional: bool) -> list[list[str]]:
    """Return for each layer the ends of its parameters' names, one for each direction.

    Examples
    --------
    >>> from lstmcore.interop._weights import direction_names
    >>> direction_names(2, bidirectional=True)
    [['l0', 'l0_reverse'], ['l1', 'l1_reverse']]
    """
    ends = ["", "_reverse"] if bidirectional else [""]
    return [[f"l{level}{end}" for end in ends] for level in range(n_layers)]


def directions_of(layer: RecurrentLayer[Any]) -> list[list[str]]:
    """Return the same of a layer."""
    return direction_names(layer.num_layers, bidirectional=layer.bidirectional)


def direction_arrays(parameters: Mapping[str, NDArray[Any]], name: str) -> dict[str, NDArray[Any]]:
    """Return copies of the parameters of one direction of a layer, with two biases.

    Parameters
    ----------
    parameters : mapping of name to ndarray
        Those of all layers.
    name : str
        The end of their names, as in `direction_names`.

    Returns
    -------
    arrays : dict of name to ndarray
        ``weight_ih``, ``weight_hh``, and what `joined_biases` made one of: ``bias_ih`` and
        ``bias_hh``, which is 0 wherever it can. Where they are: ``weight_hr``, ``peephole``.
    """
    arrays = {part: parameters[f"{part}_{name}"].copy() for part in ("weight_ih", "weight_hh")}
    arrays["bias_ih"] = parameters[f"bias_{name}"].copy()
    arrays["bias_hh"] = np.zeros_like(arrays["bias_ih"])
    if f"bias_hn_{name}" in parameters:
        candidate = parameters[f"bias_hn_{name}"]
        arrays["bias_hh"][-len(candidate) :] = candidate
    for part in ("weight_hr", "peephole"):
        if f"{part}_{name}" in parameters:
            arrays[part] = parameters[f"{part}_{name}"].copy()
    return arrays


def refuse_options(cell: Mapping[str, Any], library: str, *, known: Container[str] = ()) -> None:
    """Refuse a cell that another library has no words for.

    Parameters
    ----------
    cell : mapping of name to object
        As the core takes it.
    library : str
        What the message calls the other library.
    known : container of str, default=()
        Options that the other library has.

    Raises
    ------
    NotImplementedError
        If the cell has other options, which the message names.

    Examples
    --------
    >>> from lstmcore.interop._weights import refuse_options
    >>> refuse_options({"kind": "lstm", "cell_clip": 3.0}, "ONNX")
    Traceback (most recent call last):
        ...
    NotImplementedError: cell_clip=3.0: ONNX has no such cell.
    """
    for name, value in cell.items():
        if name not in _ALWAYS_SAID | _OF_TRAINING and name not in known:
            raise NotImplementedError(f"{name}={value!r}: {library} has no such cell.")


def checked_layer(layer: Any, library: str) -> RecurrentLayer[Any]:
    """Return a layer of ours, which another library has too."""
    if not isinstance(layer, RecurrentLayer):
        raise TypeError(f"layer must be a layer of lstmcore.layers, got {type(layer).__name__}.")
    for name in ("residual", "reverse"):
        if getattr(layer, name):
            raise NotImplementedError(f"{name}=True: {library} has no such layer.")
    return layer


def make_layer(
    cell: str,
    parameters: Mapping[str, NDArray[Any]],
    n_layers: int,
    *,
    n_jobs: int | None,
    **options: Any,
) -> RecurrentLayer[Any]:
    """Return a layer that holds parameters.

    Parameters
    ----------
    cell : {"lstm", "gru", "rnn"}
        Which layer.
    parameters : mapping of name to ndarray
        By the names of the layer's own, all of them, float32 or float64.
    n_layers : int
        Number of layers, of which ``parameters`` holds the first at least.
    n_jobs : int or None
        Of the layer.
    **options
        Of the class of the layer.

    Returns
    -------
    layer : LSTM, GRU or RNN
        Of float64 if one of the arrays is.

    Raises
    ------
    NotImplementedError
        If the class has no such option.
    ValueError
        If the arrays are not of the shapes that fit together.
    """
    known = inspect.signature(_CLASSES[cell]).parameters
    for name, value in options.items():
        if name not in known:
            raise NotImplementedError(f"{name}={value!r}: a layer here has no such option.")
    input_size = parameters["weight_ih_l0"].shape[-1]
    hidden_size = parameters.get("weight_hr_l0", parameters["weight_hh_l0"]).shape[-1]
    dtype = np.result_type(*parameters.values())
    layer: RecurrentLayer[Any] = _CLASSES[cell](
        input_size,
        hidden_size,
        n_layers,
        dtype=dtype.name,
        n_jobs=n_jobs,
        random_state=0,
        **options,
    )
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
