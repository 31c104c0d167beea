"""Estimators whose training draws masks: what is fitted, resumed, searched, kept in files."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from estimators.problems import estimator, methods, picked, ragged_sequences, targets
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import lstmcore
from lstmcore import LSTMClassifier, LSTMRegressor
from lstmcore.callbacks import Checkpoint
from lstmcore.cells import GRUCell, LSTMCell, RNNCell

X, Y = ragged_sequences(), targets("multiclass")
CELLS = [
    LSTMCell(recurrent_dropout=0.3, hidden_dropout=0.2, zoneout_hidden=0.1, zoneout_cell=0.2),
    LSTMCell(layer_norm=True, cell_clip=1.0, recurrent_dropout=0.3, zoneout_cell=0.2),
    GRUCell(recurrent_dropout=0.3, hidden_dropout=0.2, zoneout_hidden=0.1),
    RNNCell(hidden_dropout=0.2, zoneout_hidden=0.1),
]
EACH_CELL = pytest.mark.parametrize("cell", CELLS, ids=str)


def model(**parameters: Any) -> LSTMClassifier:
    settings = {"hidden_size": (6, 6), "dropout": 0.1} | parameters
    return estimator("multiclass", **settings)


@EACH_CELL
def test_masks_are_a_function_of_random_state(cell: Any) -> None:
    fitted = model(cell=cell).fit(X, Y)
    assert_array_equal(model(cell=cell, n_jobs=3).fit(X, Y).coefs_, fitted.coefs_)
    plain = type(cell)(**{k: v for k, v in cell.get_params().items() if "out" not in k})
    assert (model(cell=plain).fit(X, Y).coefs_ != fitted.coefs_).any()


def test_recurrent_dropout_is_that_of_the_cell() -> None:
    short, long = model(recurrent_dropout=0.3), model(cell=LSTMCell(recurrent_dropout=0.3))
    assert_array_equal(short.fit(X, Y).coefs_, long.fit(X, Y).coefs_)
    assert (model().fit(X, Y).coefs_ != short.coefs_).any()
    gru = model(cell="gru", recurrent_dropout=0.3, bidirectional=True, residual=True)
    assert_array_equal(gru.fit(X, Y).coefs_, clone(gru).fit(X, Y).coefs_)


@EACH_CELL
def test_predictions_are_the_same_every_time(cell: Any) -> None:
    """In any order, alone, on any threads, step by step."""
    fitted = model(cell=cell, recurrent_dropout=0.0).fit(X, Y)
    rows = np.random.default_rng(0).normal(size=(9, 5, 3))
    for name, method in methods(fitted).items():
        whole = method(rows)
        assert_array_equal(method(rows), whole)
        order = np.random.default_rng(1).permutation(9)
        assert_array_equal(method(picked(rows, order)), whole[order])
        assert_array_equal(method(rows[3:4]), whole[3:4])
        state = fitted.initial_state(9)
        for t in range(5):
            y, state = fitted.step(rows[:, t], state, method=name)
        assert_array_equal(y, whole)


@EACH_CELL
def test_a_fit_goes_on_with_the_same_bits(cell: Any, tmp_path: Any) -> None:
    """Epochs draw other masks, and those of epoch five are the same however it was reached."""
    settings = {"cell": cell, "hidden_size": 5, "batch_size": 7}
    whole = estimator("multiclass", max_iter=5, **settings).fit(X, Y)
    warm = estimator("multiclass", max_iter=2, warm_start=True, **settings).fit(X, Y)
    warm.set_params(max_iter=3).fit(X, Y)
    assert_array_equal(warm.coefs_, whole.coefs_)
    short = estimator("multiclass", max_iter=2, **settings)
    short.set_callbacks(Checkpoint(tmp_path / "checkpoint")).fit(X, Y)
    resumed = estimator("multiclass", max_iter=5, **settings)
    resumed.set_callbacks(Checkpoint(tmp_path / "checkpoint")).fit(X, Y)
    assert_array_equal(resumed.coefs_, whole.coefs_)
    parts = estimator("multiclass", **settings)
    in_file = estimator("multiclass", **settings)
    for k in range(3):
        parts.partial_fit(X, Y, classes=np.unique(Y))
        in_file.partial_fit(X, Y, classes=np.unique(Y))
        in_file.save(tmp_path / f"part{k}")
        in_file = lstmcore.load(tmp_path / f"part{k}")
    assert_array_equal(in_file.coefs_, parts.coefs_)


def test_sequences_keep_their_masks_when_others_have_no_weight() -> None:
    """Weight 0 is absent, with masks too."""
    weights = np.ones(len(X))
    weights[::3] = 0
    some = np.flatnonzero(weights)
    settings = {"cell": CELLS[0], "batch_size": len(X)}
    weighted = model(**settings).fit(X, Y, sample_weight=weights)
    assert_array_equal(weighted.coefs_, model(**settings).fit(picked(X, some), Y[some]).coefs_)


@EACH_CELL
def test_copies_and_files(cell: Any, tmp_path: Any) -> None:
    top = 0.4 if cell.get_params().get("recurrent_dropout") == 0 else 0.0
    fitted = model(cell=cell, recurrent_dropout=top).fit(X, Y)
    fitted.save(tmp_path / "model")
    for copy in (pickle.loads(pickle.dumps(fitted)), lstmcore.load(tmp_path / "model")):
        assert repr(copy) == repr(fitted)
        assert_array_equal(copy.predict_proba(X), fitted.predict_proba(X))
        assert_array_equal(clone(copy).fit(X, Y).coefs_, fitted.coefs_)
    assert repr(clone(fitted)) == repr(fitted)


def test_search() -> None:
    search = GridSearchCV(
        LSTMRegressor(cell=LSTMCell(), hidden_size=3, max_iter=1, tol=None, random_state=0),
        [
            {"cell__zoneout_hidden": [0.1, 0.5], "cell__hidden_dropout": [0.0, 0.5]},
            {"recurrent_dropout": [0.2]},
        ],
        cv=2,
    ).fit(X, targets("one output"))
    assert not np.isnan(search.cv_results_["mean_test_score"]).any()
    assert len(set(search.cv_results_["mean_test_score"])) == 5


def test_learns_with_masks() -> None:
    """The sign of the first feature, 8 steps before the end."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 9, 2)).astype(np.float32)
    y = (x[:, 0, 0] > 0).astype(int)
    for cell, recurrent_dropout in (
        (LSTMCell(zoneout_hidden=0.1, zoneout_cell=0.1), 0.2),
        ("gru", 0.2),
    ):
        fitted = LSTMClassifier(
            cell=cell,
            recurrent_dropout=recurrent_dropout,
            hidden_size=12,
            learning_rate=0.02,
            max_iter=60,
            tol=None,
            random_state=0,
        ).fit(x, y)
        assert fitted.score(x, y) > 0.95, cell


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"recurrent_dropout": 1.0}, ValueError, "'recurrent_dropout' parameter"),
        ({"recurrent_dropout": "some"}, TypeError, "'recurrent_dropout' parameter"),
        ({"recurrent_dropout": 0.1, "cell": "rnn"}, ValueError, "which an RNN doesn't have"),
        ({"cell": LSTMCell(zoneout_cell=-1)}, ValueError, "'zoneout_cell' parameter of LSTMCell"),
        (
            {"recurrent_dropout": 0.1, "cell": LSTMCell(recurrent_dropout=0.2)},
            ValueError,
            "recurrent_dropout=0.1 and that of LSTMCell.* are both given: set one",
        ),
    ],
    ids=str,
)
def test_errors(parameters: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        model(**parameters).fit(X, Y)
