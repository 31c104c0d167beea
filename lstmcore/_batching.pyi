# Ragged sequences to packed batches and back. A dataset is values (total, I), C-contiguous, with
# starts (n + 1,): sequence i is values[starts[i]:starts[i + 1]]. The module has docstrings.

from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

_Floats = TypeVar("_Floats", NDArray[np.float32], NDArray[np.float64])
_Index: TypeAlias = NDArray[np.intp]

# → values (total, I), starts
def flatten(
    sequences: Sequence[NDArray[Any]], dtype: DTypeLike, n_features: int
) -> tuple[NDArray[Any], _Index]: ...

# → the same, or None where flatten would have to convert
def flatten_plain(
    sequences: Sequence[Any], dtype: np.dtype[Any], n_features: int | None
) -> tuple[NDArray[Any], _Index] | None: ...

# → x (R, I), n_active (T,), order (N,)
def pack(values: _Floats, starts: _Index, indices: _Index) -> tuple[_Floats, _Index, _Index]: ...

# → n_active, step_ptr, samples, sample_ptr
def order_epoch(
    values: NDArray[Any], starts: _Index, permutation: _Index, batch_size: int
) -> tuple[_Index, _Index, _Index, _Index]: ...

# → values (R, F), starts (N + 1,)
def unpack(y: _Floats, n_active: _Index, order: _Index) -> tuple[_Floats, _Index]: ...

# → order (n,), group_start (m + 1,)
def canonical_order(
    values: NDArray[Any],
    starts: _Index,
    targets_bytes: NDArray[np.uint8],
    *,
    hash_bits: int = 64,
) -> tuple[_Index, _Index]: ...
