"""Sequences as callers have them, in any order, give what packed rows give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import CASES, Case, Problem, draw, stack_of
from cell_cases import NORMALISED, Cell

from lstmcore import _core

Array = np.ndarray[Any, Any]

EQUAL_SIZES = [case for case in CASES if len(set(case.hidden_sizes)) == 1]


class Given:
    """A problem as a caller has it: sequences, and states (L, N, H), in an order of their own."""

    def __init__(self, p: Problem, *, turned: bool = False) -> None:
        self.lengths = np.array([(p.n_active > n).sum() for n in range(p.n_sequences)], np.intp)
        self.turned = turned
        # Sequences of one length must stay in their order, or they would be packed otherwise.
        order = np.random.default_rng(p.n_sequences).permutation(p.n_sequences)
        for length in set(self.lengths.tolist()):
            at = np.flatnonzero(self.lengths[order] == length)
            order[at] = np.sort(order[at])
        self.order = order
        self.offset = np.concatenate([[0], np.cumsum(p.n_active)]).astype(np.intp)

    def sequences(self, rows: Array) -> list[Array]:
        found = []
        for n in self.order:
            steps = self.offset[: self.lengths[n]] + n
            found.append(np.ascontiguousarray(rows[steps[::-1] if self.turned else steps]))
        return found

    def state(self, h: list[Array], c: list[Array]) -> tuple[Array, ...]:
        return tuple(np.ascontiguousarray(np.stack(part)[:, self.order]) for part in (h, c))


def same(found: list[Array], expected: list[Array]) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("case", EQUAL_SIZES, ids=str)
def test_the_same_bits_as_packed_rows(
    case: Case, n_threads: int, dtype: np.dtype[Any], turned: bool
) -> None:
    p = draw(case, dtype)
    stack = stack_of(p)
    given = Given(p, turned=turned)
    y, h_n, c_n, cache = stack.forward(
        p.x, p.n_active, p.n_sequences, p.h0, p.c0, n_threads=n_threads, keep=True
    )
    dx, dh, dc, gradient = stack.backward(
        cache, p.dy, p.dh_n, p.dc_n, need_dx=True, n_threads=n_threads
    )

    x, state = given.sequences(p.x), given.state(p.h0, p.c0)
    found_y, found_state, cache = stack.run(x, state, n_threads, True, turned, None)
    without, _, nothing = stack.run(x, state, n_threads, False, turned, None)
    assert nothing is None
    same(without, found_y)
    same(found_y, given.sequences(y))
    same(found_state, list(given.state(h_n, c_n)))
    found_dx, found_dstate, gradients = stack.run_back(
        cache, given.sequences(p.dy), given.state(p.dh_n, p.dc_n), True, n_threads
    )
    same(found_dx, given.sequences(dx))
    same(found_dstate, list(given.state(dh, dc)))
    for name, shape, offset in stack.layout:
        here = gradients[name]
        np.testing.assert_array_equal(here, gradient[offset : offset + here.size].reshape(shape))


# Of the last block some units, more than half of it, all of them, and some of a second one.
SIZES = [5, 13, 16, 20]

# Its gradient of h passes by the kernels.
ZONED = Cell("lstm", (("zoneout_hidden", 0.3),))


@pytest.mark.parametrize("size", SIZES)
def test_an_array_is_a_list_of_equal_lengths(
    isa: str, n_threads: int, dtype: np.dtype[Any], size: int
) -> None:
    """The gradient of an array is read where it lies, that of a list is packed."""
    rng = np.random.default_rng(0)
    stack = _core.RecurrentStackFloat32 if dtype == np.float32 else _core.RecurrentStackFloat64
    layers = stack(3, [size, size], isa)
    layers.set_parameters(rng.normal(size=layers.n_parameters).astype(dtype))
    x, dy = (rng.normal(size=(19, 7, width)).astype(dtype) for width in (3, size))
    state = tuple(rng.normal(size=(2, 2, 19, size)).astype(dtype))

    def scattered(array: Array) -> list[Array]:
        return [np.array(one) for one in array]

    passes = []
    for form_of_x in (np.asarray, scattered):
        for form_of_dy in (np.asarray, scattered):
            y, after, cache = layers.run(form_of_x(x), state, n_threads, True, False, None)
            dx, dstate, gradients = layers.run_back(cache, form_of_dy(dy), state, True, n_threads)
            passes.append([np.stack(y), *after, np.stack(dx), *dstate, *gradients.values()])
    for found in passes[1:]:
        same(found, passes[0])


@pytest.mark.parametrize("cell", [Cell("lstm"), NORMALISED, ZONED], ids=str)
@pytest.mark.parametrize("size", SIZES)
def test_gradients_are_not_read_beyond_their_rows(
    isa: str, dtype: np.dtype[Any], size: int, cell: Cell
) -> None:
    """What is no number in the row behind stays out of this one."""
    rng = np.random.default_rng(0)
    stack = _core.RecurrentStackFloat32 if dtype == np.float32 else _core.RecurrentStackFloat64
    layers = stack(3, [size], isa, cell=cell.core)
    layers.set_parameters(rng.normal(size=layers.n_parameters).astype(dtype))
    x, dy = (rng.normal(size=(2, 4, width)).astype(dtype) for width in (3, size))
    state = tuple(np.zeros((1, 2, size), dtype) for _ in range(2))

    def dx_of_the_first() -> Array:
        cache = layers.run(x, state, 1, True, False, None)[2]
        dx: Array = layers.run_back(cache, dy, None, True, 1)[0]
        return dx[0]

    expected = dx_of_the_first()
    assert np.isfinite(expected).all()
    dy[1] = np.nan
    np.testing.assert_array_equal(dx_of_the_first(), expected)


def test_neither_gradient_needs_to_be_there(dtype: np.dtype[Any]) -> None:
    p = draw(CASES[2], dtype)
    stack = stack_of(p)
    given = Given(p)
    cache = stack.forward(p.x, p.n_active, p.n_sequences, p.h0, p.c0, n_threads=2, keep=True)[3]
    *_, flat = stack.backward(cache, None, p.dh_n, p.dc_n, need_dx=False, n_threads=2)
    *_, cache = stack.run(given.sequences(p.x), given.state(p.h0, p.c0), 2, True, False, None)
    dx, _, gradients = stack.run_back(cache, None, given.state(p.dh_n, p.dc_n), False, 2)
    assert dx is None
    np.testing.assert_array_equal(np.concatenate([g.ravel() for g in gradients.values()]), flat)


class Numbers(np.ndarray):
    """An array of a class of its own."""


def strange_sequences() -> dict[str, Any]:
    plain = np.zeros((2, 3, 1), np.float32)
    return {
        "list of lists": plain.tolist(),
        "float64": plain.astype(np.float64),
        "one float64": [plain[0], plain[1].astype(np.float64)],
        "other byte order": plain.astype(">f4"),
        "too wide": np.zeros((2, 3, 2), np.float32),
        "one too wide": [plain[0], np.zeros((3, 2), np.float32)],
        "two axes": plain[0],
        "not contiguous": np.zeros((2, 3, 2), np.float32)[:, :, :1],
        "one not contiguous": [plain[0], np.zeros((6, 1), np.float32)[::2]],
        "a class of its own": plain.view(Numbers),
        "None": None,
        "a generator": (one for one in plain),
    }


@pytest.mark.parametrize("kind", strange_sequences())
def test_what_is_no_plain_array_is_left_to_the_caller(kind: str) -> None:
    stack = _core.RecurrentStackFloat32(1, [1])
    stack.set_parameters(np.zeros(stack.n_parameters, np.float32))
    x = strange_sequences()[kind]
    assert stack.run(x, None, 1, True, False, None) is None
    *_, cache = stack.run(np.zeros((2, 3, 1), np.float32), None, 1, True, False, None)
    if x is not None:
        assert stack.run_back(cache, x, None, True, 1) is None
        assert stack.state_gradient_norms(cache, x, None, 0, 1) is None
    # The cache has not been used up by what was refused.
    assert stack.run_back(cache, None, None, True, 1) is not None


@pytest.mark.parametrize(
    "state",
    [
        (np.zeros((1, 2, 1), np.float32),),
        (np.zeros((1, 2, 1), np.float32),) * 3,
        (np.zeros((1, 3, 1), np.float32),) * 2,
        (np.zeros((2, 2, 1), np.float32),) * 2,
        (np.zeros((1, 2, 2), np.float32),) * 2,
        (np.zeros((1, 2, 1)),) * 2,
        (np.zeros((2, 1), np.float32),) * 2,
        np.zeros((2, 1, 2, 1), np.float32),
        "hc",
    ],
    ids=str,
)
def test_what_is_no_state_is_left_to_the_caller(state: Any) -> None:
    stack = _core.RecurrentStackFloat32(1, [1])
    stack.set_parameters(np.zeros(stack.n_parameters, np.float32))
    x = np.zeros((2, 3, 1), np.float32)
    assert stack.run(x, state, 1, True, False, None) is None
    *_, cache = stack.run(x, None, 1, True, False, None)
    assert stack.run_back(cache, None, state, True, 1) is None


def test_a_state_has_both_parts_and_a_gradient_may_lack_one() -> None:
    stack = _core.RecurrentStackFloat32(1, [1])
    stack.set_parameters(np.ones(stack.n_parameters, np.float32))
    x, one = np.ones((2, 3, 1), np.float32), np.ones((1, 2, 1), np.float32)
    assert stack.run(x, (one, None), 1, True, False, None) is None
    gradients = []
    for dstate in ((one, None), (one, 0 * one)):
        *_, cache = stack.run(x, (one, one), 1, True, False, None)
        gradients.append(stack.run_back(cache, None, dstate, True, 1)[0])
    same(*gradients)


def test_other_lengths_than_those_of_x_are_left_to_the_caller() -> None:
    stack = _core.RecurrentStackFloat32(1, [1])
    stack.set_parameters(np.zeros(stack.n_parameters, np.float32))
    *_, cache = stack.run([np.zeros((2, 1), np.float32)] * 3, None, 1, True, False, None)
    for lengths in ([2, 2], [2, 2, 3], [2, 1, 2]):
        dy = [np.zeros((length, 1), np.float32) for length in lengths]
        assert stack.run_back(cache, dy, None, True, 1) is None


def test_caches_are_of_one_kind_of_pass() -> None:
    stack = _core.RecurrentStackFloat32(1, [1])
    stack.set_parameters(np.zeros(stack.n_parameters, np.float32))
    rows = np.zeros((2, 1), np.float32), np.array([1, 1]), 1, None, None
    *_, of_forward = stack.forward(*rows, n_threads=1, keep=True)
    *_, of_run = stack.run([rows[0]], None, 1, True, False, None)
    with pytest.raises(ValueError, match="cache is of forward, not of run"):
        stack.run_back(of_forward, None, None, True, 1)
    with pytest.raises(ValueError, match="cache is of run, not of forward"):
        stack.backward(of_run, None, None, None, need_dx=True, n_threads=1)


def test_layers_of_other_sizes_have_no_array_of_states() -> None:
    stack = _core.RecurrentStackFloat32(1, [1, 2])
    stack.set_parameters(np.zeros(stack.n_parameters, np.float32))
    with pytest.raises(ValueError, match="run needs layers of equal hidden_sizes"):
        stack.run(np.zeros((2, 3, 1), np.float32), None, 1, True, False, None)
