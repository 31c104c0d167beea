# ---- Packed batches to datasets ----

cdef int fill_starts(
    const Py_ssize_t[::1] n_active, Py_ssize_t n_rows, const Py_ssize_t[::1] order,
    Py_ssize_t[::1] starts,
) except -1:
    """Fills starts, which come as 0, -1, -1 ..., with where the sequences of a batch start."""
    cdef Py_ssize_t n = order.shape[0], n_steps = n_active.shape[0]
    cdef Py_ssize_t p, t, length = n_steps, rows = 0, alive = n
    for t in range(n_steps):
        if not 0 <= n_active[t] <= min(alive, n_rows - rows):
            raise ValueError(f"n_active[{t}] is {n_active[t]}, where {alive} sequences were alive "
                             f"and {n_rows - rows} rows of y are left")
        alive = n_active[t]
        rows += alive
    if rows != n_rows:
        raise ValueError(f"n_active adds up to {rows}, but y has {n_rows} rows")
    for p in range(n):
        while length > 0 and n_active[length - 1] <= p:
            length -= 1
        if not 0 <= order[p] < n or starts[order[p] + 1] >= 0:
            raise ValueError(f"order must be a permutation of {n} sequences, but order[{p}] is "
                             f"{order[p]}, out of range or there twice")
        starts[order[p] + 1] = length
    for p in range(n):
        starts[p + 1] += starts[p]
    return 0


cdef int scatter_rows(
    const floating[:, ::1] y, const Py_ssize_t[::1] n_active, const Py_ssize_t[::1] order,
    const Py_ssize_t[::1] starts, Py_ssize_t[::1] offset, floating[:, ::1] values,
) except -1:
    """Copies all rows of y, of which there is at least one, to values."""
    with nogil:
        copy_rows(<floating*>&y[0, 0], &values[0, 0], y.shape[1], &starts[0], &order[0],
                  &n_active[0], n_active.shape[0], &offset[0], False)
    return 0


def unpack(y, n_active, order):
    """Put the rows ``y`` (R, F) of a packed batch back, one sequence after the other.

    ``order`` (N,) says which sequence of the result stands at each place of the batch: it is what
    ``pack(values, starts, np.arange(N))`` returned.

    Returns ``values`` (R, F) and ``starts`` (N + 1,). If all lengths are T,
    ``values.reshape(N, T, F)`` is the batch as an array of three axes.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.array([[2.0], [0.0], [3.0], [1.0], [4.0]])
    >>> values, starts = unpack(y, np.array([2, 2, 1]), np.array([1, 0]))
    >>> values.ravel().tolist(), starts.tolist()
    ([0.0, 1.0, 2.0, 3.0, 4.0], [0, 2, 5])
    """
    checked_rows(y, "y")
    checked_indices(n_active, "n_active")
    starts = np.full(len(checked_indices(order, "order")) + 1, -1, np.intp)
    starts[0] = 0
    fill_starts(n_active, len(y), order, starts)
    values, offset = np.empty_like(y), np.empty(len(n_active), np.intp)
    if len(y) and y.dtype == np.float32:
        scatter_rows[float](y, n_active, order, starts, offset, values)
    elif len(y):
        scatter_rows[double](y, n_active, order, starts, offset, values)
    return values, starts
