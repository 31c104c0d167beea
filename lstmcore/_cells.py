"""The cells of `lstmcore.cells`, and what estimators and files make of the parameter ``cell``."""

from __future__ import annotations

from typing import Any, ClassVar

from sklearn.base import BaseEstimator

from lstmcore import _parameters
from lstmcore._cell_options import (
    GRU_OPTIONS,
    LSTM_OPTIONS,
    RNN_OPTIONS,
    constraints_of,
    gru_as_core,
    lstm_as_core,
    rnn_as_core,
)


class BaseCell(BaseEstimator):
    """Base of the cells."""

    _constraints: ClassVar[dict[str, _parameters.Constraint]]
    _n_gates: ClassVar[int]

    def _options(self) -> dict[str, Any]:
        """Return the cell as the core takes it."""
        raise NotImplementedError

    def _first_values(self) -> dict[str, Any]:
        """Return what the first values of the parameters depend on."""
        return {"n_gates": self._n_gates}


class LSTMCell(BaseCell):
    """Long short-term memory: gates i, f, g, o and a state c beside h.

    Parameters
    ----------
    forget_bias : float, default=1.0
        First value of the forget gates' biases: the larger, the longer an untrained network
        remembers. With ``coupled_gates`` its negative is that of the input gates'.
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
        Width of a projection of h (Sak et al. 2014), less than every ``hidden_size``; 0 for none.
        Layers put out that many features, and have fewer recurrent weights for the same number of
        cells.
    recurrent_dropout : float, default=0.0
        Rate in [0, 1) of dropout of the candidate at each step (Semeniuta et al. 2016), in
        training. What a state has is never dropped.
    hidden_dropout : float, default=0.0
        Rate of dropout of h where W_hh multiplies it, of the same units at all steps of a sequence
        (Gal and Ghahramani 2016), in training.
    zoneout_hidden : float, default=0.0
        Probability in [0, 1) that a unit of h stays what it was (Krueger et al. 2016),
        in training. Otherwise the expectation of that is computed.
    zoneout_cell : float, default=0.0
        The same of c.

    Notes
    -----
    With masks m and s of each step, d of a sequence, where m and d are 0 or 1 / (1 - rate) and s is
    0 or 1::

        c = f * c + i * (m * g)                         recurrent_dropout
        W_hh (d * h) in the place of W_hh h             hidden_dropout
        h = s * h_before + (1 - s) * h                  zoneout_hidden, and c likewise

    A mask is a function of ``random_state``, the number of the epoch, the sample, the layer, the
    direction, the step and the unit, never of the batch or of threads. Without masks m and d are 1
    and s is its probability. h, the peephole of o and ``cell_clip`` see c as it is before zoneout.

    Examples
    --------
    >>> from lstmcore import LSTMClassifier
    >>> from lstmcore.cells import LSTMCell
    >>> LSTMClassifier(cell=LSTMCell(forget_bias=3.0)).get_params()["cell__forget_bias"]
    3.0
    >>> LSTMClassifier(cell=LSTMCell()).set_params(cell__peephole=True).cell
    LSTMCell(peephole=True)
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(40, 9, 2))
    >>> model = LSTMClassifier(cell=LSTMCell(layer_norm=True), hidden_size=8, tol=None)
    >>> model.fit(X, X[:, 0, 0] > 0).parameters_["ln_hh_weight_l0"].shape
    (32,)
    """

    _constraints: ClassVar[dict[str, _parameters.Constraint]] = {
        "forget_bias": _parameters.number(float("-inf"), low_allowed=False),
        **constraints_of(LSTM_OPTIONS),
    }
    _n_gates = 4

    def __init__(
        self,
        *,
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
        self.forget_bias = forget_bias
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

    def _options(self) -> dict[str, Any]:
        return lstm_as_core(self)

    def _first_values(self) -> dict[str, Any]:
        bias = float(self.forget_bias)
        if self.coupled_gates:
            return {"n_gates": 3, "input_bias": -bias}
        return {"n_gates": 4, "forget_bias": bias}


class GRUCell(BaseCell):
    """Gated recurrent unit: gates r, z and the candidate n, and no state but h.

    Parameters
    ----------
    reset_after : bool, default=True
        Whether the reset gate acts on the product with the recurrent weights, as in PyTorch, Keras
        and cuDNN, or on the hidden state before it, as it was first described.
    gate_clip : float or None, default=None
        Bound of what goes into the activations, as ``clip`` of ONNX.
    gate_activation : str or tuple, default="sigmoid"
        What the sums of r and z pass through; see `LSTMCell`.
    cell_activation : str or tuple, default="tanh"
        What the sum of n passes through.
    recurrent_dropout : float, default=0.0
        Rate in [0, 1) of dropout of the candidate at each step (Semeniuta et al. 2016), in
        training. What a state has is never dropped.
    hidden_dropout : float, default=0.0
        Rate of dropout of h where W_hh multiplies it, of the same units at all steps of a sequence
        (Gal and Ghahramani 2016), in training.
    zoneout_hidden : float, default=0.0
        Probability in [0, 1) that a unit of h stays what it was (Krueger et al. 2016),
        in training. Otherwise the expectation of that is computed.

    Notes
    -----
    With masks m and s of each step, d of a sequence, where m and d are 0 or 1 / (1 - rate) and s is
    0 or 1::

        h = (1 - z) * (m * n) + z * h                   recurrent_dropout
        W_hh (d * h) in the place of W_hh h             hidden_dropout
        h = s * h_before + (1 - s) * h                  zoneout_hidden

    A mask is a function of ``random_state``, the number of the epoch, the sample, the layer, the
    direction, the step and the unit, never of the batch or of threads. Without masks m and d are 1
    and s is its probability.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore import LSTMRegressor
    >>> from lstmcore.cells import GRUCell
    >>> X = np.random.default_rng(0).normal(size=(20, 5, 2))
    >>> model = LSTMRegressor(cell=GRUCell(reset_after=False), hidden_size=4, max_iter=2, tol=None)
    >>> model.fit(X, X.sum(axis=(1, 2))).gates(X)[0].reset.shape
    (5, 4)
    """

    _constraints: ClassVar[dict[str, _parameters.Constraint]] = constraints_of(GRU_OPTIONS)
    _n_gates = 3

    def __init__(
        self,
        *,
        reset_after: bool = True,
        gate_clip: float | None = None,
        gate_activation: Any = "sigmoid",
        cell_activation: Any = "tanh",
        recurrent_dropout: float = 0.0,
        hidden_dropout: float = 0.0,
        zoneout_hidden: float = 0.0,
    ) -> None:
        self.reset_after = reset_after
        self.gate_clip = gate_clip
        self.gate_activation = gate_activation
        self.cell_activation = cell_activation
        self.recurrent_dropout = recurrent_dropout
        self.hidden_dropout = hidden_dropout
        self.zoneout_hidden = zoneout_hidden

    def _options(self) -> dict[str, Any]:
        return gru_as_core(self)


class RNNCell(BaseCell):
    """Simple recurrent unit: h is what the sum passes through.

    Parameters
    ----------
    nonlinearity : str or tuple, default="tanh"
        What the sum passes through: "tanh", "relu" or another activation; see `LSTMCell`.
    gate_clip : float or None, default=None
        Bound of the sum, as ``clip`` of ONNX.
    hidden_dropout : float, default=0.0
        Rate of dropout of h where W_hh multiplies it, of the same units at all steps of a sequence
        (Gal and Ghahramani 2016), in training.
    zoneout_hidden : float, default=0.0
        Probability in [0, 1) that a unit of h stays what it was (Krueger et al. 2016),
        in training. Otherwise the expectation of that is computed.

    Notes
    -----
    With masks s of each step, d of a sequence, where d is 0 or 1 / (1 - rate) and s is 0 or 1::

        W_hh (d * h) in the place of W_hh h             hidden_dropout
        h = s * h_before + (1 - s) * h                  zoneout_hidden

    A mask is a function of ``random_state``, the number of the epoch, the sample, the layer, the
    direction, the step and the unit, never of the batch or of threads. Without masks d is 1 and s
    is its probability.

    Examples
    --------
    >>> from lstmcore import LSTMRegressor
    >>> from lstmcore.cells import RNNCell
    >>> LSTMRegressor(cell=RNNCell()).set_params(cell__nonlinearity="relu").cell
    RNNCell(nonlinearity='relu')
    """

    _constraints: ClassVar[dict[str, _parameters.Constraint]] = constraints_of(RNN_OPTIONS)
    _n_gates = 1

    def __init__(
        self,
        *,
        nonlinearity: Any = "tanh",
        gate_clip: float | None = None,
        hidden_dropout: float = 0.0,
        zoneout_hidden: float = 0.0,
    ) -> None:
        self.nonlinearity = nonlinearity
        self.gate_clip = gate_clip
        self.hidden_dropout = hidden_dropout
        self.zoneout_hidden = zoneout_hidden

    def _options(self) -> dict[str, Any]:
        return rnn_as_core(self)


_BY_NAME: dict[str, type[BaseCell]] = {"lstm": LSTMCell, "gru": GRUCell, "rnn": RNNCell}
_CLASSES = {cls.__name__: cls for cls in _BY_NAME.values()}


def as_cell(cell: Any) -> BaseCell:
    """Return the cell that an estimator's parameter ``cell`` stands for."""
    return _BY_NAME[cell]() if isinstance(cell, str) else cell


def cell_options(cell: Any, recurrent_dropout: float) -> dict[str, Any]:
    """Return the parameters ``cell`` and ``recurrent_dropout`` of an estimator for the core."""
    options = as_cell(cell)._options()
    if not recurrent_dropout:
        return options
    if "recurrent_dropout" in options:
        raise ValueError(
            f"recurrent_dropout={recurrent_dropout} and that of {cell} are both given: set one."
        )
    return options | {"recurrent_dropout": recurrent_dropout}


def cell_constraint() -> _parameters.Constraint:
    """Allow the names of cells, and the cells of this module with parameters that they allow."""

    def error(value: Any) -> type[TypeError | ValueError] | None:
        if isinstance(value, str):
            return None if value in _BY_NAME else ValueError
        if type(value) not in _CLASSES.values():
            return TypeError
        _parameters.check_parameters(type(value).__name__, value.get_params(), value._constraints)
        return None

    names = ", ".join(map(repr, _BY_NAME))
    return _parameters.Constraint(f"one of {names}, or a cell of lstmcore.cells", error)


def cell_record(cell: Any) -> Any:
    """Return a parameter ``cell`` as plain values, for a file."""
    if isinstance(cell, BaseCell):
        return {"cell": type(cell).__name__, "parameters": cell.get_params()}
    return cell


def cell_of_record(record: Any) -> Any:
    """Return the parameter of which `cell_record` made a record, or what pretends to be one."""
    if not isinstance(record, dict):
        return record
    cls, parameters = _CLASSES.get(str(record.get("cell"))), record.get("parameters")
    if record.keys() != {"cell", "parameters"} or cls is None or not isinstance(parameters, dict):
        raise ValueError("its cell is none of lstmcore.cells")
    if not parameters.keys() <= set(cls._get_param_names()):
        raise ValueError(f"the parameters of its cell are not those of {cls.__name__}")
    return cls(**parameters)
