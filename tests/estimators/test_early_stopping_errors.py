"""Splits that can't be made, and parameters of early stopping that mean nothing."""

from __future__ import annotations

import numpy as np
import pytest
from estimators.problems import estimator
from estimators.test_early_stopping import N, problem_data, stopping


class TestErrors:
    """What can't be split."""

    def test_groups_without_a_split(self):
        X, y = problem_data("binary")
        with pytest.raises(ValueError, match="groups are for the split"):
            estimator("binary").fit(X, y, groups=np.arange(N))

    @pytest.mark.parametrize("split", ["ordered", "stratified"])
    def test_groups_that_would_be_ignored(self, split):
        X, y = problem_data("binary")
        with pytest.raises(ValueError, match="takes no groups"):
            stopping("binary", validation_split=split).fit(X, y, groups=np.arange(N))

    def test_groups_of_another_length(self):
        X, y = problem_data("binary")
        with pytest.raises(ValueError, match=r"groups must have the shape \(120,\)"):
            stopping("binary").fit(X, y, groups=np.arange(3))

    def test_stratified_numbers(self):
        X, y = problem_data("one output")
        with pytest.raises(ValueError, match="needs one class per sample"):
            stopping("one output", validation_split="stratified").fit(X, y)

    def test_a_class_of_one(self):
        X, y = problem_data("binary")
        y = y.copy()
        y[0] = 7
        with pytest.raises(ValueError, match=r"can't hold out.*Or take validation_split='random'"):
            stopping("binary").fit(X, y)
        stopping("binary", validation_split="random").fit(X, y)

    def test_one_sample(self):
        with pytest.raises(ValueError, match="at least 2 different samples"):
            stopping("one output").fit([np.ones((2, 3))] * 5, np.ones(5))

    def test_both_sides(self):
        class Both:
            def split(self, X, y=None, groups=None):
                yield np.arange(len(X)), np.arange(3)

        X, y = problem_data("binary")
        with pytest.raises(ValueError, match="puts a sample on both sides"):
            stopping("binary", validation_split=Both()).fit(X, y)

    def test_only_empty_sequences_left(self):
        X = [np.ones((0, 3))] * 3 + [np.ones((2, 3))] * 3
        with pytest.raises(ValueError, match="left to train on have the length 0"):
            stopping("one output", validation_split="ordered", validation_fraction=0.5).fit(
                X, np.arange(6.0)
            )

    @pytest.mark.parametrize(
        ("name", "value", "error"),
        [
            ("validation_fraction", 0.0, ValueError),
            ("validation_fraction", 1, ValueError),
            ("validation_split", "grouped", ValueError),
            ("validation_split", 3, TypeError),
            ("validation_scoring", "acuracy", ValueError),
            ("validation_scoring", 3, TypeError),
            ("early_stopping", "auto", TypeError),
        ],
    )
    def test_parameters(self, name, value, error):
        X, y = problem_data("binary")
        with pytest.raises(error, match=name):
            stopping("binary", **{name: value}).fit(X, y)
