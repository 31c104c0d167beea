"""pooling="attention" of the estimators: weights, single steps, and what it is refused for."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from estimators.problems import ragged_sequences, targets

from lstmcore import LSTMClassifier, LSTMRegressor

MODEL: dict[str, Any] = {
    "hidden_size": (6, 9),
    "pooling": "attention",
    "max_iter": 3,
    "tol": None,
    "learning_rate": 0.02,
    "random_state": 0,
}


@pytest.fixture(scope="module")
def model() -> LSTMClassifier:
    return LSTMClassifier(**MODEL).fit(ragged_sequences(), targets("multiclass"))


def test_weights_are_positive_and_sum_to_one(model: LSTMClassifier) -> None:
    X = ragged_sequences()
    weights = model.attention(X)
    assert [w.shape for w in weights] == [(len(x),) for x in X]
    assert all(w.dtype == np.float32 and (w > 0).all() for w in weights)
    sums = [w.sum() for w in weights if len(w)]
    np.testing.assert_allclose(sums, 1, rtol=1e-6)
    assert len({w.tobytes() for w in weights if len(w) == 8}) > 1
    assert model.attention([]) == []


def test_scores_are_the_head_of_the_weighted_states(model: LSTMClassifier) -> None:
    """What `attention` and `gates` show is what the network predicts from."""
    X = ragged_sequences()
    p = model.parameters_
    pooled = [w @ gates.hidden for w, gates in zip(model.attention(X), model.gates(X), strict=True)]
    scores = np.array(pooled) @ p["head_weight"].T + p["head_bias"]
    np.testing.assert_allclose(model.decision_function(X), scores, rtol=0, atol=1e-6)


def test_step_by_step_has_the_bits_of_the_whole(model: LSTMClassifier) -> None:
    X = np.random.default_rng(3).normal(size=(7, 30, 3))
    state = model.initial_state(7)
    assert state.pooled.shape == (7, 9 + 2)
    for t in range(30):
        y, state = model.step(X[:, t], state, method="predict_proba")
        np.testing.assert_array_equal(y, model.predict_proba(X[:, : t + 1]))
    with pytest.raises(ValueError, match=r"state.pooled must have the shape \(7, 11\)"):
        model.step(X[:, 0], state._replace(pooled=state.pooled[:, :9]))


def test_it_learns_where_to_look() -> None:
    """The label is the sign of the second feature where the first one is marked."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 20, 2)) * [0, 1]
    marked = rng.integers(0, 20, 300)
    X[np.arange(300), marked, 0] = 1
    y = X[np.arange(300), marked, 1] > 0
    model = LSTMClassifier(**(MODEL | {"hidden_size": 16, "max_iter": 25})).fit(X, y)
    assert model.score(X, y) > 0.9
    late = [w[m : m + 3].sum() for w, m in zip(model.attention(X), marked, strict=True)]
    assert np.mean(late) > 0.5


def test_same_bits_for_any_threads_and_after_pickle() -> None:
    X, y = ragged_sequences(120), targets("three outputs", 120)
    models = [LSTMRegressor(**MODEL, n_jobs=n).fit(X, y) for n in (1, 2, 5)]
    for other in models[1:]:
        np.testing.assert_array_equal(other.coefs_, models[0].coefs_)
    again = pickle.loads(pickle.dumps(models[0]))
    for a, b in zip(again.attention(X), models[1].attention(X), strict=True):
        np.testing.assert_array_equal(a, b)


def test_attributions_go_through_the_attention(model: LSTMClassifier) -> None:
    """Integrated gradients add up to the difference of the scores."""
    X = ragged_sequences()[:6]
    target = np.repeat("bee", 6)
    parts = model.attributions(X, target=target, method="integrated", n_steps=200)
    scores = model.decision_function(X)[:, 1]
    nothing = model.decision_function([0 * x for x in X])[:, 1]
    sums = [part.sum() for part in parts]
    np.testing.assert_allclose(sums, scores - nothing, rtol=0, atol=1e-3)


def test_summary_counts_its_parameters(model: LSTMClassifier) -> None:
    summary = model.summary()
    assert summary.n_parameters == len(model.coefs_)
    assert {layer.name: layer.n_parameters for layer in summary.layers}["pooling"] == 9 * 9 + 2 * 9


def test_refused() -> None:
    other = LSTMRegressor(hidden_size=4, max_iter=1, tol=None).fit(np.ones((4, 2, 1)), range(4))
    with pytest.raises(ValueError, match=r'fitted with pooling="attention", this one has'):
        other.attention(np.ones((4, 2, 1)))
    with pytest.raises(ValueError, match="must be one of 'last', 'mean', 'max', 'attention'"):
        LSTMRegressor(pooling="attend").fit(np.ones((4, 2, 1)), range(4))


def test_files_keep_it(model: LSTMClassifier, tmp_path: Any) -> None:
    from lstmcore import load

    model.save(tmp_path / "model")
    again, X = load(tmp_path / "model"), ragged_sequences()
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    for a, b in zip(again.attention(X), model.attention(X), strict=True):
        np.testing.assert_array_equal(a, b)
