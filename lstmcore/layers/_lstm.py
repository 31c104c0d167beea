"""The LSTM layer."""

from __future__ import annotations

from typing import Any

from lstmcore.layers._recurrent import Array, RecurrentLayer


class LSTM(RecurrentLayer[tuple[Array, Array]]):
    """One LSTM layer, or several on top of each other.

    For each time step, with the gates in the order i, f, g, o::

        i, f, g, o = W_ih x_t + W_hh h + b        sigmoid; tanh for g
        c = f * c + i * g
        h = o * tanh(c)

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
    dtype : {"float32", "float64"}, default="float32"
        Precision of all numbers. Arrays of other dtypes are converted.
    n_jobs : int or None, default=None
        Threads to use: None or -1 for all that are available to this process, -2 for all but one.
        `step` always uses one.
    random_state : int, RandomState, Generator or None, default=None
        Determines the first values of the parameters.
    forget_bias : float, default=1.0
        First value of the forget gates' biases. Other biases start at 0, input weights uniform
        after Glorot, recurrent weights orthogonal.

    Attributes
    ----------
    parameters : mapping of name to ndarray
        Live views: ``weight_ih_l0`` (4H, I), ``weight_hh_l0`` (4H, H), ``bias_l0`` (4H) and so on.

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
        dtype: str = "float32",
        n_jobs: int | None = None,
        random_state: Any = None,
        forget_bias: float = 1.0,
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            dtype=dtype,
            n_jobs=n_jobs,
            random_state=random_state,
            forget_bias=forget_bias,
        )

    def _options(self) -> dict[str, Any]:
        return {"kind": "lstm"}
