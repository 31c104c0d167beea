"""Parameters ``tbptt_steps`` and ``memory``, and predictions in pieces of time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from estimators.problems import estimator, methods, ragged_sequences, targets
from numpy.testing import assert_array_equal
from sklearn.base import clone

import lstmcore
from lstmcore import _inference
from lstmcore.cells import GRUCell, LSTMCell

X = ragged_sequences()
TOKENS = [np.arange(len(x)) % 7 for x in X]
LONGEST = max(map(len, X))
POOLINGS = ("last", "mean", "max")
CELLS = ("lstm", GRUCell(), LSTMCell(proj_size=3))
REFUSED = (
    {"pooling": "attention"},
    {"bidirectional": True},
    {"hidden_size": (6, 6), "residual": True},
    {"embedding_size": 4},
)


def long_sequences() -> list[np.ndarray]:
    """Sequences with several runs of BPTT."""
    rng = np.random.default_rng(3)
    return [rng.normal(size=(int(n), 3)) for n in rng.integers(0, 300, 40)]


@pytest.mark.parametrize("cell", CELLS, ids=str)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_window_as_long_as_all_is_no_window(problem: str, pooling: str, cell: Any) -> None:
    settings = {"pooling": pooling, "cell": cell, "hidden_size": (6, 5), "dropout": 0.2}
    whole = estimator(problem, **settings).fit(X, targets(problem))
    windows = estimator(problem, tbptt_steps=LONGEST, **settings).fit(X, targets(problem))
    assert_array_equal(windows.coefs_, whole.coefs_, strict=True)
    assert windows.loss_curve_ == whole.loss_curve_


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_shorter_window_is_another_gradient(pooling: str) -> None:
    settings = {"pooling": pooling, "hidden_size": (6, 5)}
    whole = estimator("binary", **settings).fit(X, targets("binary"))
    windows = estimator("binary", tbptt_steps=2, **settings).fit(X, targets("binary"))
    assert (windows.coefs_ != whole.coefs_).any()
    assert windows.loss_curve_[0] != windows.loss_curve_[-1]


@pytest.mark.parametrize("cell", CELLS, ids=str)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_recomputed_gates_change_no_bit(pooling: str, cell: Any) -> None:
    settings = {"pooling": pooling, "cell": cell, "hidden_size": (6, 5), "dropout": 0.2}
    data = long_sequences(), targets("multiclass")
    kept = estimator("multiclass", **settings).fit(*data)
    for n_jobs in (1, 2):
        model = estimator("multiclass", memory="recompute", n_jobs=n_jobs, **settings).fit(*data)
        assert_array_equal(model.coefs_, kept.coefs_, strict=True)
        assert model.loss_curve_ == kept.loss_curve_


@pytest.mark.parametrize("windows", [{"tbptt_steps": 3}, {"memory": "recompute"}], ids=str)
@pytest.mark.parametrize("network", REFUSED, ids=str)
def test_networks_without_windows_are_refused(
    network: dict[str, Any], windows: dict[str, Any]
) -> None:
    (name, value), *_ = list(network.items())[-1:]
    sequences = TOKENS if name == "embedding_size" else X
    with pytest.raises(ValueError, match=f"tbptt_steps and memory='recompute'.*{name}={value!r}"):
        estimator("binary", **network, **windows).fit(sequences, targets("binary"))


def test_both_at_once_are_refused() -> None:
    model = estimator("binary", tbptt_steps=3, memory="recompute")
    with pytest.raises(ValueError, match="memory must be 'all' with tbptt_steps, got 'recompute'"):
        model.fit(X, targets("binary"))


@pytest.mark.parametrize(
    "wrong", [{"tbptt_steps": 0}, {"tbptt_steps": 2.5}, {"memory": "none"}], ids=str
)
def test_wrong_values_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError), match=next(iter(wrong))):
        estimator("binary", **wrong).fit(X, targets("binary"))


@pytest.mark.parametrize("windows", [{"tbptt_steps": 3}, {"memory": "recompute"}], ids=str)
def test_files_keep_the_parameters(windows: dict[str, Any], tmp_path: Any) -> None:
    model = estimator("multiclass", **windows).fit(X, targets("multiclass"))
    model.save(tmp_path / "model.lstm")
    loaded = lstmcore.load(tmp_path / "model.lstm")
    assert loaded.get_params() == model.get_params() == clone(model).get_params()
    assert_array_equal(loaded.predict_proba(X), model.predict_proba(X), strict=True)
    assert_array_equal(loaded.fit(X, targets("multiclass")).coefs_, model.coefs_, strict=True)


@pytest.mark.parametrize("cell", CELLS, ids=str)
@pytest.mark.parametrize(
    "network",
    [*({"pooling": p} for p in POOLINGS), *REFUSED[:3]],
    ids=str,
)
def test_predictions_in_pieces_are_those_of_one(
    network: dict[str, Any], cell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Networks that cannot be read in pieces keep away from them."""
    settings = {"hidden_size": (5, 6), "cell": cell} | network
    model = estimator("multiclass", **settings)
    if network.get("residual") and cell == LSTMCell(proj_size=3):
        model.set_params(hidden_size=(5, 5))
    model.fit(X, targets("multiclass"))
    expected = {name: method(X) for name, method in methods(model).items()}
    monkeypatch.setattr(_inference, "_PIECE_ROWS", 3)
    for name, method in methods(model).items():
        assert_array_equal(method(X), expected[name], strict=True)
