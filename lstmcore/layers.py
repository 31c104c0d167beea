"""Layers on their own, with states, gradients and single steps, for those who build their own."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lstmcore import _core
from lstmcore._files import Savable
from lstmcore._initializers import draw_seed, initial_parameters
from lstmcore._live_parameters import LiveParameters, named_views
from lstmcore._sequences import as_numbers
from lstmcore._threads import resolve_threads
from lstmcore._user_batch import UserBatch, checked_state, state_pair

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LSTM"]

Array: TypeAlias = NDArray[Any]
State: TypeAlias = tuple[Array, Array]


@dataclass(frozen=True, slots=True, eq=False)
class _Cache:
    """What a forward pass keeps for one backward pass."""

    stack: Any
    content: Any
    batch: UserBatch
    version: int


class LSTM(Savable):
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
        self.input_size = _checked_size(input_size, "input_size")
        self.hidden_size = _checked_size(hidden_size, "hidden_size")
        self.num_layers = _checked_size(num_layers, "num_layers")
        self.dtype = _checked_dtype(dtype)
        resolve_threads(n_jobs)
        self.n_jobs = n_jobs
        bias = _checked_number(forget_bias, "forget_bias")
        self._stack = self._new_stack()
        flat = initial_parameters(
            self._stack.layout, seed=draw_seed(random_state), dtype=self.dtype, forget_bias=bias
        )
        self._live = LiveParameters(self._stack, flat)

    def _new_stack(self) -> Any:
        """Return the core's layers, without parameters."""
        stack_class = getattr(_core, f"RecurrentStack{self.dtype.capitalize()}")
        return stack_class(self.input_size, [self.hidden_size] * self.num_layers)

    @property
    def parameters(self) -> Mapping[str, Array]:
        """Name → live view: what is written into a view counts from the next call on.

        ``weight_ih_l0`` (4H, I), ``weight_hh_l0`` (4H, H), ``bias_l0`` (4H), and with more layers
        ``weight_ih_l1`` (4H, H) and so on, the gates in the order i, f, g, o. As long as a view is
        alive, each call first looks whether it has been written into; for the fastest `step`, hold
        none.
        """
        return MappingProxyType(self._live.views())

    def __call__(self, x: Any, state: State | None = None) -> tuple[Any, State]:
        """Run sequences through the layers.

        Parameters
        ----------
        x : array-like of shape (N, T, I), or list of arrays of shape (T_i, I)
            Sequences; N, T and T_i may be 0. NaN comes out as NaN.
        state : tuple (h, c) of arrays of shape (L, N, H), or None
            State before the first step; None is zeros.

        Returns
        -------
        y : ndarray of shape (N, T, H), or list of ndarray of shape (T_i, H)
            Output of the last layer: an array where ``x`` is one, else a list.
        state : tuple (h, c) of ndarray of shape (L, N, H)
            State after the last step of each sequence; where there is none, the state before.

        Raises
        ------
        ValueError
            If a shape is wrong, or values are not real numbers.
        TypeError
            If an argument is no array, list of arrays, or pair of arrays.
        """
        y, state, _ = self._run(x, state, keep=False)
        return y, state

    def forward(self, x: Any, state: State | None = None) -> tuple[Any, State, Any]:
        """Run sequences through the layers and keep what `backward` needs.

        Parameters
        ----------
        x, state
            As for calling the layer.

        Returns
        -------
        y, state
            As from calling the layer, to the bit.
        cache : object
            For one call of `backward`.

        Raises
        ------
        ValueError, TypeError
            As for calling the layer.

        Examples
        --------
        >>> from lstmcore.layers import LSTM
        >>> y, state, cache = LSTM(3, 8).forward([[[0.0, 1.0, 2.0]]])
        """
        return self._run(x, state, keep=True)

    def backward(
        self,
        dy: Any,
        cache: Any,
        dstate: tuple[Array | None, Array | None] | None = None,
        need_dx: bool = True,
    ) -> tuple[Any, State, dict[str, Array]]:
        """Backpropagate through time.

        Parameters
        ----------
        dy : array or list like ``y`` of `forward`, or None
            Gradient with respect to ``y``; None is zeros.
        cache : object
            From `forward`, not used before. The gradient is that of the parameters at that time.
        dstate : tuple (dh, dc) of arrays of shape (L, N, H) or None, default=None
            Gradient with respect to the state that `forward` returned; None is zeros.
        need_dx : bool, default=True
            Whether ``dx`` is asked for; without it there is less to compute.

        Returns
        -------
        dx : array or list like ``x`` of `forward`, or None
            Gradient with respect to ``x``, if ``need_dx``.
        dstate : tuple (dh, dc) of ndarray of shape (L, N, H)
            Gradient with respect to the state before the first step.
        grads : dict of name to ndarray
            Gradient with respect to the parameters, summed over sequences and steps.

        Raises
        ------
        ValueError
            If a shape is wrong, or ``cache`` is of another layer, has been used, or is older than
            the parameters that the layer has been called with since.
        TypeError
            If an argument is no array, list of arrays, pair of arrays, or cache.

        Examples
        --------
        >>> import numpy as np
        >>> from lstmcore.layers import LSTM
        >>> layer = LSTM(3, 8, random_state=0)
        >>> y, state, cache = layer.forward(np.ones((2, 5, 3)))
        >>> dx, dstate, grads = layer.backward(y, cache)
        >>> dx.shape, sorted(grads)
        ((2, 5, 3), ['bias_l0', 'weight_hh_l0', 'weight_ih_l0'])
        >>> for name, values in layer.parameters.items():
        ...     values -= 0.1 * grads[name]
        """
        if not isinstance(cache, _Cache):
            raise TypeError(f"cache must be what forward returned, got {type(cache).__name__}.")
        if cache.stack is not self._stack:
            raise ValueError("cache is of another layer.")
        if cache.version != self._live.version:
            raise ValueError(
                "cache is of a forward pass with other parameters: the layer has been called with "
                "new ones since."
            )
        batch = cache.batch
        rows = None
        if dy is not None:
            rows = batch.pack_like(dy, np.dtype(self.dtype), self.hidden_size, "dy")
        dh, dc = self._state(dstate, "dstate", batch.n_sequences, optional=True)
        dx, dh_0, dc_0, gradient = self._stack.backward(
            cache.content,
            rows,
            batch.pack_state(dh),
            batch.pack_state(dc),
            need_dx=bool(need_dx),
            n_threads=resolve_threads(self.n_jobs),
        )
        return (
            None if dx is None else batch.unpack(dx),
            (batch.unpack_state(dh_0), batch.unpack_state(dc_0)),
            named_views(gradient, self._stack.layout),
        )

    def step(
        self, x_t: Array, state: State | None = None, out: State | None = None
    ) -> tuple[Array, State]:
        """Go one time step on, with the least delay; the same bits as calling the layer.

        Parameters
        ----------
        x_t : array-like of shape (N, I)
            One time step of N sequences.
        state : tuple (h, c) of arrays of shape (L, N, H), or None
            State before it; None is zeros.
        out : tuple (h, c) of arrays of shape (L, N, H), or None
            Where to put the state after it: C-contiguous, of the dtype of the layer, and two
            different arrays; they may be those of ``state``. None is new arrays. Nothing is
            allocated or copied if all other arguments are of this kind too.

        Returns
        -------
        y_t : ndarray of shape (N, H)
            Output of the last layer: a view of the new h, ``h[-1]``.
        state : tuple (h, c) of ndarray of shape (L, N, H)
            State after the step, ``out`` itself if it is given.

        Raises
        ------
        ValueError
            If a shape is wrong, or values are not real numbers, or ``out`` is not as it has to be.
        TypeError
            If ``state`` or ``out`` is no pair of arrays.

        Examples
        --------
        >>> import numpy as np
        >>> from lstmcore.layers import LSTM
        >>> layer = LSTM(3, 8, random_state=0)
        >>> x = np.random.default_rng(0).normal(size=(1, 4, 3))
        >>> state = None
        >>> for t in range(4):
        ...     y_t, state = layer.step(x[:, t], state)
        >>> bool(np.all(y_t == layer(x)[0][:, -1]))
        True
        """
        self._live.sync()
        # The core checks its arguments. What it refuses is looked at, and converted, afterwards.
        try:
            h, c = state  # type: ignore[misc]
            h_out, c_out = (np.empty_like(h), np.empty_like(c)) if out is None else out
            self._stack.step(x_t, h, c, h_out, c_out)
        except (TypeError, ValueError):
            return self._step_converted(x_t, state, out)
        return h_out[-1], (h_out, c_out)

    def _step_converted(
        self, x_t: Any, state: State | None, out: State | None
    ) -> tuple[Array, State]:
        """Make a step with arguments that the core does not take as they are, or say why not."""
        x_t = as_numbers(x_t, "x_t")
        if x_t.ndim != 2 or x_t.shape[1] != self.input_size:
            raise ValueError(f"x_t must have the shape (N, {self.input_size}), got {x_t.shape}.")
        shape = self.num_layers, len(x_t), self.hidden_size
        h, c = self._state(state, "state", len(x_t))
        if h is None or c is None:
            h = c = np.zeros(shape, self.dtype)
        h_out, c_out = (np.empty(shape, self.dtype), np.empty(shape, self.dtype))
        if out is not None:
            h_out, c_out = state_pair(out, "out")
        x_t, h, c = (np.ascontiguousarray(array, self.dtype) for array in (x_t, h, c))
        try:
            self._stack.step(x_t, h, c, h_out, c_out)
        except ValueError as error:
            raise ValueError(f"out: {error}") from error
        return h_out[-1], (h_out, c_out)

    def _run(self, x: Any, state: State | None, *, keep: bool) -> tuple[Any, State, Any]:
        """Run a forward pass; the cache is None unless it is to be kept."""
        self._live.sync()
        batch, rows = UserBatch.pack(x, np.dtype(self.dtype), self.input_size)
        h, c = self._state(state, "state", batch.n_sequences)
        y, h_n, c_n, content = self._stack.forward(
            rows,
            batch.n_active,
            batch.n_sequences,
            batch.pack_state(h),
            batch.pack_state(c),
            n_threads=resolve_threads(self.n_jobs),
            keep=keep,
        )
        cache = _Cache(self._stack, content, batch, self._live.version) if keep else None
        return batch.unpack(y), (batch.unpack_state(h_n), batch.unpack_state(c_n)), cache

    def _state(
        self, state: Any, name: str, n_sequences: int, *, optional: bool = False
    ) -> tuple[Array | None, Array | None]:
        """Return h and c of a state, of the dtype of the layer, or None and None."""
        shape = self.num_layers, n_sequences, self.hidden_size
        return checked_state(state, name, shape, np.dtype(self.dtype), optional=optional)

    def __repr__(self) -> str:
        return (
            f"LSTM({self.input_size}, {self.hidden_size}, num_layers={self.num_layers}, "
            f"dtype={self.dtype!r}, n_jobs={self.n_jobs})"
        )

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes, with the parameters in the place of their copy in the core."""
        state = {name: value for name, value in vars(self).items() if name != "_stack"}
        return state | {"_live": self._live.copy()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._stack = self._new_stack()
        self._live = LiveParameters(self._stack, state["_live"])


def _checked_size(value: Any, name: str) -> int:
    """Return a size as an int, of at least 1."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}.")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}.")
    return int(value)


def _checked_number(value: Any, name: str) -> float:
    """Return a finite number as a float."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}.")
    if not np.isfinite(float(value)):
        raise ValueError(f"{name} must be finite, got {value}.")
    return float(value)


def _checked_dtype(dtype: Any) -> str:
    """Return the name of a dtype that the core is compiled for."""
    for name in ("float32", "float64"):
        if dtype == name or dtype is getattr(np, name):
            return name
    raise ValueError(f'dtype must be "float32" or "float64", got {dtype!r}.')
