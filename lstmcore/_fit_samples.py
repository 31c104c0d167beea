"""From what users pass to ``fit`` to what is trained on, and what epochs are judged on.

A subclass says what its targets are: how they are checked, encoded and given to the core.
"""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array

from lstmcore._dataset import check_weights, content_ranks, merge_samples
from lstmcore._holdout import Samples, hold_out
from lstmcore._judges import ValidationSamples, check_validation_data
from lstmcore._missing import incomplete_features, with_indicators
from lstmcore._sequences import Sequences, as_sequences
from lstmcore._tokens import (
    are_token_sequences,
    as_token_sequences,
    find_columns,
    learn_embeddings,
    require_known_tokens,
    require_tokens,
)
from lstmcore._training import TrainingData

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from lstmcore._fitting import FitCourse
    from lstmcore._network import Embeddings

_NAMES = ("X", "y", "sample_weight")
_VALIDATION_NAMES = tuple(f"{name} of validation_data" for name in _NAMES)


@dataclass(frozen=True, slots=True)
class Head:
    """What a subclass asks of the network's end.

    Parameters
    ----------
    n_outputs : int
        Number of outputs.
    link : {"identity", "sigmoid", "softmax"}
        What turns outputs into predictions.
    loss : str
        Name of the loss in the core.
    fitted : dict
        Attributes that the fit adds to the estimator.
    """

    n_outputs: int
    link: str
    loss: str
    fitted: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FitSamples:
    """What a fit works on.

    Parameters
    ----------
    head : Head
        What the network has to learn.
    data : TrainingData
        What it learns from.
    validation : ValidationSamples or None
        What every epoch is judged on.
    embeddings : tuple of (int, int, int)
        Column, number of tokens and size of the embedding of each feature that holds tokens.
    """

    head: Head
    data: TrainingData
    validation: ValidationSamples | None
    embeddings: Embeddings


class SampleFitting(BaseEstimator, metaclass=ABCMeta):
    """The targets of an estimator, and how its samples are prepared for a fit."""

    # Attributes by which a fit that goes on knows the targets.
    _encoding_attributes: ClassVar[tuple[str, ...]]

    @abstractmethod
    def _check_targets(self, y: ArrayLike) -> NDArray[Any]:
        """Return y as an array of which the first axis counts samples."""

    @abstractmethod
    def _learn_encoding(self, y: NDArray[Any]) -> dict[str, Any]:
        """Return what `_encode` has to know, as attributes that the fit adds."""

    @abstractmethod
    def _check_continued(self, y: NDArray[Any], encoding: Mapping[str, Any]) -> None:
        """Refuse y if ``fit`` can't go on with it where ``encoding`` was learnt."""

    @abstractmethod
    def _encode(self, y: NDArray[Any], encoding: Mapping[str, Any], name: str) -> NDArray[Any]:
        """Return targets of a dtype of fixed size; a message calls them ``name``."""

    @abstractmethod
    def _build_head(
        self, codes: NDArray[Any], weights: NDArray[np.float64], encoding: dict[str, Any]
    ) -> Head:
        """Return what the network's end has to learn."""

    @abstractmethod
    def _core_targets(self, codes: NDArray[Any], head: Head) -> NDArray[Any]:
        """Return encoded targets as the core compares its outputs with them."""

    def _weighted(
        self,
        codes: NDArray[Any],  # noqa: ARG002 - for those whose targets have weights
        weights: NDArray[np.float64],
        encoding: dict[str, Any],  # noqa: ARG002
    ) -> NDArray[np.float64]:
        """Return the weights of the samples, given what their targets weigh."""
        return weights

    @property
    def _allowed_values(self) -> bool | str:
        """What values X may have, in the words of `as_sequences`."""
        return "allow-nan" if self.missing == "mask" else True

    def _labels_to_stratify(self, codes: NDArray[Any]) -> NDArray[np.intp] | None:  # noqa: ARG002
        """Return one class per sample, where there is one."""
        return None

    def _prepare(self, course: FitCourse, seed: int) -> FitSamples:
        """Return the weighted sets of samples to train on and to validate with."""
        if course.y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y "
                "is None."
            )
        sequences, y, weights = self._check_samples(
            course.X, course.y, course.sample_weight, _NAMES
        )
        groups = self._check_groups(course, len(weights))
        present = weights > 0
        if self.missing == "mask" and not present.all():
            # What an absent sample misses must not count; else its rows do not matter.
            sequences, y, weights = (
                sequences.take(np.flatnonzero(present)),
                y[present],
                weights[present],
            )
            groups, present = None if groups is None else groups[present], present[present]
        if not sequences.lengths[present].any():
            raise ValueError("X has no time step: all its sequences have the length 0.")
        encoding = self._encoding_of(course, sequences, y[present])
        embeddings = self._embeddings_of(course, sequences, present)
        sequences = with_indicators(sequences, encoding["missing_features_"])
        codes = _spread(self._encode(y[present], encoding, "y"), present)
        ranks = content_ranks(sequences, codes)
        held_out = None
        if self.early_stopping and course.validation_data is None:
            weights, held_out = self._hold_out(sequences, codes, ranks, weights, groups, seed)
        elif groups is not None:
            raise ValueError(
                "groups are for the split of early stopping, but there is none: set "
                "early_stopping=True without validation_data, or leave groups out."
            )
        rows, row_weights = merge_samples(ranks, weights)
        row_weights = self._weighted(codes[rows], row_weights, encoding)
        rows, row_weights = rows[row_weights > 0], row_weights[row_weights > 0]
        head = self._build_head(codes[rows], row_weights, encoding)
        targets = self._core_targets(codes[rows], head)
        data = TrainingData(sequences, rows, targets, row_weights)
        validation = None
        if held_out is not None:
            validation = self._as_validation(sequences, y, codes, ranks, held_out, head)
        elif course.validation_data is not None:
            validation = self._check_validation(course.validation_data, encoding, head, embeddings)
        return FitSamples(head, data, validation, embeddings)

    def _as_sequences(
        self, X: Any, *, dtype: np.dtype[Any], name: str = "X", allow_empty: bool = False
    ) -> Sequences:
        """Return X as sequences, its tokens not yet checked."""
        if are_token_sequences(self.embedding_size):
            return as_token_sequences(X, dtype=dtype, name=name, allow_empty=allow_empty)
        return as_sequences(
            X,
            dtype=dtype,
            n_timesteps=self.n_timesteps,
            name=name,
            allow_empty=allow_empty,
            ensure_all_finite=self._allowed_values,
        )

    def _embeddings_of(
        self, course: FitCourse, sequences: Sequences, present: NDArray[np.bool_]
    ) -> Embeddings:
        """Return column, number of tokens and size of each feature that holds tokens."""
        names = course.names.get("feature_names_in_")
        columns = find_columns(self.embedding_size, sequences.n_features, names)
        return learn_embeddings(columns, sequences, present, course.embeddings, _NAMES[0])

    def _check_samples(
        self, X: Any, y: Any, sample_weight: Any, names: tuple[str, ...]
    ) -> tuple[Sequences, NDArray[Any], NDArray[np.float64]]:
        """Return sequences, targets and weights of one length."""
        sequences = self._as_sequences(X, dtype=np.dtype(self.dtype), name=names[0])
        targets = self._check_targets(y)
        if len(targets) != sequences.n_samples:
            raise ValueError(
                f"Found input variables with inconsistent numbers of samples: {names[0]} has "
                f"{sequences.n_samples}, {names[1]} has {len(targets)}."
            )
        return sequences, targets, check_weights(sample_weight, sequences.n_samples, names[2])

    def _encoding_of(
        self, course: FitCourse, sequences: Sequences, y: NDArray[Any]
    ) -> dict[str, Any]:
        """Return what is known of features and targets, learnt from them if nothing was before."""
        known = course.encoding
        if known is None:
            known = self._learn_encoding(y)
        elif not course.partial:
            self._check_continued(y, known)
        n_features = known.get("n_features_in_", sequences.n_features)
        if sequences.n_features != n_features:
            raise ValueError(
                f"X has {sequences.n_features} features, but {type(self).__name__} is expecting "
                f"{n_features} features as input."
            )
        if "missing_features_" not in known:
            known = known | {"missing_features_": incomplete_features(sequences)}
        return known | {"n_features_in_": n_features}

    def _check_groups(self, course: FitCourse, n_samples: int) -> NDArray[np.intp] | None:
        """Return the number of the group of each sample, or None."""
        if course.groups is None:
            return None
        given = check_array(course.groups, ensure_2d=False, dtype=None, input_name="groups")
        if given.shape != (n_samples,):
            raise ValueError(
                f"groups must have the shape ({n_samples},), one group per sample; got "
                f"{given.shape}."
            )
        return np.unique(given, return_inverse=True)[1].astype(np.intp)

    def _hold_out(
        self,
        sequences: Sequences,
        codes: NDArray[Any],
        ranks: NDArray[np.intp],
        weights: NDArray[np.float64],
        groups: NDArray[np.intp] | None,
        seed: int,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the weights for training and for validation: 0 for the other side's samples."""
        if groups is not None:
            # What differs only in its group must not be taken for one sample.
            ranks = content_ranks(sequences, codes, groups)
        training, validation = hold_out(
            Samples(ranks, weights, self._labels_to_stratify(codes), groups),
            split=self.validation_split,
            fraction=float(self.validation_fraction),
            seed=seed,
        )
        if not sequences.lengths[training].any():
            raise ValueError(
                "All sequences left to train on have the length 0, since the others are held out "
                "to validate: give more samples, or validation_data."
            )
        return np.where(training, weights, 0.0), np.where(validation, weights, 0.0)

    def _check_validation(
        self,
        validation_data: Any,
        encoding: dict[str, Any],
        head: Head,
        embeddings: Embeddings,
    ) -> ValidationSamples:
        """Return ``validation_data`` as what an epoch is judged on."""
        X, y, sample_weight = check_validation_data(validation_data)
        sequences, y, weights = self._check_samples(X, y, sample_weight, _VALIDATION_NAMES)
        if sequences.n_features != encoding["n_features_in_"]:
            raise ValueError(
                f"X of validation_data has {sequences.n_features} features, X has "
                f"{encoding['n_features_in_']}."
            )
        present = weights > 0
        require_tokens([column for column, _, _ in embeddings], sequences, _VALIDATION_NAMES[0])
        require_known_tokens(embeddings, sequences, _VALIDATION_NAMES[0], present)
        sequences = with_indicators(sequences, encoding["missing_features_"])
        codes = _spread(self._encode(y[present], encoding, _VALIDATION_NAMES[1]), present)
        ranks = content_ranks(sequences, codes)
        return self._as_validation(sequences, y, codes, ranks, weights, head)

    def _as_validation(
        self,
        sequences: Sequences,
        y: NDArray[Any],
        codes: NDArray[Any],
        ranks: NDArray[np.intp],
        weights: NDArray[np.float64],
        head: Head,
    ) -> ValidationSamples:
        rows, weights = merge_samples(ranks, weights)
        targets = self._core_targets(codes[rows], head)
        return ValidationSamples(TrainingData(sequences, rows, targets, weights), y[rows])


def _spread(codes: NDArray[Any], present: NDArray[np.bool_]) -> NDArray[Any]:
    """Return codes for all samples, zeros for those that are not present."""
    if present.all():
        return codes
    spread = np.zeros((len(present), *codes.shape[1:]), codes.dtype)
    spread[present] = codes
    return spread
