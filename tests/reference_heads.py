"""The oracle's attention pooling and embeddings, in float64 NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from reference_packing import Array, pack, unpack


class Attention(NamedTuple):
    """Additive attention: W (H, H), b (H), q (H)."""

    W: Array
    b: Array
    q: Array


def attend_forward(w: Attention, y: Array, n_active: Array, n_sequences: int) -> Array:
    """(N, H) from packed (R, H): the mean weighted by softmax of q . tanh(W h + b)."""
    pooled = np.zeros((n_sequences, y.shape[1]))
    for n, sequence in enumerate(unpack(y, n_active, n_sequences)):
        if len(sequence):
            pooled[n] = attention_weights(w, sequence) @ sequence
    return pooled


def attention_weights(w: Attention, sequence: Array) -> Array:
    """(T,) of a sequence (T, H)."""
    scores = np.tanh(sequence @ w.W.T + w.b) @ w.q
    e = np.exp(scores - scores.max())
    weights: Array = e / e.sum()
    return weights


def attend_backward(
    w: Attention, y: Array, n_active: Array, dpooled: Array
) -> tuple[Array, Attention]:
    """dy (R, H) and the gradients of the weights."""
    gradients = []
    dW, db, dq = np.zeros_like(w.W), np.zeros_like(w.b), np.zeros_like(w.q)
    for sequence, d in zip(unpack(y, n_active, len(dpooled)), dpooled, strict=True):
        u, a = np.tanh(sequence @ w.W.T + w.b), np.empty(0)
        if len(sequence):
            a = attention_weights(w, sequence)
        owed = sequence @ d
        de = a * (owed - a @ owed)
        dv = np.outer(de, w.q) * (1 - u**2)
        gradients.append(np.outer(a, d) + dv @ w.W)
        dW, db, dq = dW + dv.T @ sequence, db + dv.sum(axis=0), dq + u.T @ de
    return (pack(gradients) if len(y) else np.zeros_like(y)), Attention(dW, db, dq)


class Table(NamedTuple):
    """The embedding of a column of x: a row for each token."""

    column: int
    rows: Array


def embed_forward(tables: Sequence[Table], x: Array) -> Array:
    """x (R, I) with the column of each table replaced by rows of it."""
    parts = [x[:, [column]] for column in range(x.shape[1])]
    for table in tables:
        parts[table.column] = table.rows[x[:, table.column].astype(int)]
    return np.concatenate(parts, axis=1)


def embed_backward(tables: Sequence[Table], x: Array, dinputs: Array) -> list[Array]:
    """The gradient of each table, given that of what ``embed_forward`` returned."""
    sizes = [1] * x.shape[1]
    for table in tables:
        sizes[table.column] = table.rows.shape[1]
    parts = np.split(dinputs, np.cumsum(sizes)[:-1], axis=1)
    gradients = []
    for table in tables:
        gradient = np.zeros_like(table.rows)
        np.add.at(gradient, x[:, table.column].astype(int), parts[table.column])
        gradients.append(gradient)
    return gradients
