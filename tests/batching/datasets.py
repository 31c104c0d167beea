"""Datasets for the tests of batching: every value occurs once, so a row out of place shows."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

Array = np.ndarray[Any, Any]

# Up to 40 sequences: rows are copied in blocks of 16.
lengths_of_datasets = st.lists(st.integers(0, 9), max_size=40)
dtypes = st.sampled_from([np.float32, np.float64])


def dataset(lengths: Any, n_features: int = 2, dtype: Any = np.float32) -> tuple[Array, Array]:
    """Values 1, 2, 3 ... and starts; what a C-contiguous ``values`` of a user may be: read-only."""
    starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.intp)]).astype(np.intp)
    values = np.arange(1, starts[-1] * n_features + 1, dtype=dtype).reshape(-1, n_features)
    values.flags.writeable = starts.flags.writeable = False
    return values, starts


@st.composite
def datasets_with_indices(draw: Any) -> tuple[Array, Array, Array]:
    """A dataset and indices into it: a permutation, a part of it, or with repetitions."""
    lengths = draw(lengths_of_datasets)
    values, starts = dataset(lengths, draw(st.integers(1, 5)), draw(dtypes))
    indices: list[int] = []
    if lengths:
        any_of_them = st.lists(st.integers(0, len(lengths) - 1), max_size=50)
        indices = draw(st.permutations(range(len(lengths))) | any_of_them)
    return values, starts, np.array(indices, np.intp)
