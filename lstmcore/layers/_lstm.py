"""The LSTM layer."""

from __future__ import annotations

from typing import Any

from lstmcore._cell_options import (
    LSTM_OPTIONS,
    check_layer_options,
    lstm_as_core,
    unusual_options,
)
from lstmcore.layers._checks import checked_size
from lstmcore.layers._recurrent import Array, RecurrentLayer


class LSTM(RecurrentLayer[tuple[Array, Array]]):
    """One LSTM layer, or several on top of each other.

    For each time step, with the gates in the order i, f, g, o::

        i, f, g, o = W_ih x_t + W_hh h + b        sigmoid; tanh for g
        c = f * c + i * g
        h = o * tanh(c)                           W_hr (o * tanh(c)) with proj_size

    Results are the same to the bit for any number of threads, any batch that a sequence is in, and
    whether a sequence is run as a whole or step by step.

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
    dtype : {"float32", "float64"}, default="float32"
        Precision of all numbers. Arrays of other dtypes are converted.
    n_jobs : int or None, default=None
        Threads to use: None or -1 for all that are available to this process, -2 for all but one.
        `step` always uses one.
    random_state : int, RandomState, Generator or None, default=None
        Determines the first values of the parameters.
    forget_bias : float, default=1.0
        First value of the forget gates' biases; with ``coupled_gates`` its negative is that of the
        input gates'. Other biases start at 0, input weights uniform after Glorot, recurrent weights
        orthogonal.
    peephole : bool, default=False
        Whether the gates also see the cell state, i and f the one before the step, o the one after
        it, through one weight for each unit (Gers and Schmidhuber 2000), which starts at 0.
    coupled_gates : bool, default=False
        Whether there is no forget gate but f = 1 - i (Greff et al. 2017): three gates i, g, o and a
        quarter less to compute.
    layer_norm : bool, default=False
        Whether products and c are normalised over the units (Ba, Kiros and Hinton: Layer
        normalization, 2016): the sums are ``p * N(W_ih x_t) + q * N(W_hh h) + b``, and h is
        ``o * tanh(r * N(c) + s)``. N brings all gates of a row, or its c, to mean 0 and variance 1,
        with 1e-5 added to the variance. The gains p, q, r start at 1, s at 0. Not to be combined
        with ``coupled_gates``.
    gate_clip : float or None, default=None
        Bound of what goes into the activations of gates and candidate, as ``clip`` of ONNX.
    cell_clip : float or None, default=None
        Bound of the cell state. Where it is reached, it passes no gradient.
    gate_activation : str or tuple, default="sigmoid"
        What the sums of i, f and o pass through: "sigmoid", "tanh", "relu", "softsign", "softplus",
        or one with an alpha, or an alpha and a beta, which a tuple sets: "leaky_relu" (0.01), "elu"
        (1.0), "thresholded_relu" (1.0), "hard_sigmoid" (0.2, 0.5), "affine" (1.0, 0.0),
        "scaled_tanh" (1.7159, 2/3). They are those of ONNX, "hard_sigmoid" alpha x + beta within 0
        and 1; that of Keras 3 is ``("hard_sigmoid", 1 / 6, 0.5)``.
    cell_activation : str or tuple, default="tanh"
        What the sum of g passes through.
    output_activation : str or tuple, default="tanh"
        What the cell state passes through on its way to h.
    proj_size : int, default=0
        Width P < H of a projection (Sak et al. 2014), or 0 for none. With it y and h have P
        features, c keeps H: memory cells cost less, as W_hh has but P columns.
    recurrent_dropout : float, default=0.0
        Rate in [0, 1) of dropout of the candidate at each step (Semeniuta et al. 2016), in
        `forward` with a seed. What a state has is never dropped.
    hidden_dropout : float, default=0.0
        Rate of dropout of h where W_hh multiplies it, of the same units at all steps of a sequence
        (Gal and Ghahramani 2016), in `forward` with a seed.
    zoneout_hidden : float, default=0.0
        Probability in [0, 1) that a unit of h stays what it was (Krueger et al. 2016),
        in `forward` with a seed. Otherwise the expectation of that is computed.
    zoneout_cell : float, default=0.0
        The same of c.

    Attributes
    ----------
    parameters : mapping of name to ndarray
        Live views: ``weight_ih_l0`` (4H, I), ``weight_hh_l0`` (4H, H), ``bias_l0`` (4H) and so on.
        With ``coupled_gates`` it is 3H, without f. With ``peephole`` there is also ``peephole_l0``
        (3H) for i, f, o, with ``coupled_gates`` (2H) for i and o. With ``proj_size``, W_hh has P
        columns, and there is ``weight_hr_l0`` (P, H). With ``layer_norm`` there are p, q, r and s:
        ``ln_ih_weight_l0`` (4H), ``ln_hh_weight_l0`` (4H), ``ln_c_weight_l0`` (H) and
        ``ln_c_bias_l0`` (H). With ``bidirectional`` each has a second one:
        ``weight_ih_l0_reverse`` and so on.

    Notes
    -----
    With masks m and s of each step, d of a sequence, where m and d are 0 or 1 / (1 - rate) and s is
    0 or 1::

        c = f * c + i * (m * g)                         recurrent_dropout
        W_hh (d * h) in the place of W_hh h             hidden_dropout
        h = s * h_before + (1 - s) * h                  zoneout_hidden, and c likewise

    A mask is a function of ``seed``, the place of a sequence in ``x``, the layer, the direction,
    the step and the unit, never of the batch or of threads. Without masks m and d are 1 and s is
    its probability. h, the peephole of o and ``cell_clip`` see c as it is before zoneout.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore.layers import LSTM
    >>> layer = LSTM(3, 8, random_state=0)
    >>> y, (h, c) = layer(np.zeros((2, 5, 3)))
    >>> y.shape, h.shape, c.shape
    ((2, 5, 8), (1, 2, 8), (1, 2, 8))
    >>> y, state = layer([np.ones((4, 3)), np.ones((0, 3))])
    >>> [sequence.shape for sequence in y]
    [(4, 8), (0, 8)]
    >>> LSTM(3, 8, peephole=True, coupled_gates=True).parameters["peephole_l0"].shape
    (16,)

    Normalised, a layer does not see how large its inputs are:

    >>> layer = LSTM(3, 8, layer_norm=True, random_state=0)
    >>> x = np.random.default_rng(0).normal(size=(2, 5, 3))
    >>> bool(np.allclose(layer(x)[0], layer(1000 * x)[0], atol=1e-3))
    True
    >>> sorted(name for name in layer.parameters if name.startswith("ln"))
    ['ln_c_bias_l0', 'ln_c_weight_l0', 'ln_hh_weight_l0', 'ln_ih_weight_l0']
    """

    _kind = "layers.LSTM"
    _has_cell_state = True
    _n_gates = 4

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bidirectional: bool = False,
        residual: bool = False,
        reverse: bool = False,
        dtype: str = "float32",
        n_jobs: int | None = None,
        random_state: Any = None,
        forget_bias: float = 1.0,
        peephole: bool = False,
        coupled_gates: bool = False,
        layer_norm: bool = False,
        gate_clip: float | None = None,
        cell_clip: float | None = None,
        gate_activation: Any = "sigmoid",
        cell_activation: Any = "tanh",
        output_activation: Any = "tanh",
        proj_size: int = 0,
        recurrent_dropout: float = 0.0,
        hidden_dropout: float = 0.0,
        zoneout_hidden: float = 0.0,
        zoneout_cell: float = 0.0,
    ) -> None:
        self.peephole = peephole
        self.coupled_gates = coupled_gates
        self.layer_norm = layer_norm
        self.gate_clip = gate_clip
        self.cell_clip = cell_clip
        self.gate_activation = gate_activation
        self.cell_activation = cell_activation
        self.output_activation = output_activation
        self.proj_size = proj_size
        self.recurrent_dropout = recurrent_dropout
        self.hidden_dropout = hidden_dropout
        self.zoneout_hidden = zoneout_hidden
        self.zoneout_cell = zoneout_cell
        check_layer_options(self, LSTM_OPTIONS)
        if proj_size and proj_size >= checked_size(hidden_size, "hidden_size"):
            raise ValueError(
                f"proj_size must be less than hidden_size, which is {hidden_size}, got {proj_size}."
            )
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
            forget_bias=forget_bias,
        )

    def _options(self) -> dict[str, Any]:
        return lstm_as_core(self)

    def _first_values(self, forget_bias: float) -> dict[str, Any]:
        if self.coupled_gates:
            return {"n_gates": 3, "input_bias": -forget_bias}
        return {"n_gates": 4, "forget_bias": forget_bias}

    @property
    def _hidden_width(self) -> int:
        return self.proj_size or self.hidden_size

    def _shown_options(self) -> dict[str, Any]:
        return unusual_options(self, LSTM_OPTIONS)
