"""What is loaded is what was saved, to the last bit, and goes on as it would have."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from estimators.problems import estimator, methods, targets
from files.models import NEW_X, X, every_model, fitted, same, state_of
from sklearn import config_context
from sklearn.base import clone

import lstmcore
from lstmcore import SequenceScaler, layers
from lstmcore._files_values import Encoder, decode

MODELS = every_model()
OTHERS = ("layer", "scaler", "ensemble", "finder")
OF_SEQUENCES = [name for name in MODELS if not any(other in name for other in OTHERS)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def reloaded(model: Any, path: Path) -> Any:
    model.save(path)
    return lstmcore.load(path)


@pytest.mark.parametrize("name", MODELS)
def test_loaded_is_saved(name: str, path: Path) -> None:
    model = MODELS[name]
    before = copy.deepcopy(state_of(model))
    loaded = reloaded(model, path)
    assert type(loaded) is type(model)
    assert same(state_of(model), before), "saving changed the model"
    got = state_of(loaded)
    assert got.keys() == before.keys()
    assert [key for key in got if not same(got[key], before[key])] == []
    content = path.read_bytes()
    loaded.save(path)
    assert path.read_bytes() == content, "a second saving gives another file"


@pytest.mark.parametrize("name", OF_SEQUENCES)
def test_loaded_does_what_saved_does(name: str, path: Path) -> None:
    model = MODELS[name]
    loaded = reloaded(model, path)
    assert same(clone(loaded).get_params(), model.get_params())
    if name == "not fitted":
        with pytest.raises(ValueError, match="not fitted"):
            loaded.predict(X)
        return
    for method, function in methods(model).items():
        assert same(methods(loaded)[method](NEW_X), function(NEW_X)), method
    assert same(loaded.gates(NEW_X)[3].cell, model.gates(NEW_X)[3].cell)
    assert not loaded.coefs_.flags.writeable


@pytest.mark.parametrize("name", ["stacked, float64, trainable", "sgd"])
def test_training_goes_on_to_the_same_bits(name: str, path: Path) -> None:
    model = copy.deepcopy(MODELS[name])
    y = targets("multiclass" if "stacked" in name else "three outputs")
    loaded = reloaded(model, path)
    assert loaded.coefs_ is loaded._training_state.parameters
    assert np.array_equal(loaded.fit(X, y).coefs_, model.fit(X, y).coefs_)
    assert loaded.n_iter_ == model.n_iter_ == 6


@pytest.mark.parametrize("name", ["ensemble", "ensemble of regressors"])
def test_ensembles_do_what_saved_ones_do(name: str, path: Path) -> None:
    model = MODELS[name]
    loaded = reloaded(model, path)
    assert repr(clone(loaded)) == repr(clone(model))
    for method, function in methods(model).items():
        assert same(methods(loaded)[method](NEW_X), function(NEW_X)), method
    y = targets("multiclass" if name == "ensemble" else "three outputs")
    assert loaded.score(X, y) == model.score(X, y)
    # Each of its models is whole: those with warm_start go on training.
    twins = loaded.estimators_[0], copy.deepcopy(model.estimators_[0])
    assert same(*(twin.fit(X, y).coefs_ for twin in twins))
    assert same(clone(loaded).fit(X, y).predict(NEW_X), model.predict(NEW_X))


def test_a_finder_does_what_the_saved_one_does(path: Path) -> None:
    model = MODELS["finder"]
    loaded = reloaded(model, path)
    assert repr(clone(loaded)) == repr(clone(model))
    assert same(clone(loaded).fit(X, targets("binary")).losses_, model.losses_)


@pytest.mark.parametrize("method", ["standard", "robust", "minmax"])
def test_scalers_do_what_saved_ones_do(method: str, path: Path) -> None:
    scaler = copy.deepcopy(MODELS[f"{method} scaler"])
    loaded = reloaded(scaler, path)
    assert same(loaded.transform(NEW_X), scaler.transform(NEW_X))
    if method != "robust":
        assert same(loaded.partial_fit(NEW_X).scale_, scaler.partial_fit(NEW_X).scale_)


def test_layers_do_what_saved_ones_do(path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(4, 6, 3))
    for name in [name for name in MODELS if "layer" in name]:
        layer = MODELS[name]
        loaded = reloaded(layer, path)
        y, state, cache = layer.forward(x)
        y_loaded, state_loaded, cache_loaded = loaded.forward(x)
        assert same((y_loaded.copy(), state_loaded), (y.copy(), state))
        assert same(loaded.backward(y_loaded, cache_loaded)[2], layer.backward(y, cache)[2])
        assert repr(loaded) == repr(layer)


def test_a_layer_is_saved_with_what_was_written_into_it(path: Path) -> None:
    layer = layers.LSTM(2, 3)
    layer.parameters["bias_l0"][:] = np.arange(12)
    loaded = reloaded(layer, path)
    assert np.array_equal(loaded.parameters["bias_l0"], np.arange(12))
    loaded.parameters["bias_l0"][:] = 0
    assert layer.parameters["bias_l0"][3] == 3


@pytest.mark.parametrize(
    "classes",
    [
        np.array([-3, 5], np.int64),
        np.array([0, 200], np.uint8),
        np.array([0.5, 2.5], np.float32) * 2,
        np.array([False, True]),
        np.array(["a", "Ωβ𝔸\ud800"]),
        np.array(["a", "longest"], object),
        np.array([-1, 1], ">i4"),
    ],
    ids=lambda classes: classes.dtype.str,
)
def test_labels_of_every_type(classes: np.ndarray, path: Path) -> None:
    y = classes[np.arange(len(X)) % 2]
    model = estimator("binary").fit(X, y)
    loaded = reloaded(model, path)
    assert loaded.classes_.tolist() == model.classes_.tolist() == classes.tolist()
    assert loaded.classes_.dtype == model.classes_.dtype.newbyteorder("=")
    assert loaded.predict(NEW_X).tolist() == model.predict(NEW_X).tolist()


def test_feature_names(path: Path) -> None:
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 3)), columns=["x", "y", "Größe"])
    model = estimator("binary").fit(table, targets("binary"))
    loaded = reloaded(model, path)
    assert same(loaded.feature_names_in_, model.feature_names_in_)
    with pytest.raises(ValueError, match="feature names"):
        loaded.predict(table.rename(columns={"x": "other"}))


def test_metadata_requests(path: Path) -> None:
    with config_context(enable_metadata_routing=True):
        model = estimator("binary").set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight="weight")
        loaded = reloaded(model, path)
        assert repr(loaded.get_metadata_routing()) == repr(model.get_metadata_routing())
        assert "weight" in repr(clone(loaded).get_metadata_routing())


@pytest.mark.parametrize(
    "parameters",
    [
        {"hidden_size": [4, 3]},
        {"hidden_size": (4, np.int64(3))},
        {"class_weight": {0: 1.0, np.int64(1): 2}},
        {"class_weight": [{0: 1.0, 1: 2}, {0: 1, 1: 1}]},
        {"learning_rate": np.float32(0.01), "max_grad_norm": None},
        {"verbose": np.True_, "n_jobs": np.int32(-1)},
    ],
    ids=repr,
)
def test_parameters(parameters: dict[str, Any], path: Path) -> None:
    model = estimator("binary", **parameters)
    assert reloaded(model, path).get_params() == model.get_params()


@pytest.mark.parametrize("source", [np.random.RandomState(0), np.random.default_rng(0)], ids=type)
def test_generators_have_no_place_in_a_file(source: Any, path: Path) -> None:
    model = estimator("binary", random_state=source)
    with pytest.raises(ValueError, match=r"random_state must be None or an int .*set_params"):
        model.save(path)
    assert not path.exists()
    assert reloaded(model.set_params(random_state=None), path).random_state is None


def test_what_has_no_place_is_named(path: Path) -> None:
    model = fitted()
    model.note = "mine"
    with pytest.raises(ValueError, match="no place for the attribute 'note'"):
        model.save(path)
    del model.note
    model.notes_ = {(1, 2): "mine"}
    with pytest.raises(ValueError, match=r"can't hold fitted\.notes_, which is a dict"):
        model.save(path)
    with pytest.raises(ValueError, match="'dropout' parameter"):
        estimator("binary", dropout=2.0).save(path)
    with pytest.raises(TypeError, match="'batch_size' parameter"):
        estimator("binary", batch_size="many").save(path)
    with pytest.raises(TypeError, match="'estimator' parameter of LSTMEnsemble"):
        lstmcore.LSTMEnsemble(SequenceScaler()).save(path)
    assert list(path.parent.iterdir()) == []


def test_classes_of_users_have_no_place(path: Path) -> None:
    class Mine(lstmcore.LSTMRegressor):
        pass

    for model in (Mine(), lstmcore.LSTMEnsemble(Mine()), lstmcore.LearningRateFinder(Mine())):
        with pytest.raises(TypeError, match="Mine is a class of your own"):
            model.save(path)


def test_paths(tmp_path: Path) -> None:
    model = MODELS["layer"]
    model.save(str(tmp_path / "as text"))
    assert lstmcore.load(str(tmp_path / "as text")).hidden_size == 7
    with pytest.raises(FileNotFoundError):
        lstmcore.load(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        model.save(tmp_path / "none" / "file")
    with pytest.raises(TypeError, match="path"):
        model.save(b"bytes")
    with pytest.raises(TypeError, match="path"):
        model.save(3)


def test_other_programs_read_the_file(path: Path) -> None:
    safetensors = pytest.importorskip("safetensors")
    numpy_of = pytest.importorskip("safetensors.numpy")
    for model in MODELS.values():
        model.save(path)
        arrays = numpy_of.load_file(path)
        with safetensors.safe_open(path, "numpy") as file:
            metadata = file.metadata()
        assert metadata["format"] == "lstmcore"
        assert metadata["lstmcore_version"] == lstmcore.__version__
        if hasattr(model, "coefs_"):
            assert same(arrays["fitted.coefs_"], model.coefs_)


VALUES = [
    None,
    [True, -(2**70), 0.1, -0.0, "ü\ud800\x00", math.inf, -math.inf, math.nan],
    {1: {True: 2}, None: [], -0.5: "a", "b": ()},
    (1, [], (), {}, {"": [()], "dict": {"tuple": 1}}),
    {"a": np.arange(6, dtype=np.int16).reshape(2, 3), "b": np.zeros((0, 3)), "c": np.array(2.0)},
    [np.arange(4)[::-2], np.array(["", "a\x00b"]), np.array([None, "a"])[1:], np.zeros(0, bool)],
]


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_values(value: Any) -> None:
    encoder = Encoder()
    used: set[str] = set()
    assert same(decode(encoder.encode(value, "v"), encoder.arrays, used), value)
    assert used == encoder.arrays.keys()


@pytest.mark.parametrize(
    "value",
    [
        1j,
        b"",
        {(1,): 2},
        {1},
        object(),
        np.array([1j]),
        np.array([object()]),
        np.longdouble(1),
        dict,
    ],
    ids=range(9),
)
def test_values_without_a_place(value: Any) -> None:
    with pytest.raises(ValueError, match=r"can't hold v"):
        Encoder().encode(value, "v")
