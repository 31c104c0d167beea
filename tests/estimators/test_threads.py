"""Threads and processes: no bit depends on them, and nothing breaks."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
from estimators.problems import estimator, methods, ragged_sequences, sequences, targets
from numpy.testing import assert_array_equal
from sklearn.model_selection import GridSearchCV, cross_val_score

X = ragged_sequences(200)


@pytest.mark.parametrize("n_jobs", [None, -1, -2, 2, 3, 7])
def test_bits_do_not_depend_on_threads(problem, n_jobs):
    y = targets(problem, 200)
    settings = {"hidden_size": (33, 18), "batch_size": 64, "dropout": 0.1}
    alone = estimator(problem, n_jobs=1, **settings).fit(X, y)
    model = estimator(problem, n_jobs=n_jobs, **settings).fit(X, y)
    assert_array_equal(model.coefs_, alone.coefs_)
    for name, method in methods(model).items():
        assert_array_equal(method(X), getattr(alone, name)(X))
    for here, there in zip(model.gates(X), alone.gates(X), strict=True):
        assert_array_equal(here.cell, there.cell)


def test_concurrent_predict(problem):
    y = targets(problem, 200)
    model = estimator(problem).fit(X, y)
    expected = model.predict(X)
    model.__setstate__(model.__getstate__())  # drops the core objects: all threads ask for them
    barrier = threading.Barrier(8)

    def predict(_):
        barrier.wait()
        return [model.predict(X) for _ in range(5)]

    with ThreadPoolExecutor(8) as pool:
        for results in pool.map(predict, range(8)):
            for result in results:
                assert_array_equal(result, expected)


def test_fit_beside_predict():
    y = targets("binary", 200)
    fitted = estimator("binary").fit(X, y)
    expected = fitted.predict_proba(X)
    reference = estimator("binary", max_iter=10).fit(X, y).coefs_
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(estimator("binary", max_iter=10).fit, X, y)
        while not future.done():
            assert_array_equal(fitted.predict_proba(X), expected)
        assert_array_equal(future.result().coefs_, reference)


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_joblib(backend):
    y = targets("multiclass", 200)
    expected = cross_val_score(estimator("multiclass", n_jobs=1), X, y, cv=3)
    with joblib.parallel_config(backend, n_jobs=2):
        assert_array_equal(cross_val_score(estimator("multiclass"), X, y, cv=3), expected)
        search = GridSearchCV(estimator("multiclass"), {"hidden_size": [3, 5]}, cv=2).fit(X, y)
    assert_array_equal(
        search.best_estimator_.coefs_,
        estimator("multiclass", **search.best_params_).fit(X, y).coefs_,
    )


def test_joblib_sends_fitted_estimators():
    # Larger than 1 MB in all, so that joblib maps the arrays into the workers' memory read-only.
    Z, y = sequences("3d"), targets("binary")
    model = estimator("binary", hidden_size=300).fit(Z, y)
    assert model.coefs_.nbytes > 2**20
    with joblib.parallel_config("loky", n_jobs=2):
        results = joblib.Parallel()(joblib.delayed(model.predict_proba)(Z) for _ in range(2))
    for result in results:
        assert_array_equal(result, model.predict_proba(Z))
    assert np.isfinite(results[0]).all()
