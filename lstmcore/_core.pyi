# The C++ core: the same classes for float32 and for float64.
#
# Why this file is long: one module is one stub, and every class is in it twice.
#
# Arrays must be C-contiguous and have exactly the dtype that is named; anything else is a
# ValueError that names the argument. A batch is packed: sequences sorted by length, longest first;
# n_active (T,) counts those alive at each step; row sum(n_active[:t]) + n of x is step t of the
# n-th longest sequence. Gates come in the order i, f, g, o of an LSTM, r, z, n of a
# GRU. Cells without a state c give an empty list for it and take None.

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypeVar, final

import numpy as np
from numpy.typing import NDArray

_Floats = TypeVar("_Floats", NDArray[np.float32], NDArray[np.float64])
# "kind": "lstm", "gru" or "rnn"; "reset_after" of a GRU, "relu" of an RNN; of an LSTM "peephole",
# "coupled_gates", "layer_norm", "cell_clip" and "output_activation"; "gate_clip", "cell_activation"
# and, but for an RNN, "gate_activation". Activations are (name, alpha, beta). What is not there is
# as in the plain cell.
_Cell: TypeAlias = Mapping[str, object]
_Layout: TypeAlias = list[tuple[str, tuple[int, ...], int]]
_Index: TypeAlias = NDArray[np.intp]
# values, begins, n_active, step_ptr, samples, sample_ptr
_Batches32: TypeAlias = tuple[NDArray[np.float32], _Index, _Index, _Index, _Index, _Index]
_Batches64: TypeAlias = tuple[NDArray[np.float64], _Index, _Index, _Index, _Index, _Index]

def allocated_bytes() -> int: ...
def config() -> dict[str, Any]: ...
def isas_available() -> list[str]: ...
def kernel_times() -> dict[str, tuple[int, float]]: ...
def max_threads() -> int: ...
def resolve_isa(name: str = "") -> str: ...
def sigmoid(x: _Floats, isa: str = "") -> _Floats: ...
def tanh(x: _Floats, isa: str = "") -> _Floats: ...
def activate(x: _Floats, activation: tuple[str, float, float], isa: str = "") -> _Floats: ...

# What a forward pass keeps for one backward pass; only RecurrentStackFloat32.forward makes one.
@final
class RecurrentCacheFloat32: ...

@final
class RecurrentStackFloat32:
    def __init__(
        self,
        input_size: int,
        hidden_sizes: Sequence[int],
        isa: str = "",
        *,
        cell: _Cell = ...,
        bidirectional: bool = False,
        residual: bool = False,
    ) -> None: ...
    @property
    def n_parameters(self) -> int: ...
    @property
    def layout(self) -> _Layout: ...
    @property
    def isa(self) -> str: ...
    def set_parameters(self, parameters: NDArray[np.float32]) -> None: ...
    def forward(
        self,
        x: NDArray[np.float32],
        n_active: _Index,
        n_sequences: int,
        h0: Sequence[NDArray[np.float32]] | None,
        c0: Sequence[NDArray[np.float32]] | None,
        *,
        n_threads: int,
        keep: bool,
        seed: int | None = None,
        samples: _Index | None = None,
    ) -> tuple[
        NDArray[np.float32],
        list[NDArray[np.float32]],
        list[NDArray[np.float32]],
        RecurrentCacheFloat32 | None,
    ]: ...
    def backward(
        self,
        cache: RecurrentCacheFloat32,
        dy: NDArray[np.float32] | None,
        dh_n: Sequence[NDArray[np.float32]] | None,
        dc_n: Sequence[NDArray[np.float32]] | None,
        *,
        need_dx: bool,
        n_threads: int,
        need_dstate: bool = ...,
    ) -> tuple[
        NDArray[np.float32] | None,
        list[NDArray[np.float32]] | None,
        list[NDArray[np.float32]] | None,
        NDArray[np.float32],
    ]: ...
    def gates(
        self, cache: RecurrentCacheFloat32, layer: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None, NDArray[np.float32]]: ...
    def run(
        self, x: object, state: object, n_threads: int, keep: bool, reverse: bool, seed: int | None
    ) -> tuple[Any, Any, RecurrentCacheFloat32 | None] | None: ...
    def run_back(
        self,
        cache: RecurrentCacheFloat32,
        dy: object,
        dstate: object,
        need_dx: bool,
        n_threads: int,
        need_dstate: bool = ...,
    ) -> tuple[Any, Any, dict[str, NDArray[np.float32]]] | None: ...
    @staticmethod
    def form(cache: RecurrentCacheFloat32) -> tuple[_Index, _Index, int]: ...
    def state_gradient_norms(
        self,
        cache: RecurrentCacheFloat32,
        dy: object,
        dstate: object,
        layer: int,
        n_threads: int,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None] | None: ...
    def step(
        self,
        x: NDArray[np.float32],
        h: NDArray[np.float32],
        c: NDArray[np.float32] | None,
        h_out: NDArray[np.float32],
        c_out: NDArray[np.float32] | None,
        n_threads: int,
    ) -> NDArray[np.float32] | None: ...

@final
class NetworkFloat32:
    def __init__(
        self,
        input_size: int,
        hidden_sizes: Sequence[int],
        n_outputs: int,
        *,
        pooling: str,
        link: str,
        dropout: float,
        cell: _Cell = ...,
        with_dx: bool = False,
        bidirectional: bool = False,
        residual: bool = False,
        embeddings: Sequence[tuple[int, int, int]] = ...,
        isa: str = "",
    ) -> None: ...
    @property
    def n_parameters(self) -> int: ...
    @property
    def layout(self) -> _Layout: ...
    @property
    def isa(self) -> str: ...
    def set_parameters(self, parameters: NDArray[np.float32]) -> None: ...
    def predict(
        self,
        x: NDArray[np.float32],
        n_active: _Index,
        n_sequences: int,
        *,
        apply_link: bool,
        n_threads: int,
    ) -> NDArray[np.float32]: ...
    def attention(
        self, x: NDArray[np.float32], n_active: _Index, n_sequences: int, *, n_threads: int
    ) -> NDArray[np.float32]: ...
    def embed(self, x: NDArray[np.float32]) -> NDArray[np.float32]: ...
    def predict_step(
        self,
        h: NDArray[np.float32],
        pooled: NDArray[np.float32],
        n_steps: _Index,
        *,
        apply_link: bool,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
    def recompute_starts(self, n_steps: int, n_sequences: int) -> list[int]: ...
    def pool_steps(
        self, h: NDArray[np.float32], pooled: NDArray[np.float32], n_steps: int
    ) -> NDArray[np.float32]: ...
    def state_gradient_norms(
        self,
        x: NDArray[np.float32],
        n_active: _Index,
        dscores: NDArray[np.float32],
        *,
        layer: int,
        n_threads: int,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]: ...
    def input_gradient(
        self,
        x: NDArray[np.float32],
        n_active: _Index,
        dscores: NDArray[np.float32],
        *,
        n_threads: int,
    ) -> NDArray[np.float32]: ...

@final
class TrainerFloat32:
    def __init__(
        self,
        network: NetworkFloat32,
        *,
        loss: str,
        solver: str,
        huber_delta: float = 1.0,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-08,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        max_grad_norm: float = ...,
        tbptt_steps: int = 0,
        recompute: bool = False,
    ) -> None: ...
    @property
    def n_parameters(self) -> int: ...
    @property
    def n_state(self) -> int: ...
    def run(
        self,
        parameters: NDArray[np.float32],
        state: NDArray[np.float32],
        n_steps_done: int,
        batches: _Batches32,
        targets: _Index | NDArray[np.float32],
        sample_weight: NDArray[np.float64] | None,
        *,
        seed: int,
        epoch: int,
        learning_rate: float | NDArray[np.float64],
        n_threads: int,
    ) -> dict[str, float]: ...
    def evaluate(
        self,
        parameters: NDArray[np.float32],
        batches: _Batches32,
        targets: _Index | NDArray[np.float32],
        sample_weight: NDArray[np.float64] | None,
        *,
        n_threads: int,
    ) -> tuple[float, float]: ...
    def loss_and_gradient(
        self,
        parameters: NDArray[np.float32],
        batches: _Batches32,
        targets: _Index | NDArray[np.float32],
        sample_weight: NDArray[np.float64] | None,
        *,
        seed: int,
        epoch: int,
        n_threads: int,
    ) -> tuple[float, NDArray[np.float32]]: ...

# What a forward pass keeps for one backward pass; only RecurrentStackFloat64.forward makes one.
@final
class RecurrentCacheFloat64: ...

@final
class RecurrentStackFloat64:
    def __init__(
        self,
        input_size: int,
        hidden_sizes: Sequence[int],
        isa: str = "",
        *,
        cell: _Cell = ...,
        bidirectional: bool = False,
        residual: bool = False,
    ) -> None: ...
    @property
    def n_parameters(self) -> int: ...
    @property
    def layout(self) -> _Layout: ...
    @property
    def isa(self) -> str: ...
    def set_parameters(self, parameters: NDArray[np.float64]) -> None: ...
    def forward(
        self,
        x: NDArray[np.float64],
        n_active: _Index,
        n_sequences: int,
        h0: Sequence[NDArray[np.float64]] | None,
        c0: Sequence[NDArray[np.float64]] | None,
        *,
        n_threads: int,
        keep: bool,
        seed: int | None = None,
        samples: _Index | None = None,
    ) -> tuple[
        NDArray[np.float64],
        list[NDArray[np.float64]],
        list[NDArray[np.float64]],
        RecurrentCacheFloat64 | None,
    ]: ...
    def backward(
        self,
        cache: RecurrentCacheFloat64,
        dy: NDArray[np.float64] | None,
        dh_n: Sequence[NDArray[np.float64]] | None,
        dc_n: Sequence[NDArray[np.float64]] | None,
        *,
        need_dx: bool,
        n_threads: int,
        need_dstate: bool = ...,
    ) -> tuple[
        NDArray[np.float64] | None,
        list[NDArray[np.float64]] | None,
        list[NDArray[np.float64]] | None,
        NDArray[np.float64],
    ]: ...
    def gates(
        self, cache: RecurrentCacheFloat64, layer: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, NDArray[np.float64]]: ...
    def run(
        self, x: object, state: object, n_threads: int, keep: bool, reverse: bool, seed: int | None
    ) -> tuple[Any, Any, RecurrentCacheFloat64 | None] | None: ...
    def run_back(
        self,
        cache: RecurrentCacheFloat64,
        dy: object,
        dstate: object,
        need_dx: bool,
        n_threads: int,
        need_dstate: bool = ...,
    ) -> tuple[Any, Any, dict[str, NDArray[np.float64]]] | None: ...
    @staticmethod
    def form(cache: RecurrentCacheFloat64) -> tuple[_Index, _Index, int]: ...
    def state_gradient_norms(
        self,
        cache: RecurrentCacheFloat64,
        dy: object,
        dstate: object,
        layer: int,
        n_threads: int,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None] | None: ...
    def step(
        self,
        x: NDArray[np.float64],
        h: NDArray[np.float64],
        c: NDArray[np.float64] | None,
        h_out: NDArray[np.float64],
        c_out: NDArray[np.float64] | None,
        n_threads: int,
    ) -> NDArray[np.float64] | None: ...

@final
class NetworkFloat64:
    def __init__(
        self,
        input_size: int,
        hidden_sizes: Sequence[int],
        n_outputs: int,
        *,
        pooling: str,
        link: str,
        dropout: float,
        cell: _Cell = ...,
        with_dx: bool = False,
        bidirectional: bool = False,
        residual: bool = False,
        embeddings: Sequence[tuple[int, int, int]] = ...,
        isa: str = "",
    ) -> None: ...
    @property
    def n_parameters(self) -> int: ...
    @property
    def layout(self) -> _Layout: ...
    @property
    def isa(self) -> str: ...
    def set_parameters(self, parameters: NDArray[np.float64]) -> None: ...
    def predict(
        self,
        x: NDArray[np.float64],
        n_active: _Index,
        n_sequences: int,
        *,
        apply_link: bool,
        n_threads: int,
    ) -> NDArray[np.float64]: ...
    def attention(
        self, x: NDArray[np.float64], n_active: _Index, n_sequences: int, *, n_threads: int
    ) -> NDArray[np.float64]: ...
    def embed(self, x: NDArray[np.float64]) -> NDArray[np.float64]: ...
    def predict_step(
        self,
        h: NDArray[np.float64],
        pooled: NDArray[np.float64],
        n_steps: _Index,
        *,
        apply_link: bool,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
    def recompute_starts(self, n_steps: int, n_sequences: int) -> list[int]: ...
    def pool_steps(
        self, h: NDArray[np.float64], pooled: NDArray[np.float64], n_steps: int
    ) -> NDArray[np.float64]: ...
    def state_gradient_norms(
        self,
        x: NDArray[np.float64],
        n_active: _Index,
        dscores: NDArray[np.float64],
        *,
        layer: int,
        n_threads: int,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]: ...
    def input_gradient(
        self,
        x: NDArray[np.float64],
        n_active: _Index,
        dscores: NDArray[np.float64],
        *,
        n_threads: int,
    ) -> NDArray[np.float64]: ...

@final
class TrainerFloat64:
    def __init__(
        self,
        network: NetworkFloat64,
        *,
        loss: str,
        solver: str,
        huber_delta: float = 1.0,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-08,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        max_grad_norm: float = ...,
        tbptt_steps: int = 0,
        recompute: bool = False,
    ) -> None: ...
    @property
    def n_parameters(self) -> int: ...
    @property
    def n_state(self) -> int: ...
    def run(
        self,
        parameters: NDArray[np.float64],
        state: NDArray[np.float64],
        n_steps_done: int,
        batches: _Batches64,
        targets: _Index | NDArray[np.float64],
        sample_weight: NDArray[np.float64] | None,
        *,
        seed: int,
        epoch: int,
        learning_rate: float | NDArray[np.float64],
        n_threads: int,
    ) -> dict[str, float]: ...
    def evaluate(
        self,
        parameters: NDArray[np.float64],
        batches: _Batches64,
        targets: _Index | NDArray[np.float64],
        sample_weight: NDArray[np.float64] | None,
        *,
        n_threads: int,
    ) -> tuple[float, float]: ...
    def loss_and_gradient(
        self,
        parameters: NDArray[np.float64],
        batches: _Batches64,
        targets: _Index | NDArray[np.float64],
        sample_weight: NDArray[np.float64] | None,
        *,
        seed: int,
        epoch: int,
        n_threads: int,
    ) -> tuple[float, NDArray[np.float64]]: ...
