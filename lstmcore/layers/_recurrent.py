"""What all layers share: running, backpropagation through time, single steps, parameters."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, TypeVar, cast, overload

import numpy as np
from numpy.typing import NDArray

from lstmcore import _core
from lstmcore._files import Savable
from lstmcore._initializers import draw_seed, initial_parameters
from lstmcore._live_parameters import LiveParameters
from lstmcore._threads import resolve_threads
from lstmcore._user_batch import plain_sequences
from lstmcore.layers._checks import (
    checked_bool,
    checked_dtype,
    checked_number,
    checked_seed,
    checked_size,
)
from lstmcore.layers._inspection import InspectableLayer, layer_records
from lstmcore.layers._stepping import SteppingLayer

if TYPE_CHECKING:
    from collections.abc import Mapping

Array: TypeAlias = NDArray[Any]
State = TypeVar("State")

_CONNECTIONS = ("bidirectional", "residual", "reverse")


@dataclass(slots=True, eq=False)
class _Cache:
    """What a forward pass keeps for one backward pass."""

    stack: Any
    content: Any
    version: int


class RecurrentLayer(SteppingLayer[State], InspectableLayer, Savable):
    """Base of the layers: all that does not depend on the cell.

    A subclass says what its cell is in `_options`, in the words of the core. Where it
    `_has_cell_state`, a state is a pair (h, c), else it is h alone.
    """

    _n_gates: ClassVar[int]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        *,
        dtype: str,
        n_jobs: int | None,
        random_state: Any,
        bidirectional: bool,
        residual: bool,
        reverse: bool,
        forget_bias: float = 0.0,
    ) -> None:
        self.input_size = checked_size(input_size, "input_size")
        self.hidden_size = checked_size(hidden_size, "hidden_size")
        self.num_layers = checked_size(num_layers, "num_layers")
        self.bidirectional = checked_bool(bidirectional, "bidirectional")
        self.residual = checked_bool(residual, "residual")
        self.reverse = checked_bool(reverse, "reverse")
        if self.reverse and self.bidirectional:
            raise ValueError(
                "reverse must be False with bidirectional=True, which reads both ways, got True."
            )
        self.dtype = checked_dtype(dtype)
        resolve_threads(n_jobs)
        self.n_jobs = n_jobs
        bias = checked_number(forget_bias, "forget_bias")
        self._stack = self._new_stack()
        flat = initial_parameters(
            self._stack.layout,
            seed=draw_seed(random_state),
            dtype=self.dtype,
            **self._first_values(bias),
        )
        self._live = LiveParameters(self._stack, flat)

    @property
    def output_size(self) -> int:
        """Number of features of y."""
        return self._n_directions * self._hidden_width

    def _options(self) -> dict[str, Any]:
        """Return the cell as the core takes it."""
        raise NotImplementedError

    def _first_values(self, forget_bias: float) -> dict[str, Any]:
        """Return what the first values of the parameters depend on."""
        return {"n_gates": self._n_gates, "forget_bias": forget_bias}

    def _shown_options(self) -> dict[str, Any]:
        """Return the cell's options by the names of the constructor."""
        return {}

    def _new_stack(self) -> Any:
        """Return the core's layers, without parameters."""
        stack_class = getattr(_core, f"RecurrentStack{self.dtype.capitalize()}")
        sizes = [self.hidden_size] * self.num_layers
        return stack_class(
            self.input_size,
            sizes,
            cell=self._options(),
            bidirectional=self.bidirectional,
            residual=self.residual,
        )

    @property
    def parameters(self) -> Mapping[str, Array]:
        """Name → live view: what is written into a view counts from the next call on.

        The attribute ``parameters`` of the class says which there are. As long as a view is alive,
        each call first looks whether it has been written into; for the fastest `step`, hold none.
        """
        return MappingProxyType(self._live.views())

    def __call__(self, x: Any, state: State | None = None) -> tuple[Any, State]:
        """Run sequences through the layers.

        Parameters
        ----------
        x : array-like of shape (N, T, I), or list of arrays of shape (T_i, I)
            Sequences; N, T and T_i may be 0. NaN comes out as NaN.
        state : tuple (h, c) of arrays of shape (L, N, H), such an array h, or None
            State before the first step, h alone for cells without c; None is zeros. Of a
            bidirectional layer (2 L, N, H): of each layer both directions, forward first.

        Returns
        -------
        y : ndarray of shape (N, T, H), or list of ndarray of shape (T_i, H)
            Output of the last layer: an array where ``x`` is one, else a list. Of a bidirectional
            layer 2 H wide: of each step both directions, forward first.
        state : tuple (h, c) of ndarray of shape (L, N, H), or h alone
            State after the last step of each sequence; where there is none, the state before. In
            the backward direction the last step is the first of the sequence.

        Raises
        ------
        ValueError
            If a shape is wrong, or values are not real numbers.
        TypeError
            If an argument is no array, list of arrays, or state.

        Examples
        --------
        A sequence in chunks, of which each begins where the one before ended, gives the bits of the
        whole sequence:

        >>> import numpy as np
        >>> from lstmcore.layers import LSTM
        >>> layer, x = LSTM(3, 8, random_state=0), np.random.default_rng(0).normal(size=(2, 100, 3))
        >>> first, state = layer(x[:, :60])
        >>> second, state = layer(x[:, 60:], state)
        >>> np.array_equal(np.concatenate([first, second], axis=1), layer(x)[0])
        True
        """
        y, state, _ = self._run(x, state, keep=False)
        return y, state

    def forward(
        self,
        x: Any,
        state: State | None = None,
        *,
        seed: int | None = None,
        return_gates: bool = False,
    ) -> Any:
        """Run sequences through the layers and keep what `backward` needs.

        Parameters
        ----------
        x, state
            As for calling the layer.
        seed : int or None, default=None
            Decides the masks of dropout and zoneout, with the place of a sequence in ``x``. None:
            no dropout, and zoneout by its expectation, as for calling the layer.
        return_gates : bool, default=False
            Whether to return the gates and states of every step too.

        Returns
        -------
        y, state
            As from calling the layer, to the bit, where there are no masks.
        cache : object
            For one call of `backward`.
        gates : list of Gates, GRUGates or RNNStates
            Only with ``return_gates``: for each of the L layers what ``gates`` of the estimators
            tells of a sequence, such as ``gates[-1].forget``, in the form of ``y``.

        Raises
        ------
        ValueError, TypeError
            As for calling the layer.

        Examples
        --------
        >>> from lstmcore.layers import LSTM
        >>> y, state, cache = LSTM(3, 8).forward([[[0.0, 1.0, 2.0]]])
        """
        y, after, cache = self._run(x, state, keep=True, seed=checked_seed(seed))
        if not return_gates:
            return y, after, cache
        kind = self._options()["kind"]
        gates = layer_records(
            self._stack,
            cache.content,
            kind,
            self.num_layers,
            self._n_directions,
            reverse=self.reverse,
        )
        return y, after, cache, gates

    @overload
    def backward(
        self,
        dy: Any,
        cache: Any,
        dstate: Any = None,
        need_dx: bool = True,
        need_dstate: Literal[True] = True,
    ) -> tuple[Any, State, dict[str, Array]]: ...
    @overload
    def backward(
        self,
        dy: Any,
        cache: Any,
        dstate: Any = None,
        need_dx: bool = True,
        need_dstate: bool = True,
    ) -> tuple[Any, State | None, dict[str, Array]]: ...
    def backward(
        self,
        dy: Any,
        cache: Any,
        dstate: Any = None,
        need_dx: bool = True,
        need_dstate: bool = True,
    ) -> tuple[Any, State | None, dict[str, Array]]:
        """Backpropagate through time.

        Parameters
        ----------
        dy : array or list like ``y`` of `forward`, or None
            Gradient with respect to ``y``; None is zeros.
        cache : object
            From `forward`, not used before. The gradient is that of the parameters at that time.
        dstate : tuple (dh, dc) of arrays of shape (L, N, H) or None, or dh alone, default=None
            Gradient with respect to the state that `forward` returned; None is zeros.
        need_dx : bool, default=True
            Whether ``dx`` is asked for; without it there is less to compute.
        need_dstate : bool, default=True
            Whether the gradient of the state before the first step is asked for; without it there
            is a product less to compute, of one step.

        Returns
        -------
        dx : array or list like ``x`` of `forward`, or None
            Gradient with respect to ``x``, if ``need_dx``.
        dstate : tuple (dh, dc) of ndarray of shape (L, N, H), or dh alone, or None
            Gradient with respect to the state before the first step, if ``need_dstate``.
        grads : dict of name to ndarray
            Gradient with respect to the parameters, summed over sequences and steps.

        Raises
        ------
        ValueError
            If a shape is wrong, or ``cache`` is of another layer, has been used, or is older than
            the parameters that the layer has been called with since.
        TypeError
            If an argument is no array, list of arrays, state, or cache.

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

        A sequence in chunks, in the memory of one of them: forward with the states alone, then from
        the last chunk to the first, each once more. Without the ``dstate`` that is handed back,
        that would be truncated BPTT.

        >>> chunks = np.split(np.ones((2, 400, 3)), 4, axis=1)
        >>> states = [None]
        >>> for x in chunks[:-1]:
        ...     states.append(layer(x, states[-1])[1])
        >>> dstate, sums = None, dict.fromkeys(grads, 0.0)
        >>> for x, state in zip(reversed(chunks), reversed(states), strict=True):
        ...     y, _, cache = layer.forward(x, state)
        ...     _, dstate, grads = layer.backward(y, cache, dstate, need_dx=False)
        ...     sums = {name: sums[name] + grads[name] for name in sums}
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
        how = bool(need_dx), resolve_threads(self.n_jobs), bool(need_dstate)
        content = cache.content
        # The core takes plain arrays as they are. What it leaves is looked at, and converted, here:
        # after a pass, Python has long left the processor's caches, and each line of it takes time.
        gradients = self._stack.run_back(content, dy, dstate, *how)
        if gradients is None:
            plain = self._plain_gradients(dy, dstate, content)
            gradients = self._stack.run_back(content, *plain, *how)
        return cast("tuple[Any, State | None, dict[str, Array]]", gradients)

    def _run(
        self, x: Any, state: State | None, *, keep: bool, seed: int | None = None
    ) -> tuple[Any, State, Any]:
        """Run a forward pass; the cache is None unless it is to be kept."""
        self._live.sync()
        how = resolve_threads(self.n_jobs), keep, self.reverse, seed
        found = self._stack.run(x, state, *how)
        if found is None:  # as in backward
            x = plain_sequences(x, np.dtype(self.dtype), self.input_size, "x")
            found = self._stack.run(x, self._plain_state(state, "state", len(x)), *how)
        y, after, content = found
        return y, after, _Cache(self._stack, content, self._live.version) if keep else None

    def _plain_gradients(self, dy: Any, dstate: Any, content: Any) -> tuple[Any, Any]:
        """Return gradients of the output and of the state in the end as plain arrays."""
        lengths, _, _ = self._stack.form(content)
        if dy is not None:
            dy = plain_sequences(dy, np.dtype(self.dtype), self.output_size, "dy")
            found = np.array([len(sequence) for sequence in dy], np.intp)
            if not np.array_equal(found, lengths):
                raise ValueError(
                    f"dy must have as many sequences as x, of the same lengths: {lengths}, got "
                    f"{found}."
                )
        return dy, self._plain_state(dstate, "dstate", len(lengths), optional=True)

    def __repr__(self) -> str:
        shown = self._shown_options()
        shown |= {name: True for name in _CONNECTIONS if getattr(self, name)}
        options = "".join(f"{name}={value!r}, " for name, value in shown.items())
        return (
            f"{type(self).__name__}({self.input_size}, {self.hidden_size}, "
            f"num_layers={self.num_layers}, {options}dtype={self.dtype!r}, n_jobs={self.n_jobs})"
        )

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes, with the parameters in the place of their copy in the core."""
        state = vars(self) | {"_live": self._live.copy()}
        return {name: state[name] for name in state if name not in ("_stack", "_counted_threads")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # What was stored before there were these has none of them.
        missing = [name for name in _CONNECTIONS if name not in state]
        self.__dict__.update(state | dict.fromkeys(missing, False))
        self._stack = self._new_stack()
        self._live = LiveParameters(self._stack, state["_live"])
