"""What a fitted network is in a file, and whether what comes out of one is whole."""

from __future__ import annotations

from operator import mul
from typing import Any

import numpy as np

from lstmcore._files_estimators import FittedState, require
from lstmcore._network import NetworkCache, NetworkSpec, layout_of
from lstmcore._training import TrainingState

_NEEDED = {"_spec", "coefs_", "n_features_in_", "n_outputs_", "missing_features_"}


def _is_bool(value: object) -> bool:
    return type(value) is bool


FITTED_NETWORK = FittedState(
    private={"_multilabel": _is_bool, "_flat_targets": _is_bool},
    dataclasses={"_spec": NetworkSpec, "_training_state": TrainingState},
    rebuilt=frozenset({"_cache", "layout_"}),
)


def checked_network(fitted: dict[str, Any]) -> dict[str, Any]:
    """Check the attributes of a fitted network, and return those that are rebuilt.

    Parameters
    ----------
    fitted : dict of name to object
        Attributes; their arrays become read-only where those of a fit are.

    Returns
    -------
    rebuilt : dict of name to object
        ``layout_`` and the cache of the core's network.

    Raises
    ------
    ValueError
        If they are not those of one network.
    """
    require(fitted.keys() >= _NEEDED, f"it lacks {sorted(_NEEDED - fitted.keys())}")
    spec, coefs = fitted["_spec"], fitted["coefs_"]
    require(isinstance(coefs, np.ndarray) and coefs.ndim == 1, "its coefs_ are no vector")
    require(coefs.dtype == spec.dtype, f"its coefs_ are of dtype {coefs.dtype}, not {spec.dtype}")
    # The core allocates for the sizes that it is told.
    tables = sum(n_tokens * size for _, n_tokens, size in spec.embeddings)
    proj_size = spec.cell.get("proj_size", 0)
    require(type(proj_size) is int and proj_size >= 0, f"its proj_size is {proj_size!r}")
    require_fitting_sizes(
        spec.layer_input_size,
        spec.hidden_sizes,
        spec.output_sizes,
        spec.n_outputs,
        coefs.size - tables,
    )
    network = spec.build_network()
    require(
        network.n_parameters == coefs.size,
        f"its network has {network.n_parameters} parameters, but coefs_ has {coefs.size}",
    )
    missing = fitted["missing_features_"]
    require(
        isinstance(missing, np.ndarray) and missing.dtype == np.intp and missing.ndim == 1,
        "its missing_features_ are no vector of indices",
    )
    require(
        type(fitted["n_features_in_"]) is int
        and type(fitted["n_outputs_"]) is int
        and fitted["n_features_in_"] + len(missing) == spec.input_size
        and fitted["n_outputs_"] == spec.n_outputs,
        "its network has other numbers of features or outputs than the estimator",
    )
    inside = np.isin(missing, np.arange(fitted["n_features_in_"])).all()
    require(bool(inside), f"its missing_features_ are {missing}")
    if "_training_state" in fitted:
        state = fitted["_training_state"]
        require(
            state.parameters.shape == coefs.shape
            and state.moments.ndim == 2
            and state.moments.shape[1] == coefs.size
            and state.parameters.dtype == state.moments.dtype == coefs.dtype,
            "the state of its training is of another network",
        )
        best = state.best_parameters
        require(
            best is None or (best.shape == coefs.shape and best.dtype == coefs.dtype),
            "the best parameters of its training are of another network",
        )
        state.parameters.flags.writeable = False
    coefs.flags.writeable = False
    return {"layout_": layout_of(network), "_cache": NetworkCache()}


def require_fitting_sizes(
    input_size: int,
    hidden_sizes: tuple[int, ...],
    output_sizes: tuple[int, ...],
    n_outputs: int,
    n_parameters: int,
) -> None:
    """Refuse sizes that need more parameters than there are, before anything is made of them."""
    sizes = (input_size, *hidden_sizes, n_outputs)
    require(len(sizes) > 2 and min(sizes) >= 1, f"its layers have the sizes {sizes}")
    least = sum(
        below * above for below, above in zip((input_size, *output_sizes), sizes[1:], strict=True)
    )
    least += sum(map(mul, hidden_sizes, output_sizes))
    require(least <= n_parameters, f"its layers need more than {n_parameters} parameters")
