"""Mutants: the oracle with one place of its source changed."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import reference
from reference import Array


def mutate(old: str, new: str, oracle: types.ModuleType = reference) -> types.ModuleType:
    """The oracle with one place changed; the old text has to stand there exactly once."""
    source = Path(str(oracle.__file__)).read_text()
    assert source.count(old) == 1, f"stands {source.count(old)} times in the oracle: {old}"
    module = types.ModuleType("mutant")
    sys.modules[module.__name__] = module  # dataclasses look their module up
    module.__dict__.update(transposed=_transposed, fed=_fed)
    exec(compile(source.replace(old, new), "mutant", "exec"), module.__dict__)
    return module


def _transposed(h: Array, matrix: Array) -> Array:
    """The product with each gate's block of W_hh transposed."""
    n_hidden = matrix.shape[1]
    return np.hstack([h @ block for block in matrix.reshape(4, n_hidden, n_hidden)])


def _fed(wrong: Array, right: Array) -> Array:
    """The wrong array where its shape lets it pass."""
    return wrong if wrong.shape == right.shape else right
