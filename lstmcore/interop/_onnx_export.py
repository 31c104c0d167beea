"""Layers and estimators as ONNX models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from lstmcore._estimator import BaseLSTM
from lstmcore._files_atomic import write_atomically
from lstmcore.interop._onnx_graph import GraphBuilder
from lstmcore.interop._onnx_recurrence import (
    Stack,
    final_hidden,
    only_real,
    ragged_batch,
    recurrent_layers,
)
from lstmcore.layers._recurrent import RecurrentLayer

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lstmcore._network import NetworkSpec
    from lstmcore.interop._onnx_recurrence import Outputs, Ragged

# As long as the batch is; any length is cut down to that.
_WHOLE = np.array([np.iinfo(np.int64).max])


def to_onnx(
    layer_or_estimator: RecurrentLayer[Any] | BaseLSTM,
    path: str | os.PathLike[str] | None = None,
    *,
    dtype: str | None = None,
    states: bool = False,
) -> Any:
    """Make an ONNX model of a layer or of a fitted estimator.

    The model takes sequences of different lengths as a padded array, and any number of them, none
    included; what stands behind the end of a sequence is never looked at. Opset 18, IR version 8.

    =================  =================================  ==========================================
    inputs             of                                 shape and type
    =================  =================================  ==========================================
    ``X``              both                               (N, T, I), of ``dtype``
    ``lengths``        both, may be left out: all are T   (N,), int64
    ``h_0``, ``c_0``   layers, may be left out: zeros     (L * D, N, H), of ``dtype``; c of an LSTM
    ``h_0_l0``, ...    estimators with ``states``         (D, N, H) for each layer; as above
    =================  =================================  ==========================================

    =================  =================================  ==========================================
    outputs            of                                 shape and type
    =================  =================================  ==========================================
    ``Y``              layers                             (N, T, D * H), 0 behind the end
    ``h_n``, ``c_n``   layers                             (L * D, N, H); c of an LSTM
    ``label``          classifiers                        (N,), or (N, K) for several labels
    ``probabilities``  classifiers                        (N, K)
    ``y``              regressors                         (N,) or (N, K) as in ``fit``, double
    ``h_n_l0``, ...    estimators with ``states``         (D, N, H) for each layer; as above
    =================  =================================  ==========================================

    D is 2 where the layers run in both directions, else 1. Labels are int64, double, bool or
    strings. In ONNX Runtime, which computes sigmoid and tanh otherwise, outputs of float32 models
    differ by a few 1e-7 for weights and inputs of usual size.

    Parameters
    ----------
    layer_or_estimator : a layer of lstmcore.layers, LSTMClassifier or LSTMRegressor
        A layer, or a fitted estimator. Where it was fitted on rows of a table, ``X`` still has
        three axes, and tokens are numbers in it. Values that are missing are NaN in ``X``, if it
        was fitted with ``missing="mask"``; else, NaN leads to NaN.
    path : path-like or None, default=None
        Where to save the model; None is nowhere.
    dtype : {"float32", "float64"} or None, default=None
        Of the numbers in the model; None is that of the layer or estimator. ONNX Runtime runs LSTM
        nodes of float32 only.
    states : bool, default=False
        Whether the model of an estimator takes and returns states, so that a long sequence may come
        in pieces. With ``pooling="last"`` it is scored as far as it has come; other poolings go
        over the steps of a piece alone. Those of layers always do.

    Returns
    -------
    model : onnx.ModelProto
        The model, checked by ``onnx.checker``.

    Raises
    ------
    ImportError
        If onnx is not installed.
    NotImplementedError
        If it has what ONNX has not: a projection, layer normalisation, zoneout, ``cell_clip``.
    ValueError
        If a parameter is not finite, a label has no type in ONNX, or ``dtype`` is another.
    TypeError
        If it is something else than a layer or an estimator of lstmcore.
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    OSError
        If the model can't be saved.

    Examples
    --------
    >>> from lstmcore.interop import to_onnx
    >>> from lstmcore.layers import LSTM
    >>> model = to_onnx(LSTM(3, 8))  # doctest: +SKIP
    >>> [output.name for output in model.graph.output]  # doctest: +SKIP
    ['Y', 'h_n', 'c_n']
    """
    if dtype not in (None, "float32", "float64"):
        raise ValueError(f'dtype must be "float32", "float64" or None, got {dtype!r}.')
    if isinstance(layer_or_estimator, RecurrentLayer):
        model = _layer_model(layer_or_estimator, dtype or layer_or_estimator.dtype)
    elif isinstance(layer_or_estimator, BaseLSTM):
        check_is_fitted(layer_or_estimator)
        dtype = dtype or layer_or_estimator._spec.dtype
        model = _estimator_model(layer_or_estimator, dtype, with_states=states)
    else:
        raise TypeError(
            "layer_or_estimator must be a layer or an estimator of lstmcore, got "
            f"{type(layer_or_estimator).__name__}."
        )
    if path is not None:
        write_atomically(Path(path), [model.SerializeToString()])
    return model


def _layer_model(layer: RecurrentLayer[Any], dtype: str) -> Any:
    g = GraphBuilder()
    n_hidden = layer.hidden_size
    cell = layer._options()
    stack = Stack(
        cell,
        _checked_parameters(layer.parameters, dtype),
        layer.num_layers,
        bidirectional=layer.bidirectional,
        residual=layer.residual,
        reverse=layer.reverse,
    )
    n_states = stack.n_layers * stack.n_directions
    parts = _parts_of_state(stack)
    x = g.input("X", dtype, ["N", "T", layer.input_size])
    lengths = g.input("lengths", "int64", ["N_or_1"], _WHOLE)
    nothing = np.zeros((n_states, 1, n_hidden), dtype)
    shape: list[int | str] = [n_states, "N_or_1", n_hidden]
    whole = [g.input(f"{part}_0", dtype, shape, nothing) for part in parts]
    rows = np.arange(n_states).reshape(stack.n_layers, stack.n_directions)
    state = [tuple(g.add("Gather", part, g.constant(some)) for part in whole) for some in rows]
    batch = ragged_batch(g, x, lengths, g.add("IsNaN", x), dtype)
    outputs = recurrent_layers(g, batch, stack, state, dtype)
    y = g.add("Transpose", only_real(g, batch, outputs.y, 1), perm=[1, 0, 2])
    g.output(y, "Y", dtype, ["N", "T", stack.n_directions * n_hidden])
    for part, values in zip(parts, zip(*outputs.states, strict=True), strict=True):
        joined = only_real(g, batch, g.add("Concat", *values, axis=0), 1)
        g.output(joined, f"{part}_n", dtype, [n_states, "N", n_hidden])
    return g.model(cell["kind"])


def _parts_of_state(stack: Stack) -> tuple[str, ...]:
    return ("h", "c") if stack.cell["kind"] == "lstm" else ("h",)


def _estimator_model(model: BaseLSTM, dtype: str, *, with_states: bool) -> Any:
    g = GraphBuilder()
    spec = model._spec
    parameters = _checked_parameters(model.parameters_, dtype)
    x = g.input("X", dtype, ["N", "T", model.n_features_in_])
    lengths = g.input("lengths", "int64", ["N_or_1"], _WHOLE)
    x, is_nan = _filled(g, x, model.missing_features_, model.n_features_in_, dtype)
    batch = ragged_batch(g, x, lengths, is_nan, dtype)
    if spec.embeddings:
        batch = replace(batch, x=_embedded(g, batch, spec, parameters, dtype))
    stack = Stack(
        spec.cell,
        parameters,
        len(spec.hidden_sizes),
        bidirectional=spec.bidirectional,
        residual=spec.residual,
    )
    state = _state_inputs(g, stack, spec, dtype) if with_states else None
    outputs = recurrent_layers(g, batch, stack, state, dtype)
    if with_states and spec.pooling == "last" and not spec.residual:
        pooled = final_hidden(g, outputs, stack)  # also of what has no further step
    elif spec.pooling == "attention":
        pooled = _attended(g, batch, outputs, parameters, dtype)
    else:
        pooled = _pooled(g, batch, outputs, spec.pooling, dtype)
    head = (g.constant(parameters[f"head_{n}"], name=f"head_{n}") for n in ("weight", "bias"))
    scores = g.add("Gemm", pooled, *head, transB=1)
    scores = g.add("Where", outputs.spoiled, g.constant(np.nan, dtype), scores)
    scores = only_real(g, batch, scores, 0)
    if hasattr(model, "classes_"):
        _add_classes(g, scores, model, dtype)
    else:
        _add_numbers(g, scores, model)
    if with_states:
        for level, values in enumerate(outputs.states):
            for part, value in zip(_parts_of_state(stack), values, strict=True):
                value = only_real(g, batch, value, 1)
                size = spec.hidden_sizes[level]
                g.output(value, f"{part}_n_l{level}", dtype, [stack.n_directions, "N", size])
    return g.model(type(model).__name__)


def _state_inputs(
    g: GraphBuilder, stack: Stack, spec: NetworkSpec, dtype: str
) -> list[tuple[str, ...]]:
    """Return inputs for the states of each layer, which may be left out."""
    return [
        tuple(
            g.input(
                f"{part}_0_l{level}",
                dtype,
                [stack.n_directions, "N_or_1", size],
                np.zeros((stack.n_directions, 1, size), dtype),
            )
            for part in _parts_of_state(stack)
        )
        for level, size in enumerate(spec.hidden_sizes)
    ]


def _checked_parameters(
    parameters: Mapping[str, NDArray[Any]], dtype: str
) -> dict[str, NDArray[Any]]:
    """Return parameters of a dtype, all of them finite."""
    with np.errstate(over="ignore"):
        converted = {name: array.astype(dtype) for name, array in parameters.items()}
    for name, array in converted.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds NaN or infinity, which is lost in ONNX Runtime.")
    return converted


def _filled(
    g: GraphBuilder, x: str, missing: NDArray[np.intp], n_features: int, dtype: str
) -> tuple[str, str]:
    """Return X with indicators of missing values, and where it is NaN though it may not be."""
    is_nan = g.add("IsNaN", x)
    if not len(missing):
        return x, is_nan
    indicators = g.add("Gather", is_nan, g.constant(missing.astype(np.int64)), axis=2)
    indicators = g.add("Cast", indicators, to=g.type_of(dtype))
    x = g.add("Concat", g.add("Where", is_nan, g.constant(0, dtype), x), indicators, axis=2)
    whole = np.setdiff1d(np.arange(n_features), missing).astype(np.int64)
    return x, g.add("Gather", is_nan, g.constant(whole), axis=2)


def _pooled(g: GraphBuilder, batch: Ragged, outputs: Outputs, pooling: str, dtype: str) -> str:
    """Return one vector per sequence, (N', H)."""
    time = g.constant([0])
    if pooling == "last":
        return outputs.last
    if pooling == "mean":
        lengths = g.add("Max", batch.lengths, g.constant([1]))
        lengths = g.add("Unsqueeze", g.add("Cast", lengths, to=g.type_of(dtype)), g.constant([1]))
        return g.add("Div", g.add("ReduceSum", outputs.y, time, keepdims=0), lengths)
    # What is no step is below every output of a layer; and there is always a step.
    lowest = g.constant(np.finfo(dtype).min, dtype)
    low = g.add("Where", batch.alive, outputs.y, lowest)
    floor = g.add("Expand", lowest, g.add("Shape", g.add("Unsqueeze", outputs.last, time)))
    highest = g.add("ReduceMax", g.add("Concat", low, floor, axis=0), time, keepdims=0)
    empty = g.add("Unsqueeze", g.add("Equal", batch.lengths, g.constant([0])), g.constant([1]))
    return g.add("Where", empty, g.constant(0, dtype), highest)


def _attended(
    g: GraphBuilder,
    batch: Ragged,
    outputs: Outputs,
    parameters: Mapping[str, NDArray[Any]],
    dtype: str,
) -> str:
    """Return means weighted by additive attention, (N', H); 0 where there is no step."""
    weight, bias, query = (parameters[f"attention_{part}"] for part in ("weight", "bias", "query"))
    sums = g.add("MatMul", outputs.y, g.constant(weight.T, name="attention_weight"))
    sums = g.add("Tanh", g.add("Add", sums, g.constant(bias, name="attention_bias")))
    scores = g.add("MatMul", sums, g.constant(query.reshape(-1, 1), name="attention_query"))
    scores = g.add("Where", batch.alive, scores, g.constant(np.finfo(dtype).min, dtype))
    weights = g.add("Softmax", scores, axis=0)
    weights = g.add("Where", batch.alive, weights, g.constant(0, dtype))
    return g.add("ReduceSum", g.add("Mul", weights, outputs.y), g.constant([0]), keepdims=0)


def _embedded(
    g: GraphBuilder,
    batch: Ragged,
    spec: NetworkSpec,
    parameters: Mapping[str, NDArray[Any]],
    dtype: str,
) -> str:
    """Return the inputs of the layers, (T, N', E): embeddings in the place of tokens."""
    nothing, parts = g.constant(0, dtype), []
    sizes = {column: n_tokens for column, n_tokens, _ in spec.embeddings}
    for column in range(spec.input_size):
        values = g.add(
            "Gather", batch.x, g.constant(column if column in sizes else [column]), axis=2
        )
        if column in sizes:
            known = g.add("Where", g.add("IsNaN", values), nothing, values)
            # A negative one would count from the end: no runtime takes what is too large.
            too_large = g.constant(sizes[column], dtype)
            known = g.add("Where", g.add("Less", known, nothing), too_large, known)
            tokens = g.add("Cast", known, to=g.type_of("int64"))
            name = f"embedding_weight_{column}"
            values = g.add("Gather", g.constant(parameters[name], name=name), tokens, axis=0)
        parts.append(values)
    x = parts[0] if len(parts) == 1 else g.add("Concat", *parts, axis=2)
    return g.add("Where", batch.alive, x, nothing)


def _add_classes(g: GraphBuilder, scores: str, model: Any, dtype: str) -> None:
    """Add labels and probabilities as outputs."""
    n_outputs = model.n_outputs_
    softmax = n_outputs > 1 and not model._multilabel
    probabilities = g.add("Softmax", scores, axis=1) if softmax else g.add("Sigmoid", scores)
    if model._multilabel:
        positive = g.add("Greater", scores, g.constant(0, dtype))
        labels = g.add("Cast", positive, to=g.type_of("int64"))
        g.output(labels, "label", "int64", ["N", n_outputs])
        g.output(probabilities, "probabilities", dtype, ["N", n_outputs])
        return
    if softmax:
        codes = g.add("ArgMax", scores, axis=1, keepdims=0)
    else:
        positive = g.add("Greater", scores, g.constant(0, dtype))
        codes = g.add("Squeeze", g.add("Cast", positive, to=g.type_of("int64")), g.constant([1]))
        other = g.add("Sub", g.constant(1, dtype), probabilities)
        probabilities = g.add("Concat", other, probabilities, axis=1)
    classes = _classes(model.classes_)
    name = "string" if classes.dtype.kind == "O" else classes.dtype.name
    labels = g.add("Gather", g.constant(classes, name="classes"), codes)
    g.output(labels, "label", name, ["N"])
    g.output(probabilities, "probabilities", dtype, ["N", len(classes)])


def _classes(classes: NDArray[Any]) -> NDArray[Any]:
    """Return the classes as an array of a type that ONNX has."""
    kind = classes.dtype.kind
    if kind == "b":
        return classes
    if kind in "iu" and int(classes.max()) <= np.iinfo(np.int64).max:
        return classes.astype(np.int64)
    if kind == "f":
        return classes.astype(np.float64)
    texts = classes.tolist()
    if kind in "UO" and all(isinstance(text, str) for text in texts):
        try:
            "".join(texts).encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"The labels can't be written as UTF-8: {error}.") from error
        return classes.astype(object)
    raise ValueError(f"Labels of dtype {classes.dtype} have no type in ONNX, such as {texts[0]!r}.")


def _add_numbers(g: GraphBuilder, scores: str, model: Any) -> None:
    """Add the numbers of a regressor as an output, in the scale of its targets."""
    numbers = g.add("Cast", scores, to=g.type_of("float64"))
    numbers = g.add("Mul", numbers, g.constant(model.target_scale_))
    numbers = g.add("Add", numbers, g.constant(model.target_mean_))
    if model._flat_targets:
        numbers = g.add("Squeeze", numbers, g.constant([1]))
        g.output(numbers, "y", "float64", ["N"])
    else:
        g.output(numbers, "y", "float64", ["N", model.n_outputs_])
