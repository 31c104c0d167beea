"""A frozen description of the layers, and the core objects that are made from it.

The description is plain data: it goes into a pickle, decides what fits together, and can rebuild
the core objects at any time. Those are only a cache and never part of a fitted state.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lstmcore import _core

if TYPE_CHECKING:
    from collections.abc import Mapping

FloatArray: TypeAlias = NDArray[np.float32] | NDArray[np.float64]
IndexArray: TypeAlias = NDArray[np.intp]
CellOptions: TypeAlias = dict[str, Any]
Embeddings: TypeAlias = tuple[tuple[int, int, int], ...]
Layout: TypeAlias = dict[str, tuple[tuple[int, ...], int]]


def _core_class(name: str, dtype: str) -> Any:
    """Return the class of the core for a dtype; both twins have the same methods."""
    return getattr(_core, name + dtype.capitalize())


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """A stack of recurrent layers, the pooling over time, a dense head and its link.

    Parameters
    ----------
    input_size : int
        Number of features of a time step, tokens counted as one each.
    hidden_sizes : tuple of int
        Number of hidden units of each stacked layer, lowest first.
    n_outputs : int
        Number of outputs of the head.
    pooling : {"last", "mean", "max", "attention"}
        How the steps of a sequence become one vector.
    link : {"identity", "sigmoid", "softmax"}
        What turns the head's outputs into predictions.
    dropout : float
        Probability that a unit between layers, or before the head, is dropped in training.
    dtype : {"float32", "float64"}
        Precision of every number in the network.
    cell : dict of name to bool, number or str
        The cell of the layers, as the core takes it.
    embeddings : tuple of (int, int, int)
        Column, number of tokens and size of the embedding of each feature that holds tokens, in
        the order of the columns.
    bidirectional : bool, default=False
        Whether beside each layer another one reads from the end to the start.
    residual : bool, default=False
        Whether to each layer's output its input is added, from the second layer on.

    Examples
    --------
    >>> from lstmcore._network import NetworkSpec, layout_of
    >>> spec = NetworkSpec(2, (8,), 1, "last", "sigmoid", 0.0, "float32")
    >>> layout_of(spec.build_network())["head_weight"][0]
    (1, 8)
    """

    input_size: int
    hidden_sizes: tuple[int, ...]
    n_outputs: int
    pooling: str
    link: str
    dropout: float
    dtype: str
    cell: CellOptions = field(default_factory=lambda: {"kind": "lstm"})
    embeddings: Embeddings = ()

    bidirectional: bool = False
    residual: bool = False

    @property
    def n_directions(self) -> int:
        """2 if bidirectional, else 1."""
        return 2 if self.bidirectional else 1

    @property
    def output_size(self) -> int:
        """Number of units that the layers put out."""
        return self.n_directions * self.output_sizes[-1]

    @property
    def output_sizes(self) -> tuple[int, ...]:
        """Width of h, which is what one direction of a layer puts out, for each layer."""
        return tuple(self.cell.get("proj_size") or size for size in self.hidden_sizes)

    @property
    def has_cell_state(self) -> bool:
        """Whether the layers have a state c beside h."""
        return bool(self.cell["kind"] == "lstm")

    @property
    def layer_input_size(self) -> int:
        """Number of inputs of the lowest layer, with embeddings in place of tokens."""
        return self.input_size + sum(size - 1 for _, _, size in self.embeddings)

    @property
    def carried_size(self) -> int:
        """Numbers that the pooling keeps of a sequence from one time step to the next."""
        return self.output_size + (2 if self.pooling == "attention" else 0)

    def behind_embeddings(self) -> NetworkSpec:
        """Return the network that is left without embeddings; its parameters come first."""
        return replace(self, input_size=self.layer_input_size, embeddings=())

    def build_network(self, *, with_dx: bool = False) -> Any:
        """Return a new core network with unset parameters, able to differentiate x or not."""
        return _core_class("Network", self.dtype)(
            self.input_size,
            list(self.hidden_sizes),
            self.n_outputs,
            pooling=self.pooling,
            link=self.link,
            dropout=self.dropout,
            cell=self.cell,
            with_dx=with_dx,
            embeddings=list(self.embeddings),
            bidirectional=self.bidirectional,
            residual=self.residual,
        )

    def build_stack(self) -> Any:
        """Return a new core stack: the recurrent layers alone, with unset parameters."""
        return _core_class("RecurrentStack", self.dtype)(
            self.layer_input_size,
            list(self.hidden_sizes),
            cell=self.cell,
            bidirectional=self.bidirectional,
            residual=self.residual,
        )

    def build_trainer(self, network: Any, settings: Mapping[str, object]) -> Any:
        """Return a new core trainer of a network made by `build_network`."""
        return _core_class("Trainer", self.dtype)(network, **settings)


def layout_of(network: Any) -> Layout:
    """Return name → (shape, offset) of every array in the flat parameters of a core object."""
    return {name: (shape, offset) for name, shape, offset in network.layout}


class NetworkCache:
    """The core objects that belong to one vector of parameters, built when first asked for.

    Threads may ask at the same time: at worst each builds one, and all of them are equal.
    """

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: dict[str, tuple[FloatArray, Any]] = {}

    def get(self, spec: NetworkSpec, parameters: FloatArray, kind: str = "network") -> Any:
        """Return a core object of ``spec`` that holds ``parameters``.

        Parameters
        ----------
        spec : NetworkSpec
            The network.
        parameters : ndarray of shape (P,)
            Its parameters, of which those of the recurrent layers come first.
        kind : {"network", "stack", "differentiable"}, default="network"
            The network, its recurrent layers alone, or what is behind its embeddings, able to
            differentiate what the layers read.

        Returns
        -------
        built : object
            The same one as long as the parameters are the same array.
        """
        entry = self._entries.get(kind)
        if entry is None or entry[0] is not parameters:
            if kind == "stack":
                built = spec.build_stack()
            elif kind == "differentiable":
                built = spec.behind_embeddings().build_network(with_dx=True)
            else:
                built = spec.build_network()
            built.set_parameters(np.ascontiguousarray(parameters[: built.n_parameters]))
            entry = (parameters, built)
            self._entries[kind] = entry
        return entry[1]
