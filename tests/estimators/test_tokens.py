"""embedding_size of the estimators: sequences of tokens, and columns of tokens beside numbers."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score

from lstmcore import LSTMClassifier, LSTMEnsemble, LSTMRegressor, from_long, load

MODEL: dict[str, Any] = {
    "embedding_size": 3,
    "hidden_size": 5,
    "max_iter": 2,
    "tol": None,
    "learning_rate": 0.05,
    "random_state": 0,
}
N = 40


def tokens(n: int = N, seed: int = 0) -> list[np.ndarray]:
    """Sequences of lengths 0 to 6 of the tokens 0 to 8; the largest is in the last one."""
    rng = np.random.default_rng(seed)
    X = [rng.integers(0, 8, length) for length in rng.integers(0, 7, n)]
    X[0], X[-1] = np.empty(0, int), np.array([8, 1])
    return X


def mixed(n: int = N) -> list[np.ndarray]:
    """Two columns of numbers with one of tokens between them."""
    rng = np.random.default_rng(1)
    X = [rng.normal(size=(length, 3)) for length in rng.integers(1, 7, n)]
    for x in X:
        x[:, 1] = rng.integers(0, 4, len(x))
    X[0][0, 1] = 4
    return X


def labels(n: int = N) -> np.ndarray:
    return np.arange(n) % 3


def fitted(X: Any = None, y: Any = None, **parameters: Any) -> LSTMClassifier:
    X = tokens() if X is None else X
    return LSTMClassifier(**(MODEL | parameters)).fit(X, labels(len(X)) if y is None else y)


def test_what_a_fit_finds() -> None:
    model = fitted()
    assert model.n_features_in_ == 1
    assert model.n_tokens_ == {0: 9}
    assert model.parameters_["embedding_weight_0"].shape == (9, 3)
    assert model.parameters_["weight_ih_l0"].shape == (20, 3)
    assert fitted(mixed(), embedding_size=None).n_tokens_ == {}


def test_every_form_of_tokens_gives_the_same_bits() -> None:
    X = np.random.default_rng(0).integers(0, 6, (N, 4))
    y = labels()
    first = fitted(X, y)
    forms: list[Any] = [
        X.tolist(),
        list(X),
        [x[:, None] for x in X],
        X[:, :, None],
        X.astype(np.uint8),
        X.astype(float),
        pd.DataFrame(X),
    ]
    for form in forms:
        other = fitted(form, y)
        np.testing.assert_array_equal(other.coefs_, first.coefs_)
        np.testing.assert_array_equal(other.predict_proba(form), first.predict_proba(X))
    assert fitted([[1, 2], [3], []], [0, 1, 0]).n_tokens_ == {0: 4}


def test_a_token_is_the_row_of_its_table() -> None:
    """A network without embeddings that reads these rows predicts the same."""
    model = fitted(mixed(), embedding_size={1: 3}, pooling="mean")
    table = model.parameters_["embedding_weight_1"]
    assert table.shape == (5, 3)
    X = mixed()
    rows = [np.hstack([x[:, :1], table[x[:, 1].astype(int)], x[:, 2:]]) for x in X]
    twin = fitted(rows, embedding_size=None, pooling="mean", dtype="float32")
    assert twin.layout_.items() <= model.layout_.items()
    twin.coefs_ = model.coefs_[: len(twin.coefs_)].copy()
    np.testing.assert_array_equal(twin.predict_proba(rows), model.predict_proba(X))
    for ours, theirs in zip(model.gates(X), twin.gates(rows), strict=True):
        np.testing.assert_array_equal(ours.cell, theirs.cell)
    for flow, of_twin in zip(
        model.gradient_flow(X, target=1), twin.gradient_flow(rows, target=1), strict=True
    ):
        np.testing.assert_array_equal(flow.state, of_twin.state)
    gradient = model.attributions(X, target=2)
    of_rows = twin.attributions(rows, target=2)
    for x, ours, theirs, row in zip(X, gradient, of_rows, rows, strict=True):
        assert ours.shape == x.shape
        np.testing.assert_array_equal(ours[:, [0, 2]], theirs[:, [0, 4]])
        owed = (theirs * row)[:, 1:4].sum(axis=1)
        np.testing.assert_allclose(ours[:, 1], owed, rtol=1e-4, atol=1e-7)


def test_names_and_tables_with_several_columns() -> None:
    frames = [pd.DataFrame(x, columns=["a", "day", "b"]) for x in mixed()]
    by_name = fitted(frames, embedding_size={"day": 3})
    by_number = fitted(mixed(), embedding_size={1: 3})
    np.testing.assert_array_equal(by_name.coefs_, by_number.coefs_)
    np.testing.assert_array_equal(by_name.predict(frames), by_number.predict(mixed()))
    table = np.tile([[0.5, 2, 1, 0]], (6, 1))
    both = fitted(table, [0, 1] * 3, embedding_size={1: (5, 2), 3: 1})
    assert both.n_tokens_ == {1: 5, 3: 1}
    long = pd.DataFrame({"who": [0, 0, 1, 2], "word": [3, 1, 2, 0]})
    assert fitted(from_long(long, id="who"), [0, 1, 0]).n_tokens_ == {0: 4}


@pytest.mark.parametrize("bad", [-1, 0.5, np.nan, np.inf])
def test_what_is_no_token_is_refused_with_its_place(bad: float) -> None:
    X = [x.astype(float) for x in tokens()]
    X[-1][1] = bad
    expected = "NaN" if np.isnan(bad) else "infinity" if np.isinf(bad) else "integers from 0 on"
    place = f"sample {N - 1}, time step 1"
    for call in (fitted, fitted(tokens()).predict, fitted(tokens()).attributions):
        with pytest.raises(ValueError, match=f"{expected}.*{place}"):
            call(X)
    columns = mixed()
    columns[3][0, 1] = bad
    with pytest.raises(ValueError, match=r"sample 3, time step 0"):
        fitted(columns, embedding_size={1: 2}, missing="mask")


def test_unknown_tokens_are_refused_with_their_place() -> None:
    model = fitted()
    X = [np.array([0, 8]), np.array([1, 2, 9])]
    match = r"X must hold tokens from 0 to 8 in feature 0.*got 9 in sample 1, time step 2"
    for method in ("predict", "predict_proba", "gates", "attributions"):
        with pytest.raises(ValueError, match=match):
            getattr(model, method)(X)
    with pytest.raises(ValueError, match=r"x must hold tokens from 0 to 8.*sample 1"):
        model.step([3, 9], model.initial_state(2))
    with pytest.raises(ValueError, match="X of validation_data must hold tokens from 0 to 8"):
        LSTMClassifier(**MODEL).fit(tokens(), labels(), validation_data=(X, [0, 1]))
    wide = fitted(embedding_size=(20, 3))
    assert wide.n_tokens_ == {0: 20}
    assert len(wide.predict(X)) == 2
    with pytest.raises(ValueError, match="from 0 to 7"):
        fitted(embedding_size=(8, 3))
    large = [np.array([2**24 + 1]), np.array([1])]
    with pytest.raises(ValueError, match="below 16777216 for dtype=float32"):
        fitted(large, [0, 1])


def test_wrong_shapes_and_parameters() -> None:
    with pytest.raises(ValueError, match=r"X\[1\] must be a sequence of tokens \(T,\)"):
        fitted([np.array([1]), np.ones((2, 3), int)], [0, 1])
    with pytest.raises(ValueError, match="one token per time step, got 3 features"):
        fitted(np.ones((4, 2, 3), int), [0, 1, 0, 1])
    with pytest.raises(ValueError, match="must hold real numbers"):
        fitted([["a", "b"], ["c"]], [0, 1])
    for columns, match in (({3: 2}, "no column 3"), ({"a": 2}, "no feature named 'a'")):
        with pytest.raises(ValueError, match=match):
            fitted(mixed(), embedding_size=columns)
    frames = [pd.DataFrame(x, columns=["a", "day", "b"]) for x in mixed()]
    with pytest.raises(ValueError, match="names column 1 twice"):
        fitted(frames, embedding_size={"day": 2, 1: 3})
    for size in (0, (0, 2), (1, 2, 3), {}, {0: 0}, {-1: 2}):
        with pytest.raises(ValueError, match="'embedding_size' parameter of LSTMClassifier"):
            fitted(embedding_size=size)
    for size in ("3", 2.0, {0: "3"}, {0.5: 2}, True, [3]):
        with pytest.raises(TypeError, match="'embedding_size' parameter of LSTMClassifier"):
            fitted(embedding_size=size)
    baseline = fitted(mixed(), embedding_size={1: 3})
    with pytest.raises(ValueError, match="baseline must be 0 for the tokens of feature 1"):
        baseline.attributions(mixed(), method="integrated", baseline=[1, 1, 1])


def test_weights_order_threads_and_absence() -> None:
    """A sample of weight 0 is absent, its tokens too; order and threads change nothing."""
    X, y = tokens(), labels()
    weights = np.random.default_rng(5).integers(0, 3, N).astype(float)
    weights[-1] = 0
    model = LSTMClassifier(**MODEL).fit(X, y, weights)
    assert model.n_tokens_ == {0: 8}
    rows = np.random.default_rng(6).permutation(np.repeat(np.arange(N), weights.astype(int)))
    twin = LSTMClassifier(**MODEL, n_jobs=3).fit([X[k] for k in rows], y[rows])
    np.testing.assert_array_equal(twin.coefs_, model.coefs_)


def test_only_tokens_that_occur_learn() -> None:
    start = fitted(max_iter=1, learning_rate=1e-30, embedding_size=(12, 3))
    model = fitted(embedding_size=(12, 3))
    moved = (
        model.parameters_["embedding_weight_0"] != start.parameters_["embedding_weight_0"]
    ).any(1)
    assert moved.tolist() == [True] * 9 + [False] * 3


def test_warm_start_and_partial_fit() -> None:
    X, y = tokens(), labels()
    whole = fitted(max_iter=4)
    halves = fitted(warm_start=True)
    np.testing.assert_array_equal(halves.fit(X, y).coefs_, whole.coefs_)
    parts = LSTMClassifier(**MODEL)
    for _ in range(4):
        parts.partial_fit(X, y, classes=[0, 1, 2])
    np.testing.assert_array_equal(parts.coefs_, whole.coefs_)
    parts.partial_fit(X[:3], y[:3])
    assert parts.n_tokens_ == {0: 9}
    for model in (halves, parts):
        before = model.coefs_.copy()
        method = model.fit if model is halves else model.partial_fit
        with pytest.raises(ValueError, match="from 0 to 8 in feature 0"):
            method([*X[:-1], np.array([9])], y)
        np.testing.assert_array_equal(model.coefs_, before)
    with pytest.raises(ValueError, match="goes on with the network"):
        halves.set_params(embedding_size=4).fit(X, y)


def test_files_pickle_and_clone(tmp_path: Path) -> None:
    for X, size in ((tokens(), 3), (tokens(), (30, 2)), (mixed(), {1: 3})):
        model = fitted(X, embedding_size=size, pooling="attention")
        model.save(tmp_path / "model")
        for again in (load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
            assert again.get_params() == model.get_params()
            assert again.n_tokens_ == model.n_tokens_
            np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
        np.testing.assert_array_equal(clone(model).fit(X, labels()).coefs_, model.coefs_)


def test_search_ensembles_and_early_stopping() -> None:
    X, y = tokens(), labels()
    model = LSTMClassifier(**(MODEL | {"embedding_size": (9, 2)}))
    search = GridSearchCV(model, {"embedding_size": [(9, 2), (12, 4)]}, cv=2).fit(X, y)
    assert search.best_estimator_.n_tokens_[0] in (9, 12)
    assert len(cross_val_score(model, X, y, cv=2)) == 2
    ensemble = LSTMEnsemble(model, n_models=2, random_state=0).fit(X, y)
    assert ensemble.predict_proba(X).shape == (N, 3)
    for scoring in ("loss", None, "accuracy"):
        stopped = clone(model).set_params(early_stopping=True, validation_scoring=scoring)
        assert len(stopped.fit(X, y).validation_scores_) == 2


def test_steps_and_integrated_gradients() -> None:
    X = np.random.default_rng(0).integers(0, 6, (4, 5))
    model = LSTMRegressor(**(MODEL | {"embedding_size": 3})).fit(X, [1.0, 2.0, 3.0, 5.0])
    state = model.initial_state(4)
    for t in range(5):
        y, state = model.step(X[:, t] if t % 2 else X[:, [t]], state)
    np.testing.assert_array_equal(y, model.predict(X))
    parts = model.attributions(X, method="integrated", n_steps=100)
    assert parts.shape == X.shape
    ragged = model.attributions([X[0], X[1, :2]], method="integrated")
    assert [part.shape for part in ragged] == [(5,), (2,)]
    np.testing.assert_allclose(ragged[0], parts[0], rtol=1e-2, atol=1e-4)
    zeros = pickle.loads(pickle.dumps(model))
    zeros.coefs_ = model.coefs_.copy()
    shape, offset = model.layout_["embedding_weight_0"]
    zeros.coefs_[offset : offset + np.prod(shape)] = 0
    difference = model.predict(X) - zeros.predict(X)
    np.testing.assert_allclose(parts.sum(axis=1), difference, atol=1e-3)


def test_summary_counts_the_tables() -> None:
    model = fitted()
    summary = model.summary()
    assert summary.n_parameters == len(model.coefs_)
    assert [layer.name for layer in summary.layers][:2] == ["input", "embedding"]
