"""scikit-learn's own checks, with default parameters and none of them excused."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import check_classifier_multioutput, parametrize_with_checks

from lstmcore import LSTMClassifier, LSTMRegressor

ESTIMATORS = [LSTMClassifier(), LSTMRegressor()]


# The defaults stop at max_iter, and say so.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(ESTIMATORS)
def test_check_estimator(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_multilabel_outputs_agree():
    # Only run by scikit-learn where a classifier takes several multiclass outputs.
    check_classifier_multioutput("LSTMClassifier", LSTMClassifier())


def test_array_api_dispatch_changes_nothing():
    # SciPy reads the variable when it is imported, so this check needs a process of its own.
    code = """
        import warnings
        from sklearn.utils.estimator_checks import check_array_api_input
        from lstmcore import LSTMClassifier, LSTMRegressor
        warnings.simplefilter("ignore")
        for estimator in (LSTMClassifier(), LSTMRegressor()):
            check_array_api_input(
                type(estimator).__name__, estimator, "numpy", expect_only_array_outputs=False
            )
    """
    environment = os.environ | {"SCIPY_ARRAY_API": "1"}
    subprocess.run([sys.executable, "-P", "-c", textwrap.dedent(code)], check=True, env=environment)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_tags(estimator):
    tags = get_tags(estimator)
    is_classifier = isinstance(estimator, LSTMClassifier)
    assert tags.input_tags.two_d_array
    assert tags.input_tags.three_d_array
    assert not tags.input_tags.sparse
    assert not tags.input_tags.allow_nan
    assert tags.target_tags.required
    assert tags.target_tags.multi_output is not is_classifier
    assert not tags.non_deterministic
    assert not tags.no_validation
    assert not tags._skip_test
    if is_classifier:
        assert tags.classifier_tags.multi_class
        assert tags.classifier_tags.multi_label
        assert not tags.classifier_tags.poor_score
    else:
        assert not tags.regressor_tags.poor_score
