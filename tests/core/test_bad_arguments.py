"""What does not fit is a ValueError that names the argument; the object works on afterwards."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from cases import Case, Problem, draw, run_core, stack_of

from lstmcore import _core

CASE = Case("arguments", 3, (4, 6), (3, 2, 2, 0))


def forward_arguments(p: Problem) -> dict[str, Any]:
    return {
        "x": p.x,
        "n_active": p.n_active,
        "n_sequences": p.n_sequences,
        "h0": p.h0,
        "c0": p.c0,
    }


P = draw(CASE, np.float32)
WRONG_FORWARD = {
    "x dtype": ("x", P.x.astype(np.float64)),
    "x integers": ("x", P.x.astype(np.int32)),
    "x big-endian": ("x", P.x.astype(">f4")),
    "x features": ("x", np.zeros((7, 4), np.float32)),
    "x rows": ("x", np.zeros((8, 3), np.float32)),
    "x ndim": ("x", np.zeros(21, np.float32)),
    "x Fortran order": ("x", np.asfortranarray(P.x)),
    "x strided": ("x", np.zeros((14, 3), np.float32)[::2]),
    "x reversed": ("x", P.x[::-1]),
    "n_active increasing": ("n_active", np.array([2, 3, 2], np.intp)),
    "n_active above n_sequences": ("n_active", np.array([5, 1, 1], np.intp)),
    "n_active zero": ("n_active", np.array([4, 3, 0], np.intp)),
    "n_active negative": ("n_active", np.array([4, 4, -1], np.intp)),
    "n_active huge": ("n_active", np.array([2**62, 2**62, 2**62], np.intp)),
    "n_active dtype": ("n_active", P.n_active.astype(np.int32)),
    "n_active ndim": ("n_active", P.n_active[None]),
    "n_sequences negative": ("n_sequences", -1),
    "n_sequences too small": ("n_active", np.array([4, 2, 1], np.intp) + 1),
    "h0 layers": ("h0", P.h0[:1]),
    "h0 sequences": ("h0", [a[:3].copy() for a in P.h0]),
    "h0 width": ("h0", P.h0[::-1]),
    "h0 dtype": ("h0", [a.astype(np.float64) for a in P.h0]),
    "c0 layers": ("c0", [*P.c0, P.c0[0]]),
    "c0 order": ("c0", [np.asfortranarray(a) for a in P.c0]),
    "c0 ndim": ("c0", [a[None] for a in P.c0]),
}
WRONG_BACKWARD = {
    "dy dtype": ("dy", P.dy.astype(np.float64)),
    "dy rows": ("dy", P.dy[:-1].copy()),
    "dy width": ("dy", np.zeros((7, 5), np.float32)),
    "dh_n layers": ("dh_n", P.dh_n[:1]),
    "dh_n width": ("dh_n", P.dh_n[::-1]),
    "dc_n sequences": ("dc_n", [a[:3].copy() for a in P.dc_n]),
    "dc_n dtype": ("dc_n", [a.astype(np.float64) for a in P.dc_n]),
}


@pytest.mark.parametrize(("name", "value"), WRONG_FORWARD.values(), ids=list(WRONG_FORWARD))
def test_forward(name: str, value: object) -> None:
    stack = stack_of(P)
    with pytest.raises(ValueError, match=rf"\b{name}\b"):
        stack.forward(**(forward_arguments(P) | {name: value}), n_threads=1, keep=True)
    y, *_ = stack.forward(**forward_arguments(P), n_threads=1, keep=True)
    np.testing.assert_array_equal(y, run_core(P)["y"])


@pytest.mark.skipif(
    "asan" in os.environ.get("LD_PRELOAD", ""),
    reason="AddressSanitizer ends a process that asks for so much",
)
def test_more_sequences_than_memory_holds() -> None:
    """An exception, not a crash."""
    with pytest.raises((ValueError, MemoryError)):
        stack_of(P).forward(
            np.empty((0, 3), np.float32),
            np.empty(0, np.intp),
            2**59,
            None,
            None,
            n_threads=1,
            keep=True,
        )


@pytest.mark.parametrize("n_threads", [0, -1])
def test_n_threads(n_threads: int) -> None:
    with pytest.raises(ValueError, match="n_threads"):
        stack_of(P).forward(**forward_arguments(P), n_threads=n_threads, keep=True)


@pytest.mark.parametrize(("name", "value"), WRONG_BACKWARD.values(), ids=list(WRONG_BACKWARD))
def test_backward_leaves_the_stash_usable(name: str, value: object) -> None:
    stack = stack_of(P)
    *_, stash = stack.forward(**forward_arguments(P), n_threads=1, keep=True)
    given = {"dy": P.dy, "dh_n": P.dh_n, "dc_n": P.dc_n}
    with pytest.raises(ValueError, match=rf"\b{name}\b"):
        stack.backward(stash, **(given | {name: value}), need_dx=True, n_threads=1)
    dx, *_ = stack.backward(stash, **given, need_dx=True, n_threads=1)
    np.testing.assert_array_equal(dx, run_core(P)["dx"])


@pytest.mark.parametrize("hidden_sizes", [(4,), (4, 7), (40, 60)], ids=str)
def test_stash_of_another_stack(hidden_sizes: tuple[int, ...]) -> None:
    other = draw(Case("other", 3, hidden_sizes, (3, 2, 2, 0)), np.float32)
    *_, stash = stack_of(other).forward(**forward_arguments(other), n_threads=1, keep=True)
    with pytest.raises(ValueError, match="cache"):
        stack_of(P).backward(stash, P.dy, None, None, need_dx=True, n_threads=1)


@pytest.mark.parametrize("layer", [-1, 2])
def test_gates_of_a_layer_that_is_not_there(layer: int) -> None:
    stack = stack_of(P)
    *_, stash = stack.forward(**forward_arguments(P), n_threads=1, keep=True)
    with pytest.raises(ValueError, match="layer"):
        stack.gates(stash, layer)


def test_parameters() -> None:
    stack = stack_of(P)
    for wrong in (
        P.parameters[:-1].copy(),
        P.parameters.astype(np.float64),
        P.parameters[None],
        np.repeat(P.parameters, 2)[::2],
    ):
        with pytest.raises(ValueError, match=r"\bparameters\b"):
            stack.set_parameters(wrong)


def test_use_before_parameters_are_set() -> None:
    stack = _core.RecurrentStackFloat32(3, [4, 6])
    with pytest.raises(ValueError, match="parameters"):
        stack.forward(**forward_arguments(P), n_threads=1, keep=True)


@pytest.mark.parametrize(
    ("name", "arguments"),
    {
        "input_size 0": ("input_size", (0, [3])),
        "input_size negative": ("input_size", (-5, [3])),
        "no layer": ("hidden_sizes", (3, [])),
        "hidden size 0": ("hidden_sizes", (3, [4, 0])),
        "sizes that overflow": ("size", (2**40, [2**40])),
        "isa": ("isa", (3, [4], "avx1024")),
    }.values(),
)
def test_construction(name: str, arguments: tuple[Any, ...]) -> None:
    for cls in (_core.RecurrentStackFloat32, _core.RecurrentStackFloat64):
        with pytest.raises(ValueError, match=name):
            cls(*arguments)


def test_step() -> None:
    p = draw(Case("step", 3, (5, 5), (1, 1)), np.float32)
    stack = stack_of(p)
    h, c = np.stack(p.h0), np.stack(p.c0)
    good = {"x": p.x, "h": h, "c": c, "h_out": h.copy(), "c_out": c.copy()}
    wrong = {
        "x": p.x.astype(np.float64),
        "h": h[:1].copy(),
        "c": c[:, :1].copy(),
        "h_out": h.astype(np.float64),
        "c_out": c[:, :, ::-1],
    }
    for name, value in wrong.items():
        with pytest.raises(ValueError, match=rf"\b{name}\b"):
            stack.step(*(good | {name: value}).values(), n_threads=1)
    read_only = c.copy()
    read_only.flags.writeable = False
    with pytest.raises(ValueError, match=r"\bc_out\b"):
        stack.step(*(good | {"c_out": read_only}).values(), n_threads=1)
    with pytest.raises(ValueError, match="n_threads"):
        stack.step(*good.values(), n_threads=0)


def test_step_needs_layers_of_one_width() -> None:
    zeros = np.zeros((2, 1, 6), np.float32)
    with pytest.raises(ValueError, match=r"width|hidden_sizes|same"):
        stack_of(P).step(
            np.zeros((1, 3), np.float32), zeros, zeros, zeros.copy(), zeros.copy(), n_threads=1
        )


@pytest.mark.parametrize("function", [_core.sigmoid, _core.tanh])
def test_activations(function: Any) -> None:
    for wrong in (np.zeros((2, 2), np.float32), np.zeros(3, np.int64), np.zeros(8, "f4")[::2]):
        with pytest.raises((TypeError, ValueError), match=r"\bx\b"):
            function(wrong)
    with pytest.raises(ValueError, match="isa"):
        function(np.zeros(3, np.float32), "neon9")
