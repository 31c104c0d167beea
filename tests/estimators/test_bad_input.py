"""Every bad input gives an error that names the argument, and changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from estimators.problems import N_FEATURES, estimator, ragged_sequences, sequences, targets
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.exceptions import NotFittedError

from lstmcore import LSTMClassifier, LSTMRegressor

BAD_PARAMETERS = [
    ("hidden_size", 0, ValueError),
    ("hidden_size", (), ValueError),
    ("hidden_size", (4, -1), ValueError),
    ("hidden_size", 2**31, ValueError),
    ("hidden_size", (3, 10**30), ValueError),
    ("hidden_size", 2.0, TypeError),
    ("hidden_size", "big", TypeError),
    ("hidden_size", None, TypeError),
    ("dropout", 1.0, ValueError),
    ("dropout", -0.1, ValueError),
    ("dropout", float("nan"), ValueError),
    ("dropout", "much", TypeError),
    ("recurrent_dropout", 1.0, ValueError),
    ("recurrent_dropout", None, TypeError),
    ("pooling", "median", ValueError),
    ("pooling", None, TypeError),
    ("solver", "lbfgs", ValueError),
    ("solver", 3, TypeError),
    ("learning_rate", 0, ValueError),
    ("learning_rate", float("inf"), ValueError),
    ("learning_rate", "adaptive", TypeError),
    ("batch_size", 0, ValueError),
    ("batch_size", 10**30, ValueError),
    ("batch_size", 8.0, TypeError),
    ("batch_size", True, TypeError),
    ("max_iter", 0, ValueError),
    ("max_iter", None, TypeError),
    ("weight_decay", -1e-3, ValueError),
    ("max_grad_norm", 0.0, ValueError),
    ("max_grad_norm", "none", TypeError),
    ("tol", -1e-4, ValueError),
    ("tol", "small", TypeError),
    ("n_iter_no_change", 0, ValueError),
    ("n_timesteps", 0, ValueError),
    ("n_timesteps", None, TypeError),
    ("missing", "mean", ValueError),
    ("missing", None, TypeError),
    ("warm_start", "yes", TypeError),
    ("random_state", -1, ValueError),
    ("random_state", 2**32, ValueError),
    ("random_state", "seed", TypeError),
    ("n_jobs", 0, ValueError),
    ("n_jobs", 2**62, ValueError),
    ("n_jobs", 1.5, TypeError),
    ("dtype", "float16", ValueError),
    ("dtype", np.float32, TypeError),
    ("verbose", -1, ValueError),
    ("verbose", "loud", TypeError),
]


def ids(values):
    return [f"{name}={value!r}" for name, value, _ in values]


@pytest.mark.parametrize(("name", "value", "error"), BAD_PARAMETERS, ids=ids(BAD_PARAMETERS))
@pytest.mark.parametrize("problem", ["binary", "one output"])
def test_bad_parameters(problem, name, value, error):
    model = estimator(problem, **{name: value})
    owner = type(model).__name__
    with pytest.raises(error, match=f"^The '{name}' parameter of {owner} must be .* Got "):
        model.fit(ragged_sequences(), targets(problem))
    assert not [attribute for attribute in vars(model) if attribute.endswith("_")]


def test_bad_loss():
    with pytest.raises(ValueError, match="'loss' parameter of LSTMRegressor must be one of"):
        estimator("one output", loss="absolute").fit(ragged_sequences(), targets("one output"))


def test_parameters_may_be_numpy_numbers():
    model = estimator(
        "binary",
        hidden_size=np.int64(3),
        dropout=np.float32(0.5),
        learning_rate=np.float64(0.1),
        batch_size=np.int32(4),
        max_iter=np.int64(2),
    )
    assert model.fit(ragged_sequences(), targets("binary")).n_iter_ == 2


def with_entry(X, value):
    X = [x.copy() for x in X]
    X[5] = np.ones((4, N_FEATURES))
    X[5][2, 1] = value
    return X


BAD_X = {
    "NaN": (lambda X: with_entry(X, np.nan), ValueError, "X.*NaN"),
    "inf": (lambda X: with_entry(X, np.inf), ValueError, "X.*inf"),
    "beyond float32": (lambda X: with_entry(X, 1e300), ValueError, "X.*inf|X.*float32"),
    "3-D NaN": (lambda X: np.full((40, 2, N_FEATURES), np.nan), ValueError, "X.*NaN"),
    "1-D": (lambda X: np.ones(40), ValueError, "Reshape your data"),
    "4-D": (lambda X: np.ones((40, 2, 3, 4)), ValueError, "X.*4|dim"),
    "scalar": (lambda X: 3.0, (TypeError, ValueError), "X|scalar"),
    "None": (lambda X: None, (TypeError, ValueError), "X|None"),
    "other widths": (lambda X: [*X[:-1], np.ones((2, 4))], ValueError, "X.*feature|feature.*X"),
    "3-D item": (lambda X: [*X[:-1], np.ones((2, 3, 1))], ValueError, "X"),
    "complex": (lambda X: [x + 1j for x in X], ValueError, "[Cc]omplex"),
    "text": (lambda X: [[["a", "b", "c"]]] * 40, (TypeError, ValueError), "X|string|float"),
    "sparse": (lambda X: sparse.csr_array(np.ones((40, 3))), (TypeError, ValueError), "[Ss]parse"),
    "no sample": (lambda X: [], ValueError, "X|sample"),
    "no sample, 3-D": (lambda X: np.ones((0, 2, 3)), ValueError, "0 sample"),
    "no feature": (lambda X: np.ones((40, 2, 0)), ValueError, r"0 feature\(s\)"),
    "no time step": (lambda X: [x[:0] for x in X], ValueError, "X.*length 0"),
}


@pytest.mark.parametrize("kind", BAD_X)
def test_bad_x_in_fit(kind):
    spoil, error, message = BAD_X[kind]
    X, y = ragged_sequences(), targets("binary")
    model = estimator("binary").fit(X, y)
    state = vars(model).copy()
    with pytest.raises(error, match=message):
        model.fit(spoil(X), y)
    assert vars(model) == state


@pytest.mark.parametrize(
    "kind", [kind for kind in BAD_X if kind not in ("no sample", "no time step")]
)
def test_bad_x_in_predict(kind):
    spoil, error, message = BAD_X[kind]
    X = ragged_sequences()
    model = estimator("binary").fit(X, targets("binary"))
    state = vars(model).copy()
    with pytest.raises(error, match=message):
        model.predict(spoil(X))
    assert vars(model) == state


@pytest.mark.parametrize("width", [1, 4])
def test_other_number_of_features(problem, form, width):
    X, y = sequences(form), targets(problem)
    model = estimator(problem, form).fit(X, y)
    other = [np.ones((2, width))] if form == "ragged" else np.ones((2, 5, width))
    message = f"X has {width} features, but {type(model).__name__} is expecting 3 features as input"
    with pytest.raises(ValueError, match=message):
        model.predict(other if form != "2d" else other.reshape(2, -1))


def test_rows_that_do_not_divide_into_steps():
    model = estimator("binary", n_timesteps=2)
    with pytest.raises(ValueError, match="n_timesteps"):
        model.fit(np.ones((4, 5)), [0, 1, 0, 1])


BAD_Y = {
    "None": ("binary", lambda y: None, "requires y to be passed"),
    "another length": ("binary", lambda y: y[:-1], "inconsistent numbers of samples"),
    "another length of numbers": ("one output", lambda y: y[:-1], "inconsistent numbers"),
    "numbers as labels": ("binary", lambda y: y + 0.5, "continuous"),
    "columns of classes": ("binary", lambda y: np.stack([y, y + 1], 1) % 3, "Unknown|several"),
    "columns of numbers": ("binary", lambda y: np.stack([y, y], 1) + 0.5, "continuous"),
    "indicators 0 and 2": ("multilabel", lambda y: 2 * y, "indicators of 0 and 1"),
    "one class": ("binary", lambda y: 0 * y, "only one class: "),
    "NaN as number": ("one output", lambda y: y * np.nan, "y contains NaN"),
    "NaN as label": ("binary", lambda y: y * np.nan, "y contains NaN"),
    "inf as number": ("one output", lambda y: np.full(len(y), np.inf), "y contains infinity"),
    "text as number": ("one output", lambda y: np.full(len(y), "x"), "convert"),
    "3-D": ("three outputs", lambda y: y[:, :, None], "y|dim"),
    "complex": ("one output", lambda y: y + 1j, "[Cc]omplex"),
}


@pytest.mark.parametrize("kind", BAD_Y)
def test_bad_y(kind):
    problem, spoil, message = BAD_Y[kind]
    X, y = ragged_sequences(), targets(problem)
    model = estimator(problem).fit(X, y)
    state = vars(model).copy()
    with pytest.raises(ValueError, match=message):
        model.fit(X, spoil(y))
    assert vars(model) == state


BAD_WEIGHTS = {
    "negative": (lambda w: w - 2, "sample_weight must not be negative, got -1.0 at index 0"),
    "all zero": (
        lambda w: 0 * w,
        "sample_weight must contain at least one weight that is not zero",
    ),
    "NaN": (lambda w: w * np.nan, "sample_weight contains NaN"),
    "inf": (lambda w: w * np.inf, "sample_weight contains infinity"),
    "too few": (lambda w: w[:-1], r"sample_weight must have the shape \(40,\).*got \(39,\)"),
    "2-D": (lambda w: w[:, None], r"sample_weight must have the shape \(40,\).*got \(40, 1\)"),
}


@pytest.mark.parametrize("kind", BAD_WEIGHTS)
def test_bad_weights(problem, kind):
    spoil, message = BAD_WEIGHTS[kind]
    model = estimator(problem)
    with pytest.raises(ValueError, match=message):
        model.fit(ragged_sequences(), targets(problem), sample_weight=spoil(np.ones(40)))


def test_one_class_after_weights():
    y = targets("multiclass")
    with pytest.raises(ValueError, match=r"positive weight hold only one class: .*bee"):
        estimator("multiclass").fit(ragged_sequences(), y, sample_weight=y == "bee")


@pytest.mark.parametrize("cls", [LSTMClassifier, LSTMRegressor])
@pytest.mark.parametrize("method", ["predict", "gates", "score"])
def test_not_fitted(cls, method):
    arguments = [ragged_sequences()] + [targets("binary")] * (method == "score")
    with pytest.raises(NotFittedError):
        getattr(cls(), method)(*arguments)


def test_parameters_of_an_unfitted_estimator():
    assert not hasattr(LSTMClassifier(), "parameters_")


class TestUnusualArrays:
    """Arrays that are laid out in another way, and mean the same."""

    X = np.random.default_rng(0).normal(size=(20, 4, 3))
    y = np.arange(20) % 2
    model = None

    @pytest.mark.parametrize(
        "arrange",
        [
            np.asfortranarray,
            lambda X: X[::-1][::-1],
            lambda X: np.repeat(X, 2, axis=2)[:, :, ::2],
            lambda X: X.astype(">f8"),
            lambda X: X.astype(object),
            lambda X: X.tolist(),
            lambda X: [x[::-1][::-1] for x in X],
            lambda X: [np.asfortranarray(x) for x in X],
            lambda X: [x.astype(">f4").astype(np.float64) for x in X.astype(np.float32)],
            lambda X: [x.tolist() for x in X],
            lambda X: tuple(X),
        ],
        ids=[
            "fortran",
            "negative strides",
            "strided",
            "big-endian",
            "object",
            "nested lists",
            "ragged negative strides",
            "ragged fortran",
            "ragged rounded",
            "list of lists",
            "tuple",
        ],
    )
    def test_same_as_plain(self, arrange):
        model = estimator("binary").fit(self.X, self.y)
        twin = estimator("binary").fit(arrange(self.X), self.y)
        assert_array_equal(model.coefs_, twin.coefs_)
        assert_array_equal(model.predict_proba(self.X), twin.predict_proba(arrange(self.X)))

    def test_read_only(self):
        X, y, weights = self.X.copy(), self.y.copy(), np.ones(20)
        for array in (X, y, weights):
            array.flags.writeable = False
        for form in (X, list(X), X.reshape(20, -1)):
            model = estimator("binary").fit(form, y, sample_weight=weights)
            assert model.predict(form).shape == (20,)
