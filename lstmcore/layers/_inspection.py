"""What layers did inside, and how far their gradients reach back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from lstmcore._gradient_flow import GradientFlow, flows_of, require_one_direction
from lstmcore._inference import checked_level, level_gates, record_type
from lstmcore._threads import resolve_threads
from lstmcore._user_batch import UserBatch


def layer_records(
    stack: Any,
    content: Any,
    kind: str,
    n_layers: int,
    n_directions: int,
    *,
    reverse: bool,
) -> Any:
    """Return what each layer did in a forward pass.

    Parameters
    ----------
    stack : object
        The layers in the core.
    content : object
        What the forward pass kept.
    kind : str
        The kind of cell.
    n_layers : int
        Number of layers.
    n_directions : int
        1, or 2 of bidirectional ones.
    reverse : bool
        Whether they read from the end to the start.

    Returns
    -------
    records : list of Gates, GRUGates or RNNStates
        One for each layer; arrays in the form of the layer's output.
    """
    batch = UserBatch.of_pass(stack, content)
    records = []
    for level in range(n_layers):
        gates, cell, hidden = level_gates(stack, content, level, n_directions)
        columns = [] if kind == "rnn" else [*np.moveaxis(gates, 1, 0)]
        columns += [hidden] if cell is None else [cell, hidden]
        arrays = (batch.unpack(np.ascontiguousarray(one), turn=reverse) for one in columns)
        records.append(record_type(kind)(*arrays))
    return records


class InspectableLayer:
    """Adds to the layers what looks into them."""

    num_layers: int
    bidirectional: bool
    dtype: str
    n_jobs: int | None
    _has_cell_state: ClassVar[bool]
    _stack: Any

    if TYPE_CHECKING:

        @property
        def output_size(self) -> int: ...

    def gradient_flow(
        self, x: Any, state: Any = None, *, dy: Any = None, dstate: Any = None, layer: int = -1
    ) -> list[GradientFlow]:
        """Return how large a gradient is, seen from ever earlier states.

        Where gradients vanish, what stood early in a sequence can't be learnt. One pass of BPTT
        gives them all, in memory that grows with T; `GradientFlowDisplay` plots them.

        Parameters
        ----------
        x, state
            As for calling the layer.
        dy, dstate
            Gradients as for `backward`. If both are None, the gradient is that of the sum of the
            last layer's final h.
        layer : int, default=-1
            The layer whose states are meant: 0 is the lowest, -1 the highest.

        Returns
        -------
        flows : list of GradientFlow
            For each sequence of T steps, ``hidden``, ``cell`` and ``state``: norms (T + 1,) of the
            gradients with respect to h, to c and to both, by lag. 0 is after the last step.

        Raises
        ------
        ValueError
            If a shape is wrong, or there is no such layer, or the layer is bidirectional.
        TypeError
            If an argument is no array, list of arrays or state, or ``layer`` no int.

        Examples
        --------
        >>> import numpy as np
        >>> from lstmcore.layers import LSTM, RNN
        >>> x = np.random.default_rng(0).normal(size=(1, 100, 3))
        >>> for cls in (LSTM, RNN):
        ...     (flow,) = cls(3, 8, random_state=0).gradient_flow(x)
        ...     print(cls.__name__, bool(flow.state[100] > 1e-12 * flow.state[0]))
        LSTM True
        RNN False
        """
        level = checked_level(layer, self.num_layers)
        require_one_direction(self.bidirectional)
        _, _, cache = self._run(x, state, keep=True)
        batch = UserBatch.of_pass(self._stack, cache.content)
        dy, dstate = self._plain_gradients(dy, dstate, cache.content)
        if dy is None and dstate is None:
            dstate = self._gradient_of_last_h(batch.n_sequences)
        norms = self._stack.state_gradient_norms(
            cache.content, dy, dstate, level, resolve_threads(self.n_jobs)
        )
        packed = flows_of(norms, batch.n_active, batch.n_sequences)
        flows: list[Any] = [None] * batch.n_sequences
        for sample, flow in zip(batch.order.tolist(), packed, strict=True):
            flows[sample] = flow
        return flows

    def _run(self, x: Any, state: Any, *, keep: bool) -> tuple[Any, Any, Any]:
        raise NotImplementedError

    def _gradient_of_last_h(self, n_sequences: int) -> Any:
        """Return the gradient of the sum of the last layer's final h, as that of a state."""
        dh = np.zeros((self.num_layers, n_sequences, self.output_size), self.dtype)
        dh[-1] = 1
        return (dh, None) if self._has_cell_state else dh

    def _plain_gradients(self, dy: Any, dstate: Any, content: Any) -> tuple[Any, Any]:
        raise NotImplementedError
