# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
# cython: freethreading_compatible=True
"""Ragged sequences to packed batches and back: where rows are copied, and samples are compared.

A *dataset* is one C-contiguous matrix ``values`` (total, I) of float32 or float64, and ``starts``
(n + 1,) of intp: sequence ``i`` is rows ``starts[i]`` to ``starts[i + 1]``, and may be empty.

A *packed batch* of N sequences is time-major: the longest sequence first (equal lengths as they
came), ``n_active[t]`` of them alive at step t; row ``sum(n_active[:t]) + p`` is step t of the
sequence at place p.

All functions check what they get before they follow a pointer: TypeError for a wrong type or
dtype, ValueError for a wrong shape or content, IndexError for a sequence that does not exist, each
naming the argument. Then they work without the GIL. The module has no state, so it needs no GIL
either; arrays must not be changed while a call reads them. What is returned is newly allocated.

Measured on one core of Zen 4, 9 float32 features, batches of 32: 100 to 300 million rows/s, bound
by memory; training 100 hidden units takes 0.3 million rows/s. Copying 8 to 32 steps of a sequence
at a time, to read longer runs, gained nothing that stood out of the noise.
"""

cimport cython
from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBuffer_Release, PyObject_GetBuffer
from cython cimport floating
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset, strcmp

import numpy as np

# Sequences that rows are copied from or to at a time. 8 to 32 measure alike; all at once takes two
# to three times as long where a batch has thousands of sequences.
cdef Py_ssize_t BLOCK = 16
cdef Py_ssize_t LARGEST = <Py_ssize_t>((<size_t>-1) >> 1)


# ---- Checks at the edge ----

cdef object checked(object array, str name, tuple dtypes, int ndim):
    """``array`` itself if it is a C-contiguous array of one of the dtypes."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array, got {type(array).__name__}")
    if array.dtype not in dtypes:
        raise TypeError(f"{name} must be {' or '.join(map(str, dtypes))}, got {array.dtype}")
    if array.ndim != ndim or not array.flags.c_contiguous:
        raise ValueError(f"{name} must be C-contiguous with {ndim} axes, "
                         f"got shape {array.shape} with strides {array.strides}")
    return array


cdef object checked_rows(object array, str name):
    checked(array, name, (np.dtype(np.float32), np.dtype(np.float64)), 2)
    if array.shape[1] == 0:
        raise ValueError(f"{name} must have at least one feature, got shape {array.shape}")
    return array


cdef object checked_indices(object array, str name):
    return checked(array, name, (np.dtype(np.intp),), 1)


@cython.final
@cython.internal
cdef class Dataset:
    """Checked ``values`` and ``starts``."""

    cdef object values
    cdef const Py_ssize_t[::1] starts
    cdef Py_ssize_t n_sequences
    cdef Py_ssize_t n_rows
    cdef Py_ssize_t n_features

    def __cinit__(self, values, starts):
        self.values = checked_rows(values, "values")
        if len(checked_indices(starts, "starts")) == 0:
            raise ValueError("starts must hold n + 1 entries, got none")
        self.starts = starts
        self.n_sequences = self.starts.shape[0] - 1
        self.n_rows, self.n_features = values.shape

    cdef object refuse(self, str name, Py_ssize_t k, Py_ssize_t i):
        """Raise what ``measure`` has against ``i``, entry ``k`` of the indices called ``name``."""
        if not 0 <= i < self.n_sequences:
            raise IndexError(f"{name}[{k}] is {i}, but there are {self.n_sequences} sequences")
        begin, end = self.starts[i], self.starts[i + 1]
        if not 0 <= begin <= end <= self.n_rows:
            raise ValueError(f"starts[{i}] and starts[{i + 1}] are {begin} and {end}: "
                             f"not a range of the {self.n_rows} rows of values")
        raise OverflowError(f"the sequences of {name} have more than {LARGEST} rows")


include "canonical_order.pxi"


# ---- Lengths: how large a batch becomes, and its order ----

cdef Py_ssize_t measure(
    Dataset data, const Py_ssize_t* indices, Py_ssize_t n, Py_ssize_t* n_steps, Py_ssize_t* n_rows,
) noexcept nogil:
    """Longest length and sum of the lengths; returns -1, or the place of a bad entry of indices."""
    cdef const Py_ssize_t* starts = &data.starts[0]
    cdef Py_ssize_t k, i, length
    n_steps[0] = 0
    n_rows[0] = 0
    for k in range(n):
        i = indices[k]
        if i < 0 or i >= data.n_sequences:
            return k
        if starts[i] < 0 or starts[i] > starts[i + 1] or starts[i + 1] > data.n_rows:
            return k
        length = starts[i + 1] - starts[i]
        if length > LARGEST - n_rows[0]:
            return k
        n_rows[0] += length
        n_steps[0] = max(n_steps[0], length)
    return -1


cdef void sort_by_length(
    const Py_ssize_t* starts, const Py_ssize_t* indices, Py_ssize_t n, Py_ssize_t n_steps,
    Py_ssize_t* n_active, Py_ssize_t* cursor, Py_ssize_t* order,
) noexcept nogil:
    """Stable counting sort, longest first; n_active and cursor have n_steps + 1 entries.

    The number of sequences longer than t is both n_active[t] and the place where those of length t
    begin, so one histogram gives both.
    """
    cdef Py_ssize_t k, i, length, count, longer = 0
    memset(n_active, 0, (n_steps + 1) * sizeof(Py_ssize_t))
    for k in range(n):
        i = indices[k]
        n_active[starts[i + 1] - starts[i]] += 1
    for length in range(n_steps, -1, -1):
        count = n_active[length]
        n_active[length] = longer
        cursor[length] = longer
        longer += count
    for k in range(n):
        i = indices[k]
        length = starts[i + 1] - starts[i]
        order[cursor[length]] = i
        cursor[length] += 1


# ---- Rows ----

cdef void copy_rows(
    floating* packed, floating* values, Py_ssize_t n_features, const Py_ssize_t* starts,
    const Py_ssize_t* order, const Py_ssize_t* n_active, Py_ssize_t n_steps, Py_ssize_t* offset,
    bint to_packed,
) noexcept nogil:
    """Copies a batch from values to packed rows or back; offset has n_steps entries and is scratch.

    A block of places at a time: so few sequences are read or written that each remains in cache.
    """
    cdef Py_ssize_t t, p, rows = 0, first = 0
    cdef size_t row_bytes = n_features * sizeof(floating)
    cdef floating* row
    cdef floating* step
    for t in range(n_steps):
        offset[t] = rows
        rows += n_active[t]
    while n_steps > 0 and first < n_active[0]:
        for t in range(n_steps):
            if n_active[t] <= first:
                break
            for p in range(first, min(first + BLOCK, n_active[t])):
                row = packed + (offset[t] + p) * n_features
                step = values + (starts[order[p]] + t) * n_features
                if to_packed:
                    memcpy(row, step, row_bytes)
                else:
                    memcpy(step, row, row_bytes)
        first += BLOCK


include "flatten.pxi"


# ---- Datasets to packed batches ----

cdef tuple order_batches(
    Dataset data, str name, const Py_ssize_t[::1] indices, Py_ssize_t batch_size,
):
    """The order of every batch of indices, which the caller knows by ``name``.

    Returns (n_active, step_ptr, samples, sample_ptr).
    """
    cdef Py_ssize_t begin = 0, size, bad, b, first, batch_steps = 0, batch_rows = 0
    cdef Py_ssize_t n_steps = 0, longest = 0, n = indices.shape[0]
    cdef Py_ssize_t n_batches = n // batch_size + (n % batch_size != 0)
    cdef Py_ssize_t[::1] step_ptr = np.zeros(n_batches + 1, np.intp)
    cdef Py_ssize_t[::1] sample_ptr = np.zeros(n_batches + 1, np.intp)
    for b in range(n_batches):
        size = min(batch_size, n - begin)
        bad = measure(data, &indices[begin], size, &batch_steps, &batch_rows)
        if bad >= 0:
            data.refuse(name, begin + bad, indices[begin + bad])
        n_steps += batch_steps
        longest = max(longest, batch_steps)
        begin += size
        step_ptr[b + 1] = n_steps
        sample_ptr[b + 1] = begin

    cdef Py_ssize_t[::1] n_active = np.empty(n_steps + 1, np.intp)  # one more: the last sort's
    cdef Py_ssize_t[::1] samples = np.empty(n, np.intp)
    cdef Py_ssize_t[::1] cursor = np.empty(longest + 1, np.intp)
    with nogil:
        for b in range(n_batches):
            first = sample_ptr[b]
            sort_by_length(&data.starts[0], &indices[first], sample_ptr[b + 1] - first,
                           step_ptr[b + 1] - step_ptr[b], &n_active[step_ptr[b]], &cursor[0],
                           &samples[first])
    return (np.asarray(n_active)[:n_steps], np.asarray(step_ptr), np.asarray(samples),
            np.asarray(sample_ptr))


cdef int copy_batch(
    Dataset data, const Py_ssize_t[::1] order, const Py_ssize_t[::1] n_active,
    const floating[:, ::1] values, floating[:, ::1] x,
) except -1:
    """Copies the rows of one batch."""
    cdef Py_ssize_t n_steps = n_active.shape[0]
    cdef Py_ssize_t[::1] offset = np.empty(n_steps, np.intp)
    if n_steps > 0:
        with nogil:
            copy_rows(&x[0, 0], <floating*>&values[0, 0], data.n_features, &data.starts[0],
                      &order[0], &n_active[0], n_steps, &offset[0], True)
    return 0


def pack(values, starts, indices):
    """Make one packed batch of the sequences ``indices`` (N,) of a dataset.

    Returns ``x`` (R, I), ``n_active`` (T,) and ``order`` (N,): ``indices`` in packed order.

    Examples
    --------
    >>> import numpy as np
    >>> values = np.arange(5.0).reshape(5, 1)
    >>> x, n_active, order = pack(values, np.array([0, 2, 5]), np.array([0, 1]))
    >>> x.ravel().tolist(), n_active.tolist(), order.tolist()
    ([2.0, 0.0, 3.0, 1.0, 4.0], [2, 2, 1], [1, 0])
    """
    data = Dataset(values, starts)
    n = len(checked_indices(indices, "indices"))
    n_active, _, order, _ = order_batches(data, "indices", indices, max(n, 1))
    x = np.empty((n_active.sum(), data.n_features), data.values.dtype)
    if x.dtype == np.float32:
        copy_batch[float](data, order, n_active, data.values, x)
    else:
        copy_batch[double](data, order, n_active, data.values, x)
    return x, n_active, order


def order_epoch(values, starts, permutation, batch_size):
    """Bring the sequences of every batch of an epoch into packed order; nothing is copied.

    Batch ``b`` is ``permutation[b * batch_size:(b + 1) * batch_size]``; the last may be smaller.

    Returns ``n_active``, ``step_ptr``, ``samples`` and ``sample_ptr``: batch ``b`` has the counts
    ``n_active[step_ptr[b]:step_ptr[b + 1]]`` and the sequences
    ``samples[sample_ptr[b]:sample_ptr[b + 1]]``.

    Examples
    --------
    >>> import numpy as np
    >>> values = np.arange(6.0).reshape(6, 1)
    >>> epoch = order_epoch(values, np.array([0, 1, 3, 6]), np.array([0, 2, 1]), 2)
    >>> for array in epoch:
    ...     print(array.tolist())
    [2, 1, 1, 1, 1]
    [0, 3, 5]
    [2, 0, 1]
    [0, 2, 3]
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    checked_indices(permutation, "permutation")
    return order_batches(Dataset(values, starts), "permutation", permutation, batch_size)


include "unpack.pxi"
