# ---- Arrays to a dataset ----

def flatten(sequences, dtype, n_features):
    """Copy arrays (T_i, I) of any numeric dtype and any strides into a dataset.

    Returns ``values`` (total, I) of ``dtype`` and ``starts`` (n + 1,). What does not fit ``dtype``
    becomes what a NumPy cast makes of it.

    Examples
    --------
    >>> import numpy as np
    >>> values, starts = flatten([np.ones((2, 1), int), np.zeros((1, 1))], np.float32, 1)
    >>> values.ravel().tolist(), starts.tolist()
    ([1.0, 1.0, 0.0], [0, 2, 3])
    """
    starts = np.zeros(len(sequences) + 1, np.intp)
    for i, sequence in enumerate(sequences):
        if np.shape(sequence)[1:] != (n_features,):
            raise ValueError(f"sequences[{i}] must have the shape (T, {n_features}), "
                             f"got {np.shape(sequence)}")
        starts[i + 1] = len(sequence)
    np.cumsum(starts, out=starts)
    values = np.empty((starts[len(sequences)], n_features), dtype)
    if len(sequences):
        # NumPy's own loop: a third faster than one assignment per sequence.
        np.concatenate(sequences, out=values, casting="unsafe")
    return values, starts


def flatten_plain(sequences, dtype, n_features):
    """What ``flatten`` makes of C-contiguous ndarrays (T_i, n_features) of ``dtype``, faster.

    Returns None where a sequence is anything else. ``n_features`` of None is that of the first.

    Examples
    --------
    >>> import numpy as np
    >>> flatten_plain([np.ones((2, 1)), np.zeros((1, 1))], np.dtype(np.float64), None)[1].tolist()
    [0, 2, 3]
    >>> flatten_plain([np.ones((2, 1), int)], np.dtype(np.float64), 1) is None
    True
    """
    cdef Py_ssize_t n = len(sequences), i, n_rows = 0, n_held = 0, features = n_features or 0
    cdef bytes character = dtype.char.encode()
    cdef const char* format = character
    cdef bint fits = n > 0
    cdef Py_ssize_t[::1] starts_view
    cdef Py_buffer* held = <Py_buffer*>malloc(max(n, 1) * sizeof(Py_buffer))
    cdef Py_buffer target
    cdef char* to
    if held == NULL:
        raise MemoryError()
    starts = np.zeros(n + 1, np.intp)
    starts_view = starts
    try:
        for i in range(n):
            sequence = sequences[i]
            if type(sequence) is not np.ndarray or not sequence.flags.c_contiguous:
                fits = False
                break
            PyObject_GetBuffer(sequence, &held[i], PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
            n_held += 1
            if i == 0 and n_features is None and held[0].ndim == 2:
                features = held[0].shape[1]
            if (held[i].ndim != 2 or features == 0 or held[i].shape[1] != features
                    or strcmp(held[i].format, format) != 0):
                fits = False
                break
            n_rows += held[i].shape[0]
            starts_view[i + 1] = n_rows
        if not fits:
            return None
        values = np.empty((n_rows, features), dtype)
        PyObject_GetBuffer(values, &target, PyBUF_C_CONTIGUOUS)
        to = <char*>target.buf
        for i in range(n):
            memcpy(to, held[i].buf, held[i].len)
            to += held[i].len
        PyBuffer_Release(&target)
        return values, starts
    finally:
        for i in range(n_held):
            PyBuffer_Release(&held[i])
        free(held)
