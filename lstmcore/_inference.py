"""Running a fitted network over sequences: batches in, one row or one record per sequence out."""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcore import _batching

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lstmcore._network import FloatArray, IndexArray, NetworkCache, NetworkSpec
    from lstmcore._sequences import Sequences

# A batch ends after about this many rows: wide enough to keep all threads busy, and its memory
# does not grow with the number of sequences.
_BATCH_ROWS = 2**15
# A longer sequence goes through the network in pieces of so many steps, with the states carried.
_PIECE_ROWS = 2**15


@dataclass(frozen=True, slots=True, eq=False)
class Gates:
    """What one LSTM layer did in a sequence of T steps; every array is (T, H).

    Parameters
    ----------
    input, forget, candidate, output : ndarray of shape (T, H)
        Activated gates; the candidate has passed its tanh, the others their sigmoid.
    cell, hidden : ndarray of shape (T, H)
        The cell state and the hidden state after each step; the latter is as narrow as a projection
        makes it.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore import LSTMClassifier
    >>> X = [np.ones((3, 1)), np.zeros((2, 1))]
    >>> model = LSTMClassifier(hidden_size=4, max_iter=2, tol=None).fit(X, [0, 1])
    >>> [gates.forget.shape for gates in model.gates(X)]
    [(3, 4), (2, 4)]
    """

    input: FloatArray
    forget: FloatArray
    candidate: FloatArray
    output: FloatArray
    cell: FloatArray
    hidden: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class GRUGates:
    """What one layer of GRUs did in a sequence of T steps; every array is (T, H).

    Parameters
    ----------
    reset, update, candidate : ndarray of shape (T, H)
        Activated gates; the candidate has passed its tanh, the others their sigmoid.
    hidden : ndarray of shape (T, H)
        The hidden state after each step.
    """

    reset: FloatArray
    update: FloatArray
    candidate: FloatArray
    hidden: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class RNNStates:
    """What one layer of simple recurrent units did in a sequence of T steps.

    Parameters
    ----------
    hidden : ndarray of shape (T, H)
        The hidden state after each step.
    """

    hidden: FloatArray


def checked_level(layer: Any, n_layers: int) -> int:
    """Return which of the layers is meant, 0 being the lowest and -1 the highest."""
    try:
        level = operator.index(layer)
    except TypeError:
        raise TypeError(f"layer must be an int, got {layer!r}.") from None
    if not -n_layers <= level < n_layers:
        raise ValueError(
            f"layer must lie between {-n_layers} and {n_layers - 1}, as there are {n_layers} "
            f"recurrent layers; got {layer}."
        )
    return level % n_layers


def record_type(kind: str) -> Any:
    """Return what a record of layers of a kind of cell is."""
    return {"lstm": Gates, "gru": GRUGates, "rnn": RNNStates}[kind]


def batches_of(sequences: Sequences) -> Iterator[tuple[FloatArray, IndexArray, IndexArray]]:
    """Yield packed batches, the longest sequences first: (x, n_active, samples)."""
    for indices in _batch_indices(sequences):
        yield _batching.pack(sequences.values, sequences.starts, indices)


def _batch_indices(sequences: Sequences, chosen: IndexArray | None = None) -> list[IndexArray]:
    """Return which sequences make each batch, of all or some; the longest come first."""
    lengths = np.diff(sequences.starts)
    order = np.argsort(-lengths, kind="stable")
    if chosen is not None:
        order = order[np.isin(order, chosen)]
    # Each sequence counts for one row at least, so that empty ones fill batches too.
    ends = np.cumsum(np.maximum(lengths[order], 1))
    cuts = np.flatnonzero(np.diff(ends // _BATCH_ROWS)) + 1
    return np.split(order, cuts)


def predict(
    spec: NetworkSpec,
    cache: NetworkCache,
    parameters: FloatArray,
    sequences: Sequences,
    *,
    apply_link: bool,
    n_threads: int,
) -> FloatArray:
    """Return the outputs of the network, one row per sequence.

    Sequences of more than 2**15 steps are read piece by piece: of a memory map no more than a piece
    needs to be in memory.

    Parameters
    ----------
    spec : NetworkSpec
        The network.
    cache : NetworkCache
        The core objects that hold its parameters.
    parameters : ndarray of shape (P,)
        Its parameters.
    sequences : Sequences
        n sequences.
    apply_link : bool
        Whether the outputs pass the link (sigmoid, softmax).
    n_threads : int
        Number of threads; the outputs do not depend on it.

    Returns
    -------
    outputs : ndarray of shape (n, K)
        In the order of the sequences.
    """
    outputs = np.empty((sequences.n_samples, spec.n_outputs), spec.dtype)
    if sequences.n_samples == 0:
        return outputs
    network = cache.get(spec, parameters)
    # Layers that read from the end begin there.
    is_long = (sequences.lengths > _PIECE_ROWS) & (not spec.bidirectional)
    for i in np.flatnonzero(is_long):
        steps = sequences.values[sequences.starts[i] : sequences.starts[i + 1]]
        stack = cache.get(spec, parameters, "stack")
        outputs[i] = _predict_long(
            spec, network, stack, steps, apply_link=apply_link, n_threads=n_threads
        )
    short = np.flatnonzero(~is_long)
    if len(short) == 0:
        return outputs
    values, starts = sequences.values, sequences.starts
    for indices in _batch_indices(sequences, short):
        n_active, _, samples, _ = _batching.order_epoch(values, starts, indices, len(indices))
        # The core's threads bring together the rows of their own part.
        outputs[samples] = network.predict(
            values,
            n_active,
            len(samples),
            apply_link=apply_link,
            n_threads=n_threads,
            begins=starts[samples],
        )
    return outputs


def _predict_long(
    spec: NetworkSpec,
    network: Any,
    stack: Any,
    steps: FloatArray,
    *,
    apply_link: bool,
    n_threads: int,
) -> FloatArray:
    """Return the outputs (K,) for one sequence (T, I), T at least 1."""
    hidden: Any = None
    cell: Any = None
    pooled = np.zeros(spec.carried_size, spec.dtype)
    for begin in range(0, len(steps), _PIECE_ROWS):
        piece = steps[begin : begin + _PIECE_ROWS].view(np.ndarray)
        n_active = np.ones(len(piece), np.intp)
        inputs = layer_inputs(spec, network, piece)
        y, hidden, cell, _ = stack.forward(
            inputs, n_active, 1, hidden, cell or None, n_threads=n_threads, keep=False
        )
        # The last step of all is left to predict_step, which makes the outputs of it.
        end = len(piece) - (begin + len(piece) == len(steps))
        pooled = network.pool_steps(y[:end], pooled, begin)
    n_steps = np.array([len(steps)], np.intp)
    outputs, _ = network.predict_step(y[-1:], pooled[None], n_steps, apply_link=apply_link)
    result: FloatArray = outputs[0]
    return result


def layer_inputs(spec: NetworkSpec, network: Any, rows: FloatArray) -> FloatArray:
    """Return what the lowest layer reads: embeddings in place of tokens, (R, E)."""
    inputs: FloatArray = network.embed(rows) if spec.embeddings else rows
    return inputs


def attention_weights(
    network: Any, sequences: Sequences, *, n_threads: int
) -> list[NDArray[np.floating]]:
    """Return the weights of the steps of each sequence, by attention pooling.

    Parameters
    ----------
    network : object
        The core network, with its parameters.
    sequences : Sequences
        n sequences.
    n_threads : int
        Number of threads.

    Returns
    -------
    weights : list of ndarray of shape (T_i,)
        In the order of the sequences.
    """
    weights: dict[int, Any] = {}
    for x, n_active, samples in batches_of(sequences) if sequences.n_samples else ():
        rows = network.attention(x, n_active, len(samples), n_threads=n_threads)
        values, starts = _batching.unpack(rows[:, None], n_active, np.arange(len(samples)))
        for sample, begin, end in zip(samples, starts[:-1], starts[1:], strict=True):
            weights[int(sample)] = values[begin:end, 0]
    return [weights[sample] for sample in range(sequences.n_samples)]


def level_gates(stack: Any, cache: Any, level: int, n_directions: int) -> tuple[Any, Any, Any]:
    """Return gates (R, G, D H), cell states or None, and hidden states of both directions."""
    found = [stack.gates(cache, level * n_directions + d) for d in range(n_directions)]
    gates, cell, hidden = zip(*found, strict=True)
    joined = None if cell[0] is None else np.concatenate(cell, axis=1)
    return np.concatenate(gates, axis=2), joined, np.concatenate(hidden, axis=1)


def record_gates(
    spec: NetworkSpec,
    network: Any,
    parameters: FloatArray,
    sequences: Sequences,
    layer: int,
    *,
    n_threads: int,
) -> list[Gates] | list[GRUGates] | list[RNNStates]:
    """Return what one layer did in each sequence.

    Parameters
    ----------
    spec : NetworkSpec
        The network.
    network : object
        The core network, with its parameters.
    parameters : ndarray of shape (P,)
        Its parameters, of which those of the recurrent layers come first.
    sequences : Sequences
        n sequences.
    layer : int
        The layer, 0 being the lowest.
    n_threads : int
        Number of threads.

    Returns
    -------
    records : list of Gates, GRUGates or RNNStates
        One for each sequence, in the order of the sequences.
    """
    # The layers above cannot change what this one does, and their parameters come after its own.
    stack = replace(spec, hidden_sizes=spec.hidden_sizes[: layer + 1]).build_stack()
    stack.set_parameters(np.ascontiguousarray(parameters[: stack.n_parameters]))
    kind = spec.cell["kind"]
    record = record_type(kind)
    records: dict[int, Any] = {}
    for x, n_active, samples in batches_of(sequences) if sequences.n_samples else ():
        *_, cache = stack.forward(
            layer_inputs(spec, network, x),
            n_active,
            len(samples),
            None,
            None,
            n_threads=n_threads,
            keep=True,
        )
        gates, cell, hidden = level_gates(stack, cache, layer, spec.n_directions)
        columns = [] if kind == "rnn" else [*np.moveaxis(gates, 1, 0)]
        columns += [hidden] if cell is None else [cell, hidden]
        rows = np.concatenate(columns, axis=1)
        ends = np.cumsum([column.shape[1] for column in columns[:-1]])
        values, starts = _batching.unpack(rows, n_active, np.arange(len(samples)))
        for sample, begin, end in zip(samples, starts[:-1], starts[1:], strict=True):
            parts = np.split(values[begin:end], ends, axis=1)
            records[int(sample)] = record(*map(np.ascontiguousarray, parts))
    return [records[sample] for sample in range(sequences.n_samples)]
