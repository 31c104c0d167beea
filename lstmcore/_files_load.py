"""Making objects of files again: the closed table of what there can be in one."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcore._cell_options import GRU_OPTIONS, LSTM_OPTIONS, RNN_OPTIONS, Option
from lstmcore._classifier import LSTMClassifier
from lstmcore._ensemble import FITTED_ENSEMBLE, LSTMEnsemble
from lstmcore._files import read_record
from lstmcore._files_estimators import require, restore_estimator
from lstmcore._files_networks import FITTED_NETWORK, checked_network, require_fitting_sizes
from lstmcore._learning_rate_finder import FITTED_FINDER, LearningRateFinder
from lstmcore._parameters import boolean
from lstmcore._regressor import LSTMRegressor
from lstmcore._scaler import FITTED_SCALER, SequenceScaler
from lstmcore._table_model import Roles, TableModel
from lstmcore.layers import GRU, LSTM, RNN

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from lstmcore.layers._recurrent import RecurrentLayer


def _restore_classifier(record: dict[str, Any]) -> LSTMClassifier:
    model = restore_estimator(LSTMClassifier, record, FITTED_NETWORK, checked_network)
    if hasattr(model, "coefs_"):
        classes = getattr(model, "classes_", None)
        require(isinstance(classes, np.ndarray) and classes.ndim == 1, "it has no classes_")
        require(hasattr(model, "_multilabel"), "it does not say whether it is multilabel")
        binary = model.n_outputs_ == 1 and not model._multilabel
        expected = 2 if binary else model.n_outputs_
        require(
            len(model.classes_) == expected,
            f"it has {len(model.classes_)} classes, but its network tells {expected} apart",
        )
    return model


def _restore_regressor(record: dict[str, Any]) -> LSTMRegressor:
    model = restore_estimator(LSTMRegressor, record, FITTED_NETWORK, checked_network)
    if hasattr(model, "coefs_"):
        require(hasattr(model, "_flat_targets"), "it does not say which shape y had")
        require(not model._flat_targets or model.n_outputs_ == 1, "its y had two shapes")
        for name in ("target_mean_", "target_scale_"):
            values = getattr(model, name, None)
            require(
                isinstance(values, np.ndarray)
                and values.dtype == np.float64
                and values.shape == (model.n_outputs_,),
                f"its {name} does not suit its {model.n_outputs_} outputs",
            )
    return model


# The options of each layer beside its sizes.
_LAYER_OPTIONS: dict[type[RecurrentLayer[Any]], dict[str, Option]] = {
    GRU: GRU_OPTIONS,
    LSTM: LSTM_OPTIONS,
    RNN: RNN_OPTIONS,
}
_STACK_OPTIONS = {
    name: Option(False, boolean(), bool) for name in ("bidirectional", "residual", "reverse")
}

# Those that every file of their layer has.
_EVER_SINCE = {"reset_after", "nonlinearity"}


def _restore_layer(cls: type[RecurrentLayer[Any]], record: dict[str, Any]) -> Any:
    names = ("input_size", "hidden_size", "num_layers")
    options = _LAYER_OPTIONS[cls] | _STACK_OPTIONS
    # What a file does not have was not yet an option when it was written.
    later = {name: o.default for name, o in options.items() if name not in _EVER_SINCE}
    missing = {name: default for name, default in later.items() if name not in record}
    record = record | missing
    values = record.get("_live")
    require(
        record.keys() == {*names, *options, "dtype", "n_jobs", "_live"}
        and all(type(record[name]) is int and record[name] >= 1 for name in names)
        and all(o.constraint.error(record[name]) is None for name, o in options.items())
        and not (record["bidirectional"] and record["reverse"])
        and (record["n_jobs"] is None or (type(record["n_jobs"]) is int and record["n_jobs"] != 0)),
        f"its settings are not those of {cls.__name__}",
    )
    require(
        isinstance(values, np.ndarray)
        and values.ndim == 1
        and record["dtype"] in ("float32", "float64")
        and values.dtype == record["dtype"],
        "its parameters are no vector of its dtype",
    )
    n_layers, size = record["num_layers"], record["hidden_size"]
    require(n_layers <= values.size, f"its layers need more than {values.size} parameters")  # type: ignore[union-attr]
    sizes, outputs = (size,) * n_layers, (record.get("proj_size") or size,) * n_layers
    require_fitting_sizes(record["input_size"], sizes, outputs, 1, values.size)  # type: ignore[union-attr]
    layer = cls.__new__(cls)
    layer.__setstate__(record)
    return layer


def _restore_scaler(record: dict[str, Any]) -> SequenceScaler:
    return restore_estimator(SequenceScaler, record, FITTED_SCALER, _checked_scaler)


def _checked_scaler(fitted: dict[str, Any]) -> dict[str, Any]:
    """Refuse a scaler whose arrays are not of its number of features; nothing is rebuilt."""
    needed = {"center_", "scale_", "n_features_in_", "_n_columns", "_statistics"}
    require(fitted.keys() >= needed, f"it lacks {sorted(needed - fitted.keys())}")
    arrays = (fitted["center_"], fitted["scale_"], *fitted["_statistics"])
    require(
        all(
            isinstance(array, np.ndarray)
            and array.dtype.kind in "fi"
            and array.shape == (fitted["n_features_in_"],)
            for array in arrays
        )
        and len(fitted["_statistics"]) in (2, 3),
        f"its arrays are not of {fitted['n_features_in_']!r} features each",
    )
    return {}


def _restore_table_model(record: dict[str, Any]) -> TableModel:
    require(
        record.keys() == {"roles", "scaler", "estimator_kind", "estimator"},
        "its parts are not those of TableModel",
    )
    kinds = {"LSTMClassifier": _restore_classifier, "LSTMRegressor": _restore_regressor}
    kind, parts, roles = record["estimator_kind"], record["estimator"], record["roles"]
    require(isinstance(kind, str) and kind in kinds, f"its estimator is a {kind!r}")
    require(isinstance(parts, dict), "its estimator is no record")
    require(record["scaler"] is None or isinstance(record["scaler"], dict), "its scaler is none")
    require(
        isinstance(roles, dict)
        and roles.keys() == {field.name for field in fields(Roles)}
        and all(roles[name] is None or type(roles[name]) is str for name in ("id", "time", "label"))
        and type(roles["values"]) is tuple
        and all(type(name) is str for name in roles["values"])
        and type(roles["n_steps"]) is int
        and roles["n_steps"] >= 1,
        "its roles are no names of columns",
    )
    estimator = kinds[kind](parts)
    scaler = None if record["scaler"] is None else _restore_scaler(record["scaler"])
    n_features = getattr(estimator, "n_features_in_", None)
    require(n_features is not None, "its estimator is not fitted")
    require(
        scaler is None or getattr(scaler, "n_features_in_", None) == n_features,
        "its scaler is not fitted to the features of its estimator",
    )
    return TableModel(estimator, scaler, Roles(**roles))


def _named_model(value: object) -> Any:
    """Return the model of sequences of which a named record was made, alone or in another's."""
    kinds = {"LSTMClassifier": _restore_classifier, "LSTMRegressor": _restore_regressor}
    require(
        isinstance(value, dict) and value.keys() == {"kind", "record"},
        "one of its models is no record with a name",
    )
    kind, record = value["kind"], value["record"]  # type: ignore[index]
    require(isinstance(kind, str) and kind in kinds, f"one of its models is a {kind!r}")
    require(isinstance(record, dict), "one of its models is no record")
    return kinds[kind](record)


def _with_base(record: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a meta-estimator with its ``estimator`` restored."""
    parameters = record.get("parameters")
    if not isinstance(parameters, dict) or "estimator" not in parameters:
        raise ValueError("it does not say what its estimator is")
    base = parameters["estimator"]
    restored = None if base is None else _named_model(base)
    return record | {"parameters": parameters | {"estimator": restored}}


def _restore_ensemble(record: dict[str, Any]) -> LSTMEnsemble:
    record = _with_base(record)
    fitted = record.get("fitted")
    if isinstance(fitted, dict):
        models = fitted.get("estimators_")
        if not isinstance(models, list) or not models:
            raise ValueError("its estimators_ are no list of models")
        models = [_named_model(model) for model in models]
        record["fitted"] = fitted | {"estimators_": models}
    ensemble = restore_estimator(LSTMEnsemble, record, FITTED_ENSEMBLE, _checked_ensemble)
    if hasattr(ensemble, "estimators_"):
        require(
            all(type(model) is type(ensemble._base) for model in ensemble.estimators_),
            f"its models are none of {type(ensemble._base).__name__}",
        )
    return ensemble


def _checked_ensemble(fitted: dict[str, Any]) -> dict[str, Any]:
    """Refuse models that are not fitted to the same task with these seeds; nothing is rebuilt."""
    models, seeds = fitted["estimators_"], fitted.get("seeds_")
    require(all(hasattr(model, "coefs_") for model in models), "one of its models is not fitted")
    require(
        isinstance(seeds, np.ndarray)
        and seeds.dtype == np.int64
        and seeds.tolist() == [model.random_state for model in models],
        "its seeds_ are not those of its models",
    )
    first = models[0]
    for model in models[1:]:
        require(
            all(
                np.array_equal(getattr(model, name, ()), getattr(first, name, ()))
                for name in _SHARED
            ),
            "its models were fitted to different tasks",
        )
    return {}


# What the models of an ensemble learnt from the same samples.
_SHARED = (
    "n_features_in_",
    "n_outputs_",
    "classes_",
    "feature_names_in_",
    "_multilabel",
    "_flat_targets",
)


def _restore_finder(record: dict[str, Any]) -> LearningRateFinder:
    return restore_estimator(LearningRateFinder, _with_base(record), FITTED_FINDER, _checked_finder)


def _checked_finder(fitted: dict[str, Any]) -> dict[str, Any]:
    """Refuse curves that are none; nothing is rebuilt."""
    curves = [fitted.get(name) for name in ("learning_rates_", "losses_", "smoothed_losses_")]
    require(
        all(
            isinstance(curve, np.ndarray) and curve.dtype == np.float64 and curve.ndim == 1
            for curve in curves
        )
        and len({len(curve) for curve in curves if curve is not None}) == 1
        and len(fitted["losses_"]) >= 1,
        "its curves are no vectors of one length",
    )
    require(type(fitted.get("best_learning_rate_")) is float, "it has no best_learning_rate_")
    return {}


_KINDS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "LSTMClassifier": _restore_classifier,
    "LSTMEnsemble": _restore_ensemble,
    "LSTMRegressor": _restore_regressor,
    "LearningRateFinder": _restore_finder,
    "SequenceScaler": _restore_scaler,
    "TableModel": _restore_table_model,
    "layers.GRU": partial(_restore_layer, GRU),
    "layers.LSTM": partial(_restore_layer, LSTM),
    "layers.RNN": partial(_restore_layer, RNN),
}


def restore_model(kind: object, record: object) -> Any:
    """Return the object of which a record was made.

    Raises
    ------
    ValueError
        If the kind is none of ours, or if the record is not one of its kind.
    """
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValueError(f"it holds a {kind!r}, which is none of {list(_KINDS)}")
    if not isinstance(record, dict):
        raise ValueError(f"its {kind} is no dict")
    return _KINDS[kind](record)


def load(path: str | os.PathLike[str]) -> Any:
    """Load what was saved by the method ``save`` of an estimator or a layer.

    Files are data: nothing in them is ever run, so a file of unknown origin can at worst hold a bad
    model. Every file that is not, to the last bit, one that ``save`` wrote is refused.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    model : an estimator of lstmcore, a SequenceScaler or a layer
        It predicts the same bits as the one that was saved, is cloned alike, and, with
        ``warm_start=True``, goes on training to the same bits.

    Raises
    ------
    OSError
        If the file can't be opened or read.
    TypeError
        If ``path`` is no path.
    ValueError
        If the file is no file of lstmcore, is damaged, contradicts itself, or comes from a later
        version whose format this one does not know.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> import lstmcore
    >>> X, y = [np.ones((3, 1)), np.zeros((2, 1))], ["one", "none"]
    >>> model = lstmcore.LSTMClassifier(hidden_size=4, max_iter=5, tol=None).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "model.safetensors")
    ...     model.save(path)
    ...     loaded = lstmcore.load(path)
    >>> bool((loaded.predict_proba(X) == model.predict_proba(X)).all())
    True
    """
    try:
        return restore_model(*read_record(path))
    except ValueError as error:
        raise ValueError(f"{str(path)!r} can't be loaded: {error}.") from error
