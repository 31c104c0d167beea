"""Parameters ``tbptt_steps`` and ``memory``, and predictions in pieces of time."""

from __future__ import annotations

import pickle
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
LONGEST = max(map(len, X))
POOLINGS = ("last", "mean", "max")
CELLS = ("lstm", GRUCell(), LSTMCell(proj_size=3))
WINDOWS = ({"tbptt_steps": 3}, {"memory": "recompute"})
NETWORKS = (
    *({"pooling": pooling, "hidden_size": (6, 5)} for pooling in (*POOLINGS, "attention")),
    {"hidden_size": (6, 6), "residual": True},
    {"hidden_size": (6, 5), "embedding_size": {0: 4}},
    {"hidden_size": 6, "missing": "mask", "pooling": "attention"},
)


def long_sequences(embedding_size: Any = None, missing: str = "error") -> list[np.ndarray]:
    """Sequences with several runs of BPTT, of what the network asks for."""
    rng = np.random.default_rng(3)
    sequences = [rng.normal(size=(int(n), 3)) for n in rng.integers(0, 300, 40)]
    for sequence in sequences:
        if embedding_size is not None:
            sequence[:, 0] = rng.integers(0, 7, len(sequence))
        if missing == "mask":
            sequence[rng.random(sequence.shape) < 0.1] = np.nan
    return sequences


def data_for(network: dict[str, Any]) -> list[np.ndarray]:
    names = ("embedding_size", "missing")
    return long_sequences(**{name: network[name] for name in names if name in network})


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_window_as_long_as_all_is_no_window(problem: str, pooling: str) -> None:
    settings = {"pooling": pooling, "hidden_size": (6, 5), "dropout": 0.2}
    whole = estimator(problem, **settings).fit(X, targets(problem))
    windows = estimator(problem, tbptt_steps=LONGEST, **settings).fit(X, targets(problem))
    assert_array_equal(windows.coefs_, whole.coefs_, strict=True)
    assert windows.loss_curve_ == whole.loss_curve_


@pytest.mark.parametrize("cell", CELLS, ids=str)
@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_windows(network: dict[str, Any], cell: Any) -> None:
    """Recomputed gates change no bit; a shorter window is another gradient."""
    settings = {"cell": cell, "dropout": 0.2} | network
    data = data_for(network), targets("multiclass")
    kept = estimator("multiclass", **settings).fit(*data)
    for n_jobs in (1, 2):
        model = estimator("multiclass", memory="recompute", n_jobs=n_jobs, **settings).fit(*data)
        assert_array_equal(model.coefs_, kept.coefs_, strict=True)
        assert model.loss_curve_ == kept.loss_curve_
    truncated = [
        estimator("multiclass", tbptt_steps=20, n_jobs=n_jobs, **settings).fit(*data)
        for n_jobs in (1, 2)
    ]
    assert_array_equal(truncated[0].coefs_, truncated[1].coefs_, strict=True)
    assert (truncated[0].coefs_ != kept.coefs_).any()


@pytest.mark.parametrize("windows", WINDOWS, ids=str)
@pytest.mark.parametrize("problem", ["binary", "one output"])
def test_both_directions_are_refused(problem: str, windows: dict[str, Any]) -> None:
    name, value = next(iter(windows.items()))
    model = estimator(problem, bidirectional=True, **windows)
    with pytest.raises(ValueError, match=f"bidirectional must be False with .*{name}={value!r}"):
        model.fit(X, targets(problem))
    assert not hasattr(model, "coefs_")


@pytest.mark.parametrize("windows", [{"tbptt_steps": 20}, {"memory": "recompute"}], ids=str)
def test_a_fit_that_goes_on_has_the_bits_of_one(windows: dict[str, Any]) -> None:
    """By partial_fit, by warm_start, and from what was kept in a file in between."""
    data = long_sequences(), targets("multiclass")
    settings = {"pooling": "mean", "dropout": 0.2} | windows
    whole = estimator("multiclass", **settings).fit(*data)
    parts = estimator("multiclass", **settings)
    for _ in range(3):
        parts.partial_fit(*data, classes=np.unique(data[1]))
    assert_array_equal(parts.coefs_, whole.coefs_, strict=True)
    warm = estimator("multiclass", warm_start=True, **settings).set_params(max_iter=1).fit(*data)
    warm = pickle.loads(pickle.dumps(warm)).set_params(max_iter=2).fit(*data)
    assert_array_equal(warm.coefs_, whole.coefs_, strict=True)


def test_memory_may_change_between_two_fits() -> None:
    data = long_sequences(), targets("multiclass")
    model = estimator("multiclass", warm_start=True).set_params(max_iter=1).fit(*data)
    model.set_params(memory="recompute", max_iter=2).fit(*data)
    whole = estimator("multiclass").fit(*data)
    assert_array_equal(model.coefs_, whole.coefs_, strict=True)


@pytest.mark.parametrize("windows", WINDOWS, ids=str)
def test_memory_maps(windows: dict[str, Any], tmp_path: Any) -> None:
    array = np.random.default_rng(0).normal(size=(40, 300, 3)).astype(np.float32)
    np.save(tmp_path / "X.npy", array)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    model = estimator("one output", **windows).fit(mapped, targets("one output"))
    twin = estimator("one output", **windows).fit(array, targets("one output"))
    assert_array_equal(model.coefs_, twin.coefs_, strict=True)
    assert_array_equal(model.predict(mapped), twin.predict(array), strict=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_long_sequence_in_a_memory_map(
    dtype: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sequence in a list, of the dtype of the model and of another one."""
    model = estimator("multiclass", pooling="attention").fit(X, targets("multiclass"))
    array = np.random.default_rng(0).normal(size=(5000, 3)).astype(dtype)
    np.save(tmp_path / "x.npy", array)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    expected = model.predict_proba([array])
    monkeypatch.setattr(_inference, "_PIECE_ROWS", 700)
    assert_array_equal(model.predict_proba([mapped]), expected, strict=True)
    with pytest.raises(ValueError, match="X has 2 features, but"):
        model.predict([mapped[:, :2]])


@pytest.mark.parametrize("windows", WINDOWS, ids=str)
def test_windows_pass_through_what_wraps_a_model(windows: dict[str, Any]) -> None:
    """The members of an ensemble are trained as the model by itself."""
    data = long_sequences(), targets("one output")
    ensemble = lstmcore.LSTMEnsemble(
        estimator("one output", **windows), n_models=2, random_state=0
    ).fit(*data)
    for member in ensemble.estimators_:
        assert next(iter(windows.items())) in member.get_params().items()
        twin = clone(member).fit(*data)
        assert_array_equal(member.coefs_, twin.coefs_, strict=True)


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


@pytest.mark.parametrize("windows", WINDOWS, ids=str)
def test_files_keep_the_parameters(windows: dict[str, Any], tmp_path: Any) -> None:
    model = estimator("multiclass", **windows).fit(X, targets("multiclass"))
    model.save(tmp_path / "model.lstm")
    loaded = lstmcore.load(tmp_path / "model.lstm")
    assert loaded.get_params() == model.get_params() == clone(model).get_params()
    assert_array_equal(loaded.predict_proba(X), model.predict_proba(X), strict=True)
    assert_array_equal(loaded.fit(X, targets("multiclass")).coefs_, model.coefs_, strict=True)


@pytest.mark.parametrize("cell", CELLS, ids=str)
@pytest.mark.parametrize("network", [*NETWORKS, {"bidirectional": True}], ids=str)
def test_predictions_in_pieces_are_those_of_one(
    network: dict[str, Any], cell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Networks that cannot be read in pieces keep away from them."""
    model = estimator("multiclass", cell=cell, **network)
    sequences = data_for(network)
    model.fit(sequences, targets("multiclass"))
    expected = {name: method(sequences) for name, method in methods(model).items()}
    calls = []
    original = _inference._predict_long

    def counting(*args: Any, **options: Any) -> Any:
        calls.append(1)
        return original(*args, **options)

    monkeypatch.setattr(_inference, "_predict_long", counting)
    monkeypatch.setattr(_inference, "_PIECE_ROWS", 100)
    for name, method in methods(model).items():
        assert_array_equal(method(sequences), expected[name], strict=True)
    assert bool(calls) != bool(network.get("bidirectional"))
