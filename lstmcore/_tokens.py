"""Sequences of tokens, and columns of tokens among others: what X may hold there.

A token is an integer from 0 on. Tokens travel with all other features as numbers of the network's
dtype, which holds those below 2**24 (float32) exactly; the core puts their embeddings in place.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lstmcore._sequences import as_numbers, as_sequences, is_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from lstmcore._network import Embeddings
    from lstmcore._sequences import Sequences

Sizes: TypeAlias = "int | tuple[int, int]"


def are_token_sequences(embedding_size: Any) -> bool:
    """Whether X consists of tokens alone, a single one per time step."""
    return embedding_size is not None and not isinstance(embedding_size, dict)


def as_token_sequences(
    X: Any, *, dtype: np.dtype[Any], name: str = "X", allow_empty: bool = False
) -> Sequences:
    """Check and convert X where a time step is a single token.

    Parameters
    ----------
    X : array-like of shape (n, T), or list of arrays of shape (T_i,)
        An axis of length 1 may follow. T_i may be 0.
    dtype : numpy.dtype
        float32 or float64.
    name : str, default="X"
        What messages call X.
    allow_empty : bool, default=False
        Whether an empty list is fine.

    Returns
    -------
    sequences : Sequences
        n sequences of one feature.

    Raises
    ------
    ValueError
        If X has another shape, no sample, or values that are not finite numbers.
    TypeError
        If X is a container of another kind.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore._tokens import as_token_sequences
    >>> as_token_sequences([[3, 1], [2]], dtype=np.dtype("float32")).values.ravel()
    array([3., 1., 2.], dtype=float32)
    """
    if isinstance(X, (list, tuple)) and X:
        X = [_column(as_numbers(x, f"{name}[{i}]"), f"{name}[{i}]") for i, x in enumerate(X)]
    elif is_table(X, name):
        n_steps = np.shape(X)[1] if len(np.shape(X)) == 2 else 1
        return as_sequences(
            X, dtype=dtype, n_timesteps=max(1, n_steps), name=name, allow_empty=allow_empty
        )
    sequences = as_sequences(X, dtype=dtype, name=name, allow_empty=allow_empty)
    if sequences.n_samples and sequences.n_features != 1:
        raise ValueError(
            f"{name} must hold one token per time step, got {sequences.n_features} features. To "
            "embed some of several features give embedding_size as a dict of their columns."
        )
    return sequences


def _column(tokens: NDArray[Any], name: str) -> NDArray[Any]:
    """Return tokens (T,) or (T, 1) as (T, 1)."""
    if tokens.ndim == 1:
        return tokens[:, None]
    if tokens.ndim != 2 or tokens.shape[1] != 1:
        raise ValueError(f"{name} must be a sequence of tokens (T,), got the shape {tokens.shape}.")
    return tokens


def in_form_of_tokens(X: Any, values: NDArray[Any], starts: NDArray[np.intp]) -> Any:
    """Return a number for each token (total,) in the form that X has."""
    if isinstance(X, (list, tuple)):
        parts = [values[begin:end] for begin, end in pairwise(starts)]
        return [
            part[:, None] if np.ndim(x) == 2 else part for x, part in zip(X, parts, strict=True)
        ]
    return values.reshape(np.shape(X))


def find_columns(
    embedding_size: int | tuple[int, int] | Mapping[int | str, Sizes] | None,
    n_features: int,
    names: Sequence[str] | None,
) -> dict[int, Sizes]:
    """Return the columns of tokens in ascending order, each with its size or (n_tokens, size).

    Parameters
    ----------
    embedding_size : int, tuple, dict or None
        The parameter of the estimators.
    n_features : int
        Features of a time step.
    names : sequence of str or None
        Their names, where they have some.

    Returns
    -------
    columns : dict of int to int or tuple
        Empty for None.

    Raises
    ------
    ValueError
        If there is no such column, or one is named twice.

    Examples
    --------
    >>> from lstmcore._tokens import find_columns
    >>> find_columns({"day": 3, 0: (100, 8)}, 2, ["shop", "day"])
    {0: (100, 8), 1: 3}
    """
    if embedding_size is None:
        return {}
    if not isinstance(embedding_size, dict):
        return {0: embedding_size}  # type: ignore[dict-item]
    found: dict[int, Sizes] = {}
    for key, sizes in embedding_size.items():
        column = _column_of(key, n_features, names)
        if column in found:
            raise ValueError(f"embedding_size names column {column} twice: {embedding_size!r}.")
        found[column] = sizes
    return dict(sorted(found.items()))


def _column_of(key: int | str, n_features: int, names: Sequence[str] | None) -> int:
    if isinstance(key, str):
        known = [] if names is None or len(names) != n_features else list(names)
        if key not in known:
            raise ValueError(
                f"embedding_size: X has no feature named {key!r}; "
                + (f"the features are {known}." if known else "its features have no names.")
            )
        return known.index(key)
    if key >= n_features:
        raise ValueError(f"embedding_size: X has no column {key}, but {n_features} features.")
    return int(key)


def learn_embeddings(
    columns: Mapping[int, Sizes],
    sequences: Sequences,
    present: NDArray[np.bool_],
    known: Embeddings | None,
    name: str,
) -> Embeddings:
    """Return (column, n_tokens, size) of every column of tokens.

    Parameters
    ----------
    columns : dict of int to int or tuple
        What `find_columns` returned.
    sequences : Sequences
        What is fitted.
    present : ndarray of shape (n,), bool
        The samples that count: tokens of others are not learnt.
    known : tuple or None
        The embeddings of a fit that this one goes on with.
    name : str
        What messages call the sequences.

    Returns
    -------
    embeddings : tuple of (int, int, int)
        With the number of tokens that is given, or was before, or else one more than the largest.

    Raises
    ------
    ValueError
        If a value is no token, or outside of what is given or was before.
    """
    require_tokens(columns, sequences, name)
    before = {} if known is None else {column: n for column, n, _ in known}
    seen = np.repeat(present, sequences.lengths)
    embeddings: list[tuple[int, int, int]] = []
    for column, sizes in columns.items():
        n_tokens, size = sizes if isinstance(sizes, tuple) else (before.get(column), sizes)
        if n_tokens is None:
            n_tokens = int(sequences.values[seen, column].max()) + 1
        if n_tokens > _largest(sequences.values.dtype):
            raise ValueError(
                f"feature {column} of {name} would have {n_tokens} different tokens, but they must "
                f"be below {_largest(sequences.values.dtype)} for dtype={sequences.values.dtype}."
            )
        embeddings.append((column, int(n_tokens), int(size)))
    require_known_tokens(tuple(embeddings), sequences, name, present)
    return tuple(embeddings)


def _largest(dtype: np.dtype[Any]) -> int:
    """Return the integer up to which a dtype holds all of them."""
    return int(2 ** (np.finfo(dtype).nmant + 1))


def require_tokens(columns: Iterable[int], sequences: Sequences, name: str) -> None:
    """Refuse what is no integer from 0 on in columns of tokens, and say where it stands."""
    for column in columns:
        values = sequences.values[:, column]
        _refuse(
            ~((values >= 0) & (values == np.floor(values))),
            sequences,
            column,
            f"{name} must hold tokens in feature {column}, integers from 0 on",
        )


def require_known_tokens(
    embeddings: Embeddings,
    sequences: Sequences,
    name: str,
    present: NDArray[np.bool_] | None = None,
) -> None:
    """Refuse tokens that a network has no embedding of, and say where the first one stands."""
    for column, n_tokens, _ in embeddings:
        outside = sequences.values[:, column] >= n_tokens
        if present is not None:
            outside &= np.repeat(present, sequences.lengths)
        _refuse(
            outside,
            sequences,
            column,
            f"{name} must hold tokens from 0 to {n_tokens - 1} in feature {column}, as fit saw "
            "them or embedding_size=(n_tokens, size) says",
        )


def _refuse(wrong: NDArray[np.bool_], sequences: Sequences, column: int, expected: str) -> None:
    if wrong.any():
        row = int(wrong.argmax())
        sample, step = sequences.position_of(row)
        value = float(sequences.values[row, column])
        raise ValueError(f"{expected}; got {value:.17g} in sample {sample}, time step {step}.")
