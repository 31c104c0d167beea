"""Cells as recurrent nodes of ONNX, and back: arrays, attributes, activations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcore._cell_options import as_activation
from lstmcore.interop._weights import ORDERS, direction_arrays, joined_biases, refuse_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

# The operator of a cell, and its outputs.
OPERATORS = {"lstm": ("LSTM", 3), "gru": ("GRU", 2), "rnn": ("RNN", 2)}
CELLS = {operator: cell for cell, (operator, _) in OPERATORS.items()}
# Options of our cells that ONNX has too.
KNOWN_OPTIONS = frozenset(
    {
        "peephole",
        "coupled_gates",
        "gate_clip",
        "gate_activation",
        "cell_activation",
        "output_activation",
    }
)
# The parameters of our layers that say their activations, in the order of the standard.
_ACTIVATIONS: dict[str, dict[str, str]] = {
    "LSTM": {"gate_activation": "sigmoid", "cell_activation": "tanh", "output_activation": "tanh"},
    "GRU": {"gate_activation": "sigmoid", "cell_activation": "tanh"},
    "RNN": {"nonlinearity": "tanh"},
}
# Ours -> theirs, and which of alpha and beta it takes. Theirs count only those that are taken.
_NAMES = {
    "sigmoid": ("Sigmoid", 0),
    "tanh": ("Tanh", 0),
    "relu": ("Relu", 0),
    "hard_sigmoid": ("HardSigmoid", 2),
    "leaky_relu": ("LeakyRelu", 1),
    "scaled_tanh": ("ScaledTanh", 2),
    "affine": ("Affine", 2),
    "thresholded_relu": ("ThresholdedRelu", 1),
    "elu": ("Elu", 1),
    "softsign": ("Softsign", 0),
    "softplus": ("Softplus", 0),
}
_OURS = {theirs.lower(): (ours, count) for ours, (theirs, count) in _NAMES.items()}
# What stands for alpha and beta that are not given, where the standard says it.
_DEFAULTS = {
    "hard_sigmoid": (0.2, 0.5),
    "leaky_relu": (0.01,),
    "thresholded_relu": (1.0,),
    "elu": (1.0,),
}


def node_arrays(
    cell: Mapping[str, Any], parameters: Mapping[str, NDArray[Any]], names: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """Return the weights of a node of n gates and D directions.

    Parameters
    ----------
    cell : mapping of name to object
        As the core takes it.
    parameters : mapping of name to ndarray
        Those of all layers.
    names : sequence of str
        The ends of the names of each direction's.

    Returns
    -------
    arrays : dict of name to ndarray
        W (D, nH, I), R (D, nH, H), B (D, 2nH), with peepholes P (D, 3H).
    """
    order = ORDERS[cell["kind"]]
    coupled = bool(cell.get("coupled_gates"))
    found: dict[str, list[NDArray[Any]]] = {"W": [], "R": [], "B": [], "P": []}
    for name in names:
        ours = direction_arrays(parameters, name)
        peephole = ours.pop("peephole", None)
        W, R, *biases = (
            order.to_theirs(_with_forget_gate(array, 3) if coupled else array, "onnx")
            for array in ours.values()
        )
        found["W"].append(W)
        found["R"].append(R)
        found["B"].append(np.concatenate(biases))
        if peephole is not None:
            i, f, o = np.split(_with_forget_gate(peephole, 2) if coupled else peephole, 3)
            found["P"].append(np.concatenate([i, o, f]))
    return {name: np.stack(arrays) for name, arrays in found.items() if arrays}


def _with_forget_gate(array: NDArray[Any], n_gates: int) -> NDArray[Any]:
    """Return gates i, f, ... of those without f, which is 0 and which nobody reads."""
    i, *others = np.split(array, n_gates)
    return np.concatenate([i, np.zeros_like(i), *others])


def node_attributes(cell: Mapping[str, Any], reads_backward: Sequence[bool]) -> dict[str, Any]:
    """Return the attributes by which a node differs from the standard's usual one.

    Parameters
    ----------
    cell : mapping of name to object
        As the core takes it.
    reads_backward : sequence of bool
        For each of its directions whether it goes from the end to the start.

    Returns
    -------
    attributes : dict of name to object
        By the names of the standard.

    Raises
    ------
    NotImplementedError
        If ONNX has no such cell.
    """
    refuse_options(cell, "ONNX", known=KNOWN_OPTIONS)
    operator, _ = OPERATORS[cell["kind"]]
    n_directions = len(reads_backward)
    attributes: dict[str, Any] = {}
    if any(reads_backward):
        attributes["direction"] = "bidirectional" if n_directions == 2 else "reverse"
    if cell["kind"] == "gru":
        attributes["linear_before_reset"] = int(cell["reset_after"])
    if cell.get("coupled_gates"):
        attributes["input_forget"] = 1
    if "gate_clip" in cell:
        attributes["clip"] = float(cell["gate_clip"])
    usual = {name: as_activation(value) for name, value in _ACTIVATIONS[operator].items()}
    if operator == "RNN":
        # The core knows its activation by another name, but for the two that are widely used.
        plain = ("relu" if cell["relu"] else "tanh", 0.0, 0.0)
        given = {"nonlinearity": cell.get("cell_activation", plain)}
    else:
        given = {name: cell[name] for name in usual if name in cell}
    if given:
        chosen = [*(usual | given).values()] * n_directions
        attributes["activations"] = [_NAMES[name][0] for name, *_ in chosen]
        taken = [(numbers, _NAMES[name][1]) for name, *numbers in chosen]
        for key, place in (("activation_alpha", 0), ("activation_beta", 1)):
            values = [float(numbers[place]) for numbers, count in taken if count > place]
            if values:
                attributes[key] = values
    return attributes


def cell_options(
    operator: str, attributes: Mapping[str, Any], n_directions: int, name: str
) -> dict[str, Any]:
    """Return the options of a layer's class that the attributes of a node stand for.

    Parameters
    ----------
    operator : {"LSTM", "GRU", "RNN"}
        The operator.
    attributes : mapping of name to object
        Of the node.
    n_directions : int
        Number of its directions.
    name : str
        What messages call the node.

    Returns
    -------
    options : dict of name to object
        Without those that are usual.

    Raises
    ------
    NotImplementedError
        If an activation is unknown, or differs between the directions.
    ValueError
        If alpha or beta of an activation is not given and has no usual value.
    """
    options: dict[str, Any] = {}
    if operator == "GRU":
        options["reset_after"] = bool(attributes.get("linear_before_reset"))
    clip = as_written(attributes.get("clip", 0.0))
    if clip:
        options["gate_clip"] = clip
    if attributes.get("input_forget"):
        options["coupled_gates"] = True
    activations = _read_activations(operator, attributes, n_directions, name)
    usual = _ACTIVATIONS[operator]
    chosen = dict(zip(usual, activations, strict=False))
    return options | {key: value for key, value in chosen.items() if value != usual[key]}


def as_written(value: float) -> float:
    """Return the shortest decimal fraction that is this float32, which all attributes are.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore.interop._onnx_nodes import as_written
    >>> float(np.float32(0.2)), as_written(np.float32(0.2))
    (0.20000000298023224, 0.2)
    """
    return float(str(np.float32(value)))


def _read_activations(
    operator: str, attributes: Mapping[str, Any], n_directions: int, name: str
) -> list[Any]:
    """Return the activations of a node as ours, the same for each direction; or none."""
    theirs = [text.decode().lower() for text in attributes.get("activations", [])]
    alphas = iter(attributes.get("activation_alpha", []))
    betas = iter(attributes.get("activation_beta", []))
    ours: list[Any] = []
    for text in theirs:
        if text not in _OURS:
            raise NotImplementedError(f"{name} has the activation {text!r}, which is unknown here.")
        key, count = _OURS[text]
        numbers: list[float] = []
        for place, values in enumerate((alphas, betas)[:count]):
            usual = (*_DEFAULTS.get(key, ()), None, None)[place]
            value = next(values, usual)
            if value is None:
                raise ValueError(f"{name} has the activation {text!r} without alpha and beta.")
            numbers.append(as_written(value))
        usual_numbers = _DEFAULTS.get(key, ())
        ours.append(key if tuple(numbers) == usual_numbers else (key, *numbers))
    per_direction = len(ours) // n_directions
    if len(ours) not in (0, n_directions * len(_ACTIVATIONS[operator])):
        raise ValueError(f"{name} has {len(ours)} activations for {n_directions} directions.")
    if ours != ours[:per_direction] * n_directions:
        raise NotImplementedError(
            f"{name} has other activations in one direction than in the other."
        )
    return ours[:per_direction]


def direction_parameters(
    operator: str,
    W: NDArray[Any],
    R: NDArray[Any],
    B: NDArray[Any],
    P: NDArray[Any] | None,
    options: Mapping[str, Any],
) -> dict[str, NDArray[Any]]:
    """Return our arrays of one direction of a node: W (nH, I), R (nH, H), B (2nH), P (3H)."""
    order = ORDERS[CELLS[operator]]
    n_rows = len(W)
    weight_ih, weight_hh, *biases = (
        order.to_ours(array, "onnx") for array in (W, R, B[:n_rows], B[n_rows:])
    )
    resets_after = bool(options.get("reset_after"))
    arrays = {
        "weight_ih": weight_ih,
        "weight_hh": weight_hh,
        **joined_biases(*biases, resets_after=resets_after),
    }
    if P is not None:
        i, o, f = np.split(P, 3)
        arrays["peephole"] = np.concatenate([i, f, o])
    if options.get("coupled_gates"):
        arrays = {
            name: _without_forget_gate(array, 3 if name == "peephole" else 4)
            for name, array in arrays.items()
        }
    return arrays


def _without_forget_gate(array: NDArray[Any], n_gates: int) -> NDArray[Any]:
    i, _, *others = np.split(array, n_gates)
    return np.concatenate([i, *others])
