"""First values of parameters: their distribution, and that a seed means them on every machine."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from lstmcore._initializers import draw_seed, initial_parameters, orthogonal
from lstmcore._live_parameters import named_views
from lstmcore.layers import LSTM

I, H, K = 5, 24, 3  # noqa: E741
LAYOUT = [
    ("weight_ih_l0", (4 * H, I), 0),
    ("weight_hh_l0", (4 * H, H), 4 * H * I),
    ("bias_l0", (4 * H,), 4 * H * (I + H)),
    ("head_weight", (K, H), 4 * H * (I + H + 1)),
    ("head_bias", (K,), 4 * H * (I + H + 1) + K * H),
]


def drawn(seed: int = 0, dtype: Any = "float64", **kwargs: Any) -> dict[str, Any]:
    return named_views(initial_parameters(LAYOUT, seed=seed, dtype=dtype, **kwargs), LAYOUT)


def test_each_gate_has_an_orthogonal_matrix() -> None:
    gates = drawn()["weight_hh_l0"].reshape(4, H, H)
    for gate in gates:
        assert_allclose(gate @ gate.T, np.eye(H), atol=1e-14)
    assert len({gate.tobytes() for gate in gates}) == 4


def test_input_weights_are_uniform_per_gate() -> None:
    weights = np.concatenate([drawn(seed)["weight_ih_l0"].reshape(4, -1) for seed in range(50)], 1)
    bound = np.sqrt(6 / (I + H))
    assert (np.abs(weights) < bound).all()
    for gate in weights:
        counts, _ = np.histogram(gate, 10, (-bound, bound))
        assert_allclose(counts / len(gate), 0.1, atol=0.02)


def test_head_weights_are_uniform() -> None:
    weights = drawn()["head_weight"]
    bound = np.sqrt(6 / (H + K))
    assert bound / 2 < np.abs(weights).max() < bound


def test_biases() -> None:
    parameters = drawn(forget_bias=1.5)
    assert_array_equal(parameters["bias_l0"], np.repeat([0, 1.5, 0, 0], H))
    assert not parameters["head_bias"].any()
    assert_array_equal(drawn()["bias_l0"], np.repeat([0, 1, 0, 0], H))


def test_float32_is_float64_rounded() -> None:
    single = initial_parameters(LAYOUT, seed=3, dtype="float32")
    double = initial_parameters(LAYOUT, seed=3, dtype=np.float64)
    assert_array_equal(single, double.astype(np.float32), strict=True)


def test_layout_as_a_mapping() -> None:
    mapping = {name: (shape, offset) for name, shape, offset in LAYOUT}
    assert_array_equal(
        initial_parameters(mapping, seed=3, dtype="float32"),
        initial_parameters(LAYOUT, seed=3, dtype="float32"),
        strict=True,
    )


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="an array called 'secret_l0', for which there is no"):
        initial_parameters([("secret_l0", (3,), 0)], seed=0, dtype="float32")


def test_bits_are_fixed() -> None:
    # Nothing here may depend on the machine, on NumPy's release, or on a library of linear algebra.
    # A change of these hashes changes every model that anybody has ever fitted with a seed.
    def fingerprint(array: Any) -> str:
        return hashlib.sha256(np.ascontiguousarray(array, "<f8").tobytes()).hexdigest()[:16]

    found = {name: fingerprint(values) for name, values in drawn(seed=1).items()}
    assert found == {
        "weight_ih_l0": "3a19e90d289eb42c",
        "weight_hh_l0": "64100bd92013c5b4",
        "bias_l0": "d1fdc0c68145b7a1",
        "head_weight": "08fce4ba6e8ea109",
        "head_bias": "9d908ecfb6b256de",
    }


@pytest.mark.parametrize("n", [1, 2, 3, 8, 65, 130])
def test_orthogonal(n: int) -> None:
    matrices = orthogonal(np.random.RandomState(n), 3, n)
    for matrix in matrices:
        assert_allclose(matrix @ matrix.T, np.eye(n), atol=1e-13)
    one_by_one = np.random.RandomState(n)
    np.testing.assert_array_equal(
        matrices, np.concatenate([orthogonal(one_by_one, 1, n) for _ in range(3)])
    )


@pytest.mark.parametrize("n", [3, 8, 16])
def test_orthogonal_matrices_are_nearly_uniform(n: int) -> None:
    # Moments of the uniform distribution (Haar measure) on O(n), each within five of its standard
    # errors: E q² = 1/n, E q⁴ = 3/(n (n + 2)), E tr Q = 0, E tr² Q = 1, E tr⁴ Q = 3 (n ≥ 4).
    n_drawn = 4000
    random = np.random.RandomState(0)
    matrices = orthogonal(random, n_drawn, n)
    entries, traces = matrices.reshape(n_drawn, -1), np.trace(matrices, axis1=1, axis2=2)
    moments = [
        (traces, 0.0),
        (traces**2, 1.0),
        ((entries**4).mean(axis=1), 3 / (n * (n + 2))),
        *((entries[:, k] ** 2, 1 / n) for k in range(0, n * n, n + 1)),  # the diagonal
        *((entries[:, k], 0.0) for k in range(n)),
        *((entries[:, k] * entries[:, k + 1], 0.0) for k in range(n - 1)),
    ]
    if n >= 4:
        moments.append((traces**4, 3.0))
    for drawn_values, expected in moments:
        error = 5 * drawn_values.std() / np.sqrt(n_drawn)
        assert_allclose(drawn_values.mean(), expected, rtol=0, atol=error)


def test_entries_of_large_orthogonal_matrices_are_nearly_normal() -> None:
    n = 512
    entries = orthogonal(np.random.RandomState(0), 1, n) * np.sqrt(n)
    assert_allclose((entries**4).mean(), 3 * n / (n + 2), rtol=0.03)


def test_random_states() -> None:
    for new in (lambda: 7, lambda: np.random.RandomState(7), lambda: np.random.default_rng(7)):
        assert draw_seed(new()) == draw_seed(new()) >= 0
    one_state = np.random.RandomState(7)
    assert draw_seed(one_state) != draw_seed(one_state)
    np.random.seed(3)  # noqa: NPY002 -- None is NumPy's global state, as in scikit-learn
    first = draw_seed(None)
    np.random.seed(3)  # noqa: NPY002
    assert draw_seed(None) == first != draw_seed(None)
    with pytest.raises(ValueError, match="cannot be used to seed"):
        draw_seed("x")


def test_layers_are_drawn_by_their_random_state() -> None:
    first, again, other = (LSTM(3, 8, 2, random_state=seed).parameters for seed in (0, 0, 1))
    for name, values in first.items():
        assert_array_equal(values, again[name], strict=True)
    assert not np.array_equal(first["weight_hh_l1"], other["weight_hh_l1"])
    assert not np.array_equal(first["weight_hh_l0"], first["weight_hh_l1"])
    biases = LSTM(3, 8, random_state=0, forget_bias=-2).parameters["bias_l0"]
    assert_array_equal(biases, np.repeat([0, -2, 0, 0], 8))
