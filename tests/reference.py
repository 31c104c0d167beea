"""The oracle: an LSTM network in float64 NumPy that every numerical test compares with.

It is written to be read and shares no code with the library, not even the packing
(`reference_packing`). Attention and embeddings stand in `reference_heads`. It is itself
checked against finite differences and, where torch is installed, against torch
(``core/test_oracle.py``), and the tests check that they would notice if it were wrong:
``core/test_mutants.py`` breaks it in single places and demands that the comparison fails.

T steps, N sequences, I inputs, H hidden units, K outputs, R packed rows; gates in the order
i, f, g, o. Sequences are sorted by length, longest first; ``n_active[t]`` of them are alive at
step t, and packed rows run over the steps, then over the sequences alive.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from reference_heads import (
    Attention,
    Table,
    attend_backward,
    attend_forward,
    embed_backward,
    embed_forward,
)
from reference_packing import Array as Array
from reference_packing import active_counts as active_counts
from reference_packing import pack, steps, unpack
from reference_packing import packed_order as packed_order


class Weights(NamedTuple):
    """One layer: W_ih (4H, I), W_hh (4H, H), b (4H)."""

    W_ih: Array
    W_hh: Array
    b: Array


class Stash(NamedTuple):
    """What the backward pass needs: x (R, I), h_in, c_in, c (R, H), gates (R, 4, H)."""

    x: Array
    h_in: Array
    c_in: Array
    c: Array
    gates: Array


# --- the LSTM ------------------------------------------------------------------------------------


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z)), without overflow."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + e), e / (1 + e))


def lstm_forward(
    w: Weights, x: Array, n_active: Array, h0: Array, c0: Array
) -> tuple[Array, Array, Array, Stash]:
    """One layer: y (R, H), h_n and c_n (N, H), and what the backward pass needs."""
    n_rows, n_hidden = len(x), w.W_hh.shape[1]
    y, h_in, c_in, c_out = (np.empty((n_rows, n_hidden)) for _ in range(4))
    gates = np.empty((n_rows, 4, n_hidden))
    h, c = h0.copy(), c0.copy()
    for n, rows in steps(n_active):
        h_in[rows], c_in[rows] = h[:n], c[:n]
        z = x[rows] @ w.W_ih.T + h[:n] @ w.W_hh.T + w.b
        zi, zf, zg, zo = np.split(z, 4, axis=1)
        i, f, g, o = sigmoid(zi), sigmoid(zf), np.tanh(zg), sigmoid(zo)
        c[:n] = f * c[:n] + i * g
        h[:n] = o * np.tanh(c[:n])
        y[rows], c_out[rows], gates[rows] = h[:n], c[:n], np.stack([i, f, g, o], axis=1)
    return y, h, c, Stash(x, h_in, c_in, c_out, gates)


def lstm_backward(
    w: Weights, stash: Stash, n_active: Array, dy: Array, dh_n: Array, dc_n: Array
) -> tuple[Array, Array, Array, Weights]:
    """One layer: dx (R, I), dh0 and dc0 (N, H), and the gradients of the weights."""
    dz = np.empty((len(stash.x), len(w.b)))
    dh, dc = dh_n.copy(), dc_n.copy()
    for n, rows in reversed(list(steps(n_active))):
        i, f, g, o = stash.gates[rows].transpose(1, 0, 2)
        tanh_c = np.tanh(stash.c[rows])
        dh[:n] += dy[rows]
        dc[:n] += dh[:n] * o * (1 - tanh_c**2)
        di, df, dg, do = dc[:n] * g, dc[:n] * stash.c_in[rows], dc[:n] * i, dh[:n] * tanh_c
        dzi, dzf, dzg, dzo = di * i * (1 - i), df * f * (1 - f), dg * (1 - g**2), do * o * (1 - o)
        dz[rows] = np.concatenate([dzi, dzf, dzg, dzo], axis=1)
        dh[:n] = dz[rows] @ w.W_hh
        dc[:n] = dc[:n] * f
    return dz @ w.W_ih, dh, dc, Weights(dz.T @ stash.x, dz.T @ stash.h_in, dz.sum(axis=0))


def stack_forward(
    layers: list[Weights],
    x: Array,
    n_active: Array,
    h0: list[Array],
    c0: list[Array],
    masks: list[Array] | None = None,
) -> tuple[Array, list[Array], list[Array], list[Stash]]:
    """Layers on top of each other; the input of layer k + 1 is multiplied by masks[k] (R, H_k)."""
    h_n, c_n, stashes = [], [], []
    y = x
    for level, w in enumerate(layers):
        if masks is not None and level > 0:
            y = y * masks[level - 1]
        y, h, c, stash = lstm_forward(w, y, n_active, h0[level], c0[level])
        h_n.append(h)
        c_n.append(c)
        stashes.append(stash)
    return y, h_n, c_n, stashes


def stack_backward(
    layers: list[Weights],
    stashes: list[Stash],
    n_active: Array,
    dy: Array,
    dh_n: list[Array],
    dc_n: list[Array],
    masks: list[Array] | None = None,
) -> tuple[Array, list[Array], list[Array], list[Weights]]:
    """The gradients of everything that went into ``stack_forward``, layers in their order."""
    dh0, dc0, gradients = [], [], []
    for level in reversed(range(len(layers))):
        dy, dh, dc, gradient = lstm_backward(
            layers[level], stashes[level], n_active, dy, dh_n[level], dc_n[level]
        )
        if masks is not None and level > 0:
            dy = dy * masks[level - 1]
        dh0.insert(0, dh)
        dc0.insert(0, dc)
        gradients.insert(0, gradient)
    return dy, dh0, dc0, gradients


# --- pooling over the steps of each sequence -----------------------------------------------------


def pool_forward(pooling: str, y: Array, n_active: Array, n_sequences: int) -> Array:
    """(N, H) from packed (R, H): last step, mean or maximum; zero for a sequence without steps."""
    sequences = unpack(y, n_active, n_sequences)
    pooled = np.zeros((n_sequences, y.shape[1]))
    take = {
        "last": lambda s: s[-1],
        "mean": lambda s: s.mean(axis=0),
        "max": lambda s: s.max(axis=0),
    }
    for n, sequence in enumerate(sequences):
        if len(sequence):
            pooled[n] = take[pooling](sequence)
    return pooled


def pool_backward(pooling: str, y: Array, n_active: Array, dpooled: Array) -> Array:
    """dy (R, H); of several equal maxima the first gets the gradient."""
    gradients = []
    for sequence, d in zip(unpack(y, n_active, len(dpooled)), dpooled, strict=True):
        dy = np.zeros_like(sequence)
        if len(sequence) and pooling == "last":
            dy[-1] = d
        elif len(sequence) and pooling == "mean":
            dy[:] = d / len(sequence)
        elif len(sequence):
            dy[sequence.argmax(axis=0), np.arange(len(d))] = d
        gradients.append(dy)
    return pack(gradients) if len(y) else np.zeros_like(y)


# --- losses --------------------------------------------------------------------------------------


def softmax(z: Array) -> Array:
    """Along the last axis."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def loss_forward(
    loss: str, z: Array, targets: Array, huber_delta: float = 1.0
) -> tuple[Array, Array]:
    """Loss (N,) of each sample, the mean over outputs z (N, K) of the head, and dloss/dz (N, K)."""
    n_outputs = z.shape[1]
    if loss == "softmax_cross_entropy":
        one_hot = np.eye(n_outputs)[targets]
        shifted = z - z.max(axis=1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return -(one_hot * log_p).sum(axis=1), softmax(z) - one_hot
    if loss == "sigmoid_cross_entropy":
        each = np.maximum(z, 0) - z * targets + np.log1p(np.exp(-np.abs(z)))
        return each.mean(axis=1), (sigmoid(z) - targets) / n_outputs
    error = z - targets
    if loss == "squared_error":
        return (error**2).mean(axis=1), 2 * error / n_outputs
    if loss == "huber":
        near = np.abs(error) <= huber_delta
        each = np.where(near, error**2 / 2, huber_delta * (np.abs(error) - huber_delta / 2))
        return each.mean(axis=1), np.clip(error, -huber_delta, huber_delta) / n_outputs
    raise ValueError(loss)


def link_forward(link: str, z: Array) -> Array:
    """What ``predict`` makes of the outputs of the head."""
    return {"identity": lambda a: a, "sigmoid": sigmoid, "softmax": softmax}[link](z)


# --- the whole network ---------------------------------------------------------------------------


class Network(NamedTuple):
    """Embeddings, stack of LSTM layers, pooling, dense head; parameters in one flat vector (P,).

    An embedding is a column of x, its number of tokens, and the size of what becomes of them.
    """

    input_size: int
    hidden_sizes: tuple[int, ...]
    n_outputs: int
    pooling: str = "last"
    embeddings: tuple[tuple[int, int, int], ...] = ()

    def split(
        self, parameters: Array
    ) -> tuple[list[Weights], Attention | None, Array, Array, list[Table]]:
        """The layers' weights, attention's, head_weight (K, H), head_bias (K,), the tables."""
        taken = 0

        def take(*shape: int) -> Array:
            nonlocal taken
            taken += int(np.prod(shape))
            return parameters[taken - int(np.prod(shape)) : taken].reshape(shape).astype(np.float64)

        layers, below = [], self.input_size + sum(size - 1 for _, _, size in self.embeddings)
        for h in self.hidden_sizes:
            layers.append(Weights(take(4 * h, below), take(4 * h, h), take(4 * h)))
            below = h
        attention = None
        if self.pooling == "attention":
            attention = Attention(take(below, below), take(below), take(below))
        head = take(self.n_outputs, below), take(self.n_outputs)
        tables = [Table(column, take(n, size)) for column, n, size in self.embeddings]
        assert taken == len(parameters)
        return layers, attention, *head, tables

    def outputs(self, parameters: Array, x: Array, n_active: Array, n_sequences: int) -> Array:
        """(N, K) before the link."""
        layers, attention, head_weight, head_bias, tables = self.split(parameters)
        zeros = [np.zeros((n_sequences, h)) for h in self.hidden_sizes]
        y, *_ = stack_forward(layers, embed_forward(tables, x), n_active, zeros, zeros)
        if attention is None:
            pooled = pool_forward(self.pooling, y, n_active, n_sequences)
        else:
            pooled = attend_forward(attention, y, n_active, n_sequences)
        return pooled @ head_weight.T + head_bias

    def loss_and_gradient(
        self,
        parameters: Array,
        x: Array,
        n_active: Array,
        targets: Array,
        *,
        loss: str,
        sample_weight: Array | None = None,
        huber_delta: float = 1.0,
        masks: list[Array] | None = None,
    ) -> tuple[float, Array]:
        """Sum of w l over sum of w and its gradient (P,); targets, weights in packed order.

        Dropout: ``masks`` between the layers as in ``stack_forward``, the last one (N, H) of what
        goes into the head.
        """
        n = len(targets)
        layers, attention, head_weight, head_bias, tables = self.split(parameters)
        zeros = [np.zeros((n, h)) for h in self.hidden_sizes]
        inputs = embed_forward(tables, x)
        y, _, _, stashes = stack_forward(layers, inputs, n_active, zeros, zeros, masks)
        mask = 1.0 if masks is None else masks[-1]
        if attention is None:
            pooled = pool_forward(self.pooling, y, n_active, n) * mask
        else:
            pooled = attend_forward(attention, y, n_active, n) * mask
        each, dz = loss_forward(loss, pooled @ head_weight.T + head_bias, targets, huber_delta)
        weight = np.ones(n) if sample_weight is None else sample_weight
        dz = dz * (weight / weight.sum())[:, None]
        dpooled = dz @ head_weight * mask
        of_attention: Sequence[Array] = ()
        if attention is None:
            dy = pool_backward(self.pooling, y, n_active, dpooled)
        else:
            dy, of_attention = attend_backward(attention, y, n_active, dpooled)
        dx, *_, gradients = stack_backward(layers, stashes, n_active, dy, zeros, zeros, masks)
        parts = [part for layer in gradients for part in layer] + [*of_attention]
        parts += [dz.T @ pooled, dz.sum(axis=0), *embed_backward(tables, x, dx)]
        mean_loss = float(np.average(each, weights=weight))
        return mean_loss, np.concatenate([part.ravel() for part in parts])


# --- optimisers ----------------------------------------------------------------------------------


def clip(gradient: Array, max_norm: float) -> Array:
    """The gradient, scaled down where its norm passes ``max_norm``; torch's way, with its 1e-6."""
    return gradient * min(1.0, max_norm / (float(np.sqrt((gradient**2).sum())) + 1e-6))


def solver_step(
    solver: str,
    parameters: Array,
    gradient: Array,
    state: Array,
    step: int,
    *,
    learning_rate: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    max_grad_norm: float = np.inf,
) -> tuple[Array, Array]:
    """Parameters and state (rows of moments) after step number ``step``, counted from 1."""
    p = parameters
    g = clip(gradient, max_grad_norm)
    if solver == "adamw":
        p = p * (1 - learning_rate * weight_decay)
    else:
        g = g + weight_decay * p
    if solver in ("adam", "adamw"):
        m = beta1 * state[0] + (1 - beta1) * g
        v = beta2 * state[1] + (1 - beta2) * g**2
        m_hat, v_hat = m / (1 - beta1**step), v / (1 - beta2**step)
        return p - learning_rate * m_hat / (np.sqrt(v_hat) + epsilon), np.stack([m, v])
    if solver == "sgd":
        velocity = momentum * state[0] + g
        return p - learning_rate * velocity, velocity[None]
    if solver == "rmsprop":
        v = 0.99 * state[0] + 0.01 * g**2
        return p - learning_rate * g / (np.sqrt(v) + epsilon), v[None]
    raise ValueError(solver)
