"""What a network's outputs owe to its inputs: gradients by BPTT, plain or integrated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcore._gradient_flow import flows_of
from lstmcore._inference import batches_of
from lstmcore._sequences import Sequences

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lstmcore._gradient_flow import GradientFlow
    from lstmcore._network import FloatArray, NetworkSpec


def input_gradients(
    network: Any, sequences: Sequences, dscores: FloatArray, *, n_threads: int
) -> FloatArray:
    """Return the gradient of a weighted sum of scores with respect to every input.

    Parameters
    ----------
    network : object
        A core network that was built ``with_dx``, with its parameters.
    sequences : Sequences
        n sequences.
    dscores : ndarray of shape (n, K)
        Weights of the scores of each sequence.
    n_threads : int
        Number of threads; the gradient does not depend on it.

    Returns
    -------
    gradient : ndarray of shape (total, I)
        Row by row as in ``sequences.values``.
    """
    gradient = np.empty_like(sequences.values)
    if not sequences.n_samples:
        return gradient
    starts = sequences.starts
    for x, n_active, samples in batches_of(sequences):
        dx = network.input_gradient(
            x, n_active, np.ascontiguousarray(dscores[samples]), n_threads=n_threads
        )
        # Step t of the n-th longest sequence stands in row offset[t] + n.
        row = 0
        for t, count in enumerate(n_active):
            gradient[starts[samples[:count]] + t] = dx[row : row + count]
            row += count
    return gradient


def gradient_flows(
    network: Any, sequences: Sequences, dscores: FloatArray, layer: int, *, n_threads: int
) -> list[GradientFlow]:
    """Return norms of the gradients of a weighted sum of scores, by lag, for each sequence.

    Parameters
    ----------
    network : object
        A core network with its parameters.
    sequences : Sequences
        n sequences.
    dscores : ndarray of shape (n, K)
        Weights of the scores of each sequence.
    layer : int
        The layer whose states are meant, 0 being the lowest.
    n_threads : int
        Number of threads; the norms do not depend on it.

    Returns
    -------
    flows : list of GradientFlow
        In the order of the sequences.
    """
    flows: list[Any] = [None] * sequences.n_samples
    for x, n_active, samples in batches_of(sequences):
        norms = network.state_gradient_norms(
            x,
            n_active,
            np.ascontiguousarray(dscores[samples]),
            layer=layer,
            n_threads=n_threads,
        )
        packed = flows_of(norms, n_active, len(samples))
        for sample, flow in zip(samples.tolist(), packed, strict=True):
            flows[sample] = flow
    return flows


def integrated_gradients(
    network: Any,
    sequences: Sequences,
    dscores: FloatArray,
    baseline: FloatArray,
    *,
    n_steps: int,
    n_threads: int,
) -> FloatArray:
    """Return gradients, averaged on the way from a baseline to the inputs, times the way.

    Parameters
    ----------
    network, sequences, dscores, n_threads
        As for `input_gradients`.
    baseline : ndarray of shape (I,)
        Where the way begins, at every step of every sequence.
    n_steps : int
        Points on the way, in the middles of equal parts.

    Returns
    -------
    attributions : ndarray of shape (total, I), float64
        Those of a sequence sum to the difference of its scores at the inputs and at the baseline,
        but for the error of the midpoint rule.
    """
    way = sequences.values - baseline
    total = np.zeros(way.shape)
    for k in range(n_steps):
        part = ((k + 0.5) / n_steps * way).astype(way.dtype)
        point = Sequences(baseline + part, sequences.starts)
        total += input_gradients(network, point, dscores, n_threads=n_threads)
    products: NDArray[np.float64] = total / n_steps * way
    return products


def inputs_per_column(spec: NetworkSpec) -> NDArray[np.intp]:
    """Return for each column of x how many inputs of the lowest layer come from it, (I,)."""
    counts = np.ones(spec.input_size, np.intp)
    for column, _, size in spec.embeddings:
        counts[column] = size
    return counts


def per_column(spec: NetworkSpec, values: NDArray[Any]) -> NDArray[Any]:
    """Return what the inputs (total, E) of each column have in sum, (total, I)."""
    if not spec.embeddings:
        return values
    counts = inputs_per_column(spec)
    sums: NDArray[Any] = np.add.reduceat(values, np.cumsum(counts) - counts, axis=1)
    return sums


def times_embeddings(spec: NetworkSpec, gradient: FloatArray, inputs: FloatArray) -> FloatArray:
    """Return a gradient (total, E), that of embeddings times the embeddings themselves."""
    columns = np.repeat(np.arange(spec.input_size), inputs_per_column(spec))
    embedded = np.isin(columns, [column for column, _, _ in spec.embeddings])
    products: FloatArray = np.where(embedded, gradient * inputs, gradient)
    return products


def chosen_scores(columns: NDArray[np.intp], n_outputs: int, dtype: str) -> FloatArray:
    """Return weights (n, K) that are 1 for one output of each sequence, else 0."""
    dscores = np.zeros((len(columns), n_outputs), dtype)
    dscores[np.arange(len(columns)), columns] = 1
    return dscores


def check_columns(target: Any, n_outputs: int, n_samples: int) -> NDArray[np.intp]:
    """Return for each sequence the number of the output that is asked for."""
    if target is None:
        if n_outputs > 1:
            raise ValueError(
                f"target must say which of the {n_outputs} outputs is meant: its number, or one "
                "number per sequence."
            )
        return np.zeros(n_samples, np.intp)
    columns = np.asarray(target)
    if columns.shape not in ((), (n_samples,)) or columns.dtype.kind not in "iu":
        raise ValueError(
            f"target must be an int or {n_samples} ints, the numbers of outputs; got {target!r}."
        )
    if columns.size and not (columns.min() >= 0 and columns.max() < n_outputs):
        raise ValueError(f"target must be from 0 to {n_outputs - 1}, got {target!r}.")
    return np.broadcast_to(columns, n_samples).astype(np.intp)


def find_labels(target: Any, classes: NDArray[Any], n_samples: int) -> NDArray[np.intp]:
    """Return for each sequence the number of the class that is asked for."""
    labels = np.asarray(target)
    if labels.shape not in ((), (n_samples,)):
        raise ValueError(
            f"target must be a label or {n_samples} labels, got the shape {labels.shape}."
        )
    unknown = ~np.isin(labels, classes)
    if unknown.any():
        raise ValueError(
            f"target must be of the classes {classes.tolist()}, got {labels[unknown][0]!r}."
        )
    return np.broadcast_to(np.searchsorted(classes, labels), n_samples).astype(np.intp)
