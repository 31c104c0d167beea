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

cdef int fill_part(
    Dataset data, const Py_ssize_t[::1] indices, Py_ssize_t[::1] n_active,
    const Py_ssize_t[::1] step_ptr, Py_ssize_t[::1] samples, const Py_ssize_t[::1] sample_ptr,
    Py_ssize_t[::1] cursor, const floating[:, ::1] values, floating[:, ::1] x,
) except -1:
    """Sorts and copies batch after batch into the arrays of a part."""
    cdef const Py_ssize_t* starts = &data.starts[0]
    cdef floating* target = &x[0, 0] if x.shape[0] > 0 else NULL
    cdef Py_ssize_t b, t, n_samples, n_steps
    cdef Py_ssize_t* active
    cdef Py_ssize_t* order
    with nogil:
        for b in range(step_ptr.shape[0] - 1):
            n_samples = sample_ptr[b + 1] - sample_ptr[b]
            n_steps = step_ptr[b + 1] - step_ptr[b]
            active = &n_active[step_ptr[b]]
            order = &samples[sample_ptr[b]]
            sort_by_length(starts, &indices[sample_ptr[b]], n_samples, n_steps, active, &cursor[0],
                           order)
            if n_steps > 0:
                copy_rows(target, <floating*>&values[0, 0], data.n_features, starts, order, active,
                          n_steps, &cursor[0], True)
                for t in range(n_steps):
                    target += active[t] * data.n_features
    return 0


cdef tuple build_part(
    Dataset data, str name, Py_ssize_t first, const Py_ssize_t[::1] indices, Py_ssize_t batch_size,
    Py_ssize_t max_rows,
):
    """Packs the first batches of indices, as many as fit max_rows rows, and at least one.

    ``name`` is what the caller knows indices by, of which they begin at entry ``first``.
    Returns (x, n_active, step_ptr, samples, sample_ptr).
    """
    cdef Py_ssize_t begin = 0, size, bad, batch_steps = 0, batch_rows = 0
    cdef Py_ssize_t n_rows = 0, n_steps = 0, longest = 0
    cdef list step_list = [0], sample_list = [0]
    while begin < indices.shape[0]:
        size = min(batch_size, indices.shape[0] - begin)
        bad = measure(data, &indices[begin], size, &batch_steps, &batch_rows)
        if bad >= 0:
            data.refuse(name, first + begin + bad, indices[begin + bad])
        if begin > 0 and batch_rows > max_rows - n_rows:
            break
        n_rows += batch_rows
        n_steps += batch_steps
        longest = max(longest, batch_steps)
        begin += size
        step_list.append(n_steps)
        sample_list.append(begin)

    x = np.empty((n_rows, data.n_features), data.values.dtype)
    n_active = np.empty(n_steps + 1, np.intp)  # the sort of the last batch writes one entry more
    samples = np.empty(begin, np.intp)
    step_ptr = np.array(step_list, np.intp)
    sample_ptr = np.array(sample_list, np.intp)
    cursor = np.empty(longest + 1, np.intp)
    if x.dtype == np.float32:
        fill_part[float](data, indices, n_active, step_ptr, samples, sample_ptr, cursor,
                         data.values, x)
    else:
        fill_part[double](data, indices, n_active, step_ptr, samples, sample_ptr, cursor,
                          data.values, x)
    return x, n_active[:n_steps], step_ptr, samples, sample_ptr


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
    x, n_active, _, order, _ = build_part(data, "indices", 0, indices, max(n, 1), LARGEST)
    return x, n_active, order


def pack_epoch(values, starts, permutation, batch_size, max_rows):
    """Pack the batches of an epoch, a part of about ``max_rows`` rows at a time.

    Batch ``b`` is ``permutation[b * batch_size:(b + 1) * batch_size]``; the last may be smaller. A
    part holds as many whole batches as fit ``max_rows`` rows, and at least one.

    Returns an iterator of (x, n_active, step_ptr, samples, sample_ptr). In a part, batch ``b`` has
    the counts ``n_active[step_ptr[b]:step_ptr[b + 1]]`` and the sequences
    ``samples[sample_ptr[b]:sample_ptr[b + 1]]`` in packed order; its rows follow those of the batch
    before it in ``x``.

    Examples
    --------
    >>> import numpy as np
    >>> values = np.arange(6.0).reshape(6, 1)
    >>> parts = pack_epoch(values, np.array([0, 1, 3, 6]), np.array([0, 2, 1]), 2, max_rows=4)
    >>> for x, n_active, step_ptr, samples, sample_ptr in parts:
    ...     print(x.ravel().tolist(), n_active.tolist(), samples.tolist())
    [3.0, 0.0, 4.0, 5.0] [2, 1, 1] [2, 0]
    [1.0, 2.0] [1, 1] [1]
    """
    if batch_size < 1 or max_rows < 1:
        raise ValueError("batch_size and max_rows must be at least 1, "
                         f"got batch_size={batch_size} and max_rows={max_rows}")
    checked_indices(permutation, "permutation")
    # A generator checks nothing before its first part is asked for; the caller hears of it here.
    return _parts(Dataset(values, starts), permutation, batch_size, max_rows)


def _parts(Dataset data, permutation, batch_size, max_rows):
    """The generator behind ``pack_epoch``."""
    done = 0
    while done < len(permutation):
        part = build_part(data, "permutation", done, permutation[done:], batch_size, max_rows)
        done += len(part[3])
        yield part


include "unpack.pxi"
