"""The GRU layer."""

from __future__ import annotations

from typing import Any

from lstmcore._cell_options import (
    GRU_OPTIONS,
    check_layer_options,
    gru_as_core,
    unusual_options,
)
from lstmcore.layers._recurrent import Array, RecurrentLayer


class GRU(RecurrentLayer[Array]):
    """One layer of gated recurrent units (Cho et al. 2014), or several on top of each other.

    For each time step, with the gates in the order r, z, n::

        r, z = W_ih x_t + W_hh h + b                        sigmoid
        n = tanh(W_in x_t + b_n + r * (W_hn h + b_hn))      reset_after=True
        n = tanh(W_in x_t + b_n + W_hn (r * h))             reset_after=False
        h = (1 - z) * n + z * h

    Results are the same to the bit for any number of threads, any batch that a sequence is in, and
    whether a sequence is run as a whole or step by step. A state is h alone, of shape (L, N, H).

    Parameters
    ----------
    input_size : int
        Number of features I of a time step.
    hidden_size : int
        Number of hidden units H of each layer.
    num_layers : int, default=1
        Number of layers L; the output of one is the input of the next.
    bidirectional : bool, default=False
        Whether each layer is two: a second one of H units reads every sequence from its end to its
        start (Schuster and Paliwal 1997). Outputs are those of both side by side, 2 H wide; states
        are of shape (2 L, N, H).
    residual : bool, default=False
        Whether to each layer's output its input is added, from the second layer on.
    reverse : bool, default=False
        Whether every sequence is read from its end to its start. Outputs stay where their steps
        are, the state is the one after the first step; `step` and `gradient_flow` go in the order
        of reading. Not together with ``bidirectional``.
    reset_after : bool, default=True
        Whether the reset gate acts on the product with the recurrent weights, as in PyTorch, Keras
        and cuDNN, or on the hidden state before it, as it was first described.
    gate_clip : float or None, default=None
        Bound of what goes into the activations, as ``clip`` of ONNX.
    gate_activation : str or tuple, default="sigmoid"
        What the sums of r and z pass through; see `LSTM`.
    cell_activation : str or tuple, default="tanh"
        What the sum of n passes through.
    recurrent_dropout : float, default=0.0
        Rate in [0, 1) of dropout of the candidate at each step (Semeniuta et al. 2016), in
        `forward` with a seed. What a state has is never dropped.
    hidden_dropout : float, default=0.0
        Rate of dropout of h where W_hh multiplies it, of the same units at all steps of a sequence
        (Gal and Ghahramani 2016), in `forward` with a seed.
    zoneout_hidden : float, default=0.0
        Probability in [0, 1) that a unit of h stays what it was (Krueger et al. 2016),
        in `forward` with a seed. Otherwise the expectation of that is computed.
    dtype : {"float32", "float64"}, default="float32"
        Precision of all numbers. Arrays of other dtypes are converted.
    n_jobs : int or None, default=None
        Threads to use: None or -1 for all that are available to this process, -2 for all but one.
        `step` always uses one.
    random_state : int, RandomState, Generator or None, default=None
        Determines the first values of the parameters: input weights uniform after Glorot, recurrent
        weights orthogonal, biases 0.

    Attributes
    ----------
    parameters : mapping of name to ndarray
        Live views: ``weight_ih_l0`` (3H, I), ``weight_hh_l0`` (3H, H), ``bias_l0`` (3H), with
        ``reset_after`` also ``bias_hn_l0`` (H), and so on; with ``bidirectional`` also
        ``weight_ih_l0_reverse`` and so on.

    Notes
    -----
    With masks m and s of each step, d of a sequence, where m and d are 0 or 1 / (1 - rate) and s is
    0 or 1::

        h = (1 - z) * (m * n) + z * h                   recurrent_dropout
        W_hh (d * h) in the place of W_hh h             hidden_dropout
        h = s * h_before + (1 - s) * h                  zoneout_hidden

    A mask is a function of ``seed``, the place of a sequence in ``x``, the layer, the direction,
    the step and the unit, never of the batch or of threads. Without masks m and d are 1 and s is
    its probability.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore.layers import GRU
    >>> layer = GRU(3, 8, random_state=0)
    >>> y, h = layer(np.zeros((2, 5, 3)))
    >>> y.shape, h.shape
    ((2, 5, 8), (1, 2, 8))
    >>> sorted(layer.parameters)
    ['bias_hn_l0', 'bias_l0', 'weight_hh_l0', 'weight_ih_l0']
    """

    _kind = "layers.GRU"
    _has_cell_state = False
    _n_gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bidirectional: bool = False,
        residual: bool = False,
        reverse: bool = False,
        reset_after: bool = True,
        gate_clip: float | None = None,
        gate_activation: Any = "sigmoid",
        cell_activation: Any = "tanh",
        recurrent_dropout: float = 0.0,
        hidden_dropout: float = 0.0,
        zoneout_hidden: float = 0.0,
        dtype: str = "float32",
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.reset_after = reset_after
        self.gate_clip = gate_clip
        self.gate_activation = gate_activation
        self.cell_activation = cell_activation
        self.recurrent_dropout = recurrent_dropout
        self.hidden_dropout = hidden_dropout
        self.zoneout_hidden = zoneout_hidden
        check_layer_options(self, GRU_OPTIONS)
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            dtype=dtype,
            n_jobs=n_jobs,
            random_state=random_state,
            bidirectional=bidirectional,
            residual=residual,
            reverse=reverse,
        )

    def _options(self) -> dict[str, Any]:
        return gru_as_core(self)

    def _shown_options(self) -> dict[str, Any]:
        return {"reset_after": self.reset_after} | unusual_options(self, GRU_OPTIONS)
