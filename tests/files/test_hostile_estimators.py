"""Records of estimators that contradict themselves, behind a checksum that is right: refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from files.crafting import DROP, changed, refused, with_all_arrays
from files.models import ensemble, finder, fitted

from lstmcore import SequenceScaler


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def classifier(folder: Path) -> bytes:
    """A classifier that can be trained on."""
    fitted("multiclass", warm_start=True).save(folder / "classifier")
    return (folder / "classifier").read_bytes()


@pytest.fixture(scope="module")
def regressor(folder: Path) -> bytes:
    fitted("three outputs").save(folder / "regressor")
    return (folder / "regressor").read_bytes()


FITTED = ("fitted", "dict")
SPEC = (*FITTED, "_spec", "dict")
STATE = (*FITTED, "_training_state", "dict")
PARAMETERS = ("parameters", "dict")

# Where the record of a classifier becomes another one, what stands there, and the message.
CLASSIFIERS: list[tuple[tuple[str, ...], Any, str]] = [
    (("parameters",), 1, "its parameters are not"),
    ((*PARAMETERS, "more"), 1, "its parameters are not"),
    ((*PARAMETERS, "hidden_size"), 0, "'hidden_size' parameter"),
    ((*PARAMETERS, "hidden_size"), "many", "'hidden_size' parameter"),
    ((*PARAMETERS, "n_jobs"), {"dict": {}}, "'n_jobs' parameter"),
    ((*PARAMETERS, "n_timesteps"), 0, "'n_timesteps' parameter"),
    (("fitted",), [], "its fitted state is no dict"),
    (("fitted",), {"dict": {}}, "nothing refers"),
    ((*FITTED, "coefs_"), 1, "no vector"),
    ((*FITTED, "coefs_"), {"array": "fitted._training_state.moments"}, "no vector"),
    ((*FITTED, "n_features_in_"), 4, "other numbers of features"),
    ((*FITTED, "n_features_in_"), True, "other numbers of features"),
    ((*FITTED, "n_outputs_"), 4, "other numbers of features"),
    ((*FITTED, "missing_features_"), [], "no vector of indices"),
    ((*FITTED, "missing_features_"), DROP, "lacks ['missing_features_']"),
    ((*FITTED, "feature_names_in_"), 4, "feature names"),
    ((*FITTED, "classes_"), 4, "no classes_"),
    ((*FITTED, "classes_"), {"objects": ["a", "b"]}, "2 classes, but"),
    ((*FITTED, "_multilabel"), 4, "its _multilabel is not as"),
    ((*FITTED, "_multilabel"), DROP, "multilabel"),
    ((*FITTED, "_spec"), DROP, "lacks"),
    ((*FITTED, "predict"), 1, "attribute 'predict'"),
    ((*FITTED, "_record"), 1, "attribute '_record'"),
    ((*FITTED, "parameters_"), 1, "attribute 'parameters_'"),
    ((*FITTED, "layout_"), 1, "attribute 'layout_'"),
    ((*FITTED, "__class__"), 1, "attribute '__class__'"),
    ((*SPEC, "more"), 1, "no NetworkSpec"),
    ((*SPEC, "dtype"), DROP, "incomplete"),
    ((*SPEC, "dtype"), "float64", "of dtype float32, not float64"),
    ((*SPEC, "input_size"), 2**62, "need more than"),
    ((*SPEC, "input_size"), -1, "not as it has to be"),
    ((*SPEC, "input_size"), 4, "parameters, but coefs_ has"),
    ((*SPEC, "hidden_sizes"), {"tuple": [2**31 - 1]}, "need more than"),
    ((*SPEC, "hidden_sizes"), {"tuple": [-(2**31)]}, "sizes"),
    ((*SPEC, "hidden_sizes"), {"tuple": []}, "sizes"),
    ((*SPEC, "hidden_sizes"), [6], "not as it has to be"),
    ((*SPEC, "hidden_sizes"), {"tuple": [1] * 1000}, "need more than"),
    ((*SPEC, "n_outputs"), 2**40, "need more than"),
    ((*SPEC, "pooling"), "none", "pooling"),
    ((*SPEC, "link"), 3, "not as it has to be"),
    ((*SPEC, "dropout"), {"float": "nan"}, "dropout"),
    ((*STATE, "seed"), -1, "not as it has to be"),
    ((*STATE, "parameters"), {"array": "fitted._training_state.moments"}, "another network"),
    ((*STATE, "moments"), {"array": "fitted.coefs_"}, "another network"),
    ((*STATE, "history"), {"tuple": [1]}, "not as it has to be"),
    ((*STATE, "best_score"), None, "not as it has to be"),
    (("requests",), 1, "metadata requests"),
    (("requests",), {"dict": {"transform": {"dict": {}}}}, "metadata requests"),
    (("requests",), {"dict": {"fit": {"dict": {"colour": True}}}}, "metadata requests"),
    (("requests",), {"dict": {"fit": {"dict": {"sample_weight": 3}}}}, "sample_weight as 3"),
]


@pytest.mark.parametrize(("place", "value", "message"), CLASSIFIERS, ids=str)
def test_records_of_classifiers(
    place: tuple[str, ...], value: Any, message: str, classifier: bytes, folder: Path
) -> None:
    content = changed(classifier, place, value)
    if message != "nothing refers":
        content = with_all_arrays(content)
    assert message in refused(content, folder)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ((*FITTED, "_flat_targets"), True, "two shapes"),
        ((*FITTED, "_flat_targets"), DROP, "shape y had"),
        ((*FITTED, "target_mean_"), 1.0, "target_mean_"),
        ((*FITTED, "target_scale_"), {"array": "fitted.coefs_"}, "target_scale_"),
    ],
    ids=str,
)
def test_records_of_regressors(
    place: tuple[str, ...], value: Any, message: str, regressor: bytes, folder: Path
) -> None:
    content = with_all_arrays(changed(regressor, place, value))
    assert message in refused(content, folder)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ((*PARAMETERS, "method"), "none", "'method' parameter"),
        ((*FITTED, "n_features_in_"), 4, "not of 4 features"),
        ((*FITTED, "n_features_in_"), [], "not of [] features"),
        ((*FITTED, "center_"), DROP, "lacks ['center_']"),
        ((*FITTED, "scale_"), 1, "not of 3 features"),
        ((*FITTED, "_statistics"), {"tuple": []}, "not of 3 features"),
        ((*FITTED, "_statistics"), [], "its _statistics is not"),
        ((*FITTED, "_n_columns"), 0, "its _n_columns is not"),
    ],
    ids=str,
)
def test_records_of_scalers(place: tuple[str, ...], value: Any, message: str, folder: Path) -> None:
    SequenceScaler().fit(np.ones((2, 4, 3))).save(folder / "scaler")
    content = with_all_arrays(changed((folder / "scaler").read_bytes(), place, value))
    assert message in refused(content, folder)


BASE = (*PARAMETERS, "estimator", "dict")
SECOND = (*FITTED, "estimators_", 1, "dict")


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (PARAMETERS, {}, "what its estimator is"),
        ((*PARAMETERS, "n_models"), 0, "'n_models' parameter"),
        ((*PARAMETERS, "estimator"), DROP, "what its estimator is"),
        ((*PARAMETERS, "estimator"), 3, "no record with a name"),
        ((*PARAMETERS, "estimator"), None, "none of LSTMRegressor"),
        ((*BASE, "more"), 1, "no record with a name"),
        ((*BASE, "record"), [], "no record"),
        ((*BASE, "kind"), "LSTMEnsemble", "is a 'LSTMEnsemble'"),
        ((*BASE, "kind"), "os.system", "is a 'os.system'"),
        ((*BASE, "kind"), "LSTMRegressor", "not those of LSTMRegressor"),
        ((*BASE, "record", "dict", *PARAMETERS, "hidden_size"), 0, "'hidden_size' parameter"),
        ((*FITTED, "estimators_"), [], "no list of models"),
        ((*FITTED, "estimators_"), 2, "no list of models"),
        ((*FITTED, "estimators_"), DROP, "no list of models"),
        ((*FITTED, "estimators_", 1), 2, "no record with a name"),
        ((*FITTED, "predict"), 1, "attribute 'predict'"),
        ((*FITTED, "classes_"), 1, "attribute 'classes_'"),
        ((*SECOND, "kind"), "SequenceScaler", "is a 'SequenceScaler'"),
        ((*SECOND, "record", "dict", "fitted"), None, "not fitted"),
        ((*SECOND, "record", "dict", *PARAMETERS, "random_state"), 1, "seeds_ are not"),
        ((*SECOND, "record", "dict", *SPEC, "input_size"), 2**62, "need more than"),
        (
            (*SECOND, "record", "dict", *FITTED, "classes_"),
            {"objects": ["a", "b", "c"]},
            "different tasks",
        ),
        ((*FITTED, "seeds_"), DROP, "seeds_ are not"),
        ((*FITTED, "seeds_"), [1, 2], "seeds_ are not"),
        (("requests",), 1, "metadata requests"),
    ],
    ids=str,
)
def test_records_of_ensembles(
    place: tuple[Any, ...], value: Any, message: str, folder: Path
) -> None:
    ensemble("multiclass").save(folder / "ensemble")
    content = changed((folder / "ensemble").read_bytes(), place, value)
    assert message in refused(with_all_arrays(content), folder)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ((*PARAMETERS, "estimator"), None, "'estimator' parameter"),
        ((*PARAMETERS, "estimator"), DROP, "what its estimator is"),
        ((*PARAMETERS, "n_steps"), 1, "'n_steps' parameter"),
        ((*BASE, "kind"), "LearningRateFinder", "is a 'LearningRateFinder'"),
        ((*FITTED, "losses_"), DROP, "vectors of one length"),
        ((*FITTED, "losses_"), [1.0], "vectors of one length"),
        ((*FITTED, "best_learning_rate_"), "1e-3", "no best_learning_rate_"),
        ((*FITTED, "plot"), 1, "attribute 'plot'"),
    ],
    ids=str,
)
def test_records_of_finders(place: tuple[str, ...], value: Any, message: str, folder: Path) -> None:
    finder().save(folder / "finder")
    content = changed((folder / "finder").read_bytes(), place, value)
    assert message in refused(with_all_arrays(content), folder)
