"""Masks stay what they are from one version to the next: a seed goes on to mean the same training.

Each is read off what a network does that has no other randomness, and compared as a hash.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from cases import Case
from cell_cases import Problem, draw, split_layers, stack_of
from networks import Spec, draw_data, draw_parameters, loss_and_gradient
from reference import Array
from reference_cells import Cell

SEED = 2**63 + 3
STEPS = 3
SAMPLES = np.array([0, 7, 2**31, 2**32 + 5, 2**40 + 7], np.intp)
UNITS = (150, 20)  # some rounds of the kernel, and a part of one

# The kind of a mask: the first numbers of the SHA-256 of its bits, for a rate of 0.3.
BITS = {
    "hidden_dropout": "6a8ae0191f387727",
    "zoneout_hidden": "9c759c951a2da1d1",
    "zoneout_cell": "34db698029f1f100",
    "recurrent_dropout": "8815b12734ea5581",
    "dropout": "9f43f6c2225bda3e",
}


def problem(kind: str, dtype: np.dtype[Any]) -> Problem:
    """Layers that read nothing: h' = h, or h + 1, or c' = c / 2 + tanh(1) / 2."""
    rnn = kind in ("hidden_dropout", "zoneout_hidden")
    options = (*((("relu", True),) if rnn else ()), (kind, 0.3))
    cell = Cell("rnn" if rnn else "lstm", options)
    p = draw(cell, Case("bits", 1, UNITS, (STEPS,) * len(SAMPLES)), dtype)
    p.parameters[...] = p.x[...] = 0
    for layer, size in zip(p.split(p.parameters), UNITS, strict=True):
        if rnn:
            layer["weight_hh"][...] = np.eye(size)
            layer["bias"][...] = kind == "zoneout_hidden"
        else:
            layer["bias"][2 * size : 3 * size] = 1
    for state in (*p.h0, *p.c0):
        state[...] = 1
    return p


def states(p: Problem, isa: str, n_threads: int) -> list[list[Array]]:
    """h or c of each layer before and after each step."""
    which, start = (2, p.c0) if p.cell.has_c else (1, p.h0)
    after = [
        stack_of(p, isa).forward(
            p.x[: t * len(SAMPLES)],
            p.n_active[:t],
            len(SAMPLES),
            p.h0,
            p.c0 if p.cell.has_c else None,
            n_threads=n_threads,
            keep=True,
            seed=SEED,
            samples=SAMPLES,
        )[which]
        for t in range(1, STEPS + 1)
    ]
    return [[s.copy() for s in states] for states in (start, *after)]


def hits(kind: str, before: Array, after: Array) -> Array:
    """Which units the mask of a step has hit."""
    if kind == "hidden_dropout":
        return (after == 0) & (before != 0)
    if kind == "recurrent_dropout":
        return np.isclose(after, before / 2, rtol=1e-6)
    return after == before


def hash_of(mask: Array) -> str:
    return hashlib.sha256(np.packbits(mask).tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("kind", [kind for kind in BITS if kind != "dropout"])
def test_bits_of_masks_in_layers(kind: str, isa: str, dtype: np.dtype[Any]) -> None:
    for n_threads in (1, 2):
        at = states(problem(kind, dtype), isa, n_threads)
        masks = [
            hits(kind, at[t][layer], at[t + 1][layer])
            for layer in range(len(UNITS))
            for t in range(1 if kind == "hidden_dropout" else STEPS)
        ]
        bits = np.concatenate([mask.ravel() for mask in masks])
        assert abs(bits.mean() - 0.3) < 0.1
        assert hash_of(bits) == BITS[kind]


def test_bits_of_masks_between_layers(isa: str, dtype: np.dtype[Any]) -> None:
    """A gradient of weights has zeros where what they multiply was dropped."""
    spec = Spec(3, UNITS, 1, dropout=0.3)
    data, parameters = draw_data(spec, [1] * 9, dtype), draw_parameters(spec, dtype)
    masks = []
    for sample in range(9):
        trainer = spec.trainer(dtype, isa)
        gradient = loss_and_gradient(trainer, parameters, data, [sample], seed=SEED, epoch=4)[1]
        shapes = {name: shape for name, shape, _ in spec.network(dtype).layout}
        (arrays,) = split_layers(gradient, [shapes])
        masks += [(arrays[name] == 0).all(axis=0) for name in ("weight_ih_l1", "head_weight")]
    bits = np.concatenate(masks)
    assert abs(bits.mean() - 0.3) < 0.1
    assert hash_of(bits) == BITS["dropout"]
