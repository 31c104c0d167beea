"""Cells and layers that are measured beside the plain LSTM, and what each of them multiplies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Variant:
    """A layer of `lstmcore.layers`.

    Parameters
    ----------
    layer : {"LSTM", "GRU", "RNN"}
        Its class.
    why : str
        What it is.
    options : dict, default={}
        Arguments of the class.
    torch : dict or None, default=None
        Arguments of torch's class of that name; None where torch has no such layer.
    seed : int or None, default=None
        Decides the masks of training, which then are drawn in each call. Such a layer is measured
        in training alone: else it has none.
    gain : float, default=1.0
        Of layer normalisation. With 1, differences grow from step to step: of x in the eighth digit
        to y in the fourth after 100 steps, in float64 too, and no result could be checked.
    """

    layer: str
    why: str
    options: dict[str, Any] = field(default_factory=dict)
    torch: dict[str, Any] | None = None
    seed: int | None = None
    gain: float = 1.0

    @property
    def n_gates(self) -> int:
        """Gates of ``weight_ih``."""
        if self.options.get("coupled_gates"):
            return 3
        return {"LSTM": 4, "GRU": 3, "RNN": 1}[self.layer]

    @property
    def directions(self) -> int:
        """Two if it reads sequences backward too."""
        return 2 if self.options.get("bidirectional") else 1

    def outputs(self, hidden: int) -> int:
        """Width of its output."""
        return self.directions * (self.options.get("proj_size") or hidden)

    def input_multiply_adds(self, inputs: int, hidden: int) -> int:
        """Of the product with ``weight_ih`` for one row."""
        return self.directions * self.n_gates * hidden * inputs

    def recurrent_multiply_adds(self, hidden: int) -> int:
        """Of the product with ``weight_hh`` for one row."""
        size = self.options.get("proj_size") or hidden
        return self.directions * self.n_gates * hidden * size

    def multiply_adds(self, inputs: int, hidden: int) -> int:
        """Of all products for one row, forward."""
        projection = self.directions * hidden * (self.options.get("proj_size") or 0)
        both = self.input_multiply_adds(inputs, hidden) + self.recurrent_multiply_adds(hidden)
        return both + projection


VARIANTS: dict[str, Variant] = {
    "lstm": Variant("LSTM", "the plain LSTM, to compare with", torch={}),
    "peephole": Variant("LSTM", "gates see c", {"peephole": True}),
    "coupled": Variant("LSTM", "f = 1 - i, three products", {"coupled_gates": True}),
    "clipped": Variant("LSTM", "c is held within bounds", {"cell_clip": 3.0}),
    "projected": Variant("LSTM", "h has half as many units", {"proj_size": 64}, {"proj_size": 64}),
    "layer-norm": Variant("LSTM", "products and c normalised", {"layer_norm": True}, gain=0.5),
    "zoneout": Variant("LSTM", "by its expectation", {"zoneout_hidden": 0.1, "zoneout_cell": 0.1}),
    "zoneout-drawn": Variant(
        "LSTM", "masks of h and c", {"zoneout_hidden": 0.1, "zoneout_cell": 0.1}, seed=1
    ),
    "recurrent-dropout": Variant(
        "LSTM", "a mask of the candidate at each step", {"recurrent_dropout": 0.2}, seed=1
    ),
    "variational-dropout": Variant(
        "LSTM", "a mask of h for each sequence", {"hidden_dropout": 0.2}, seed=1
    ),
    "bidirectional": Variant(
        "LSTM", "both directions", {"bidirectional": True}, {"bidirectional": True}
    ),
    "gru": Variant("GRU", "reset after the product", torch={}),
    "gru-before": Variant("GRU", "reset before the product", {"reset_after": False}),
    "rnn-tanh": Variant("RNN", "one product", torch={}),
    "rnn-relu": Variant("RNN", "one product", {"nonlinearity": "relu"}, {"nonlinearity": "relu"}),
}
