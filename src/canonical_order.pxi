# An order of samples that depends on their content alone; included by _batching.pyx.
#
# Samples are sorted by a hash, and only where hashes are equal by their bytes: the order is as good
# as that of sorting by the bytes, and costs one pass over them. Bytes decide what is equal: 0.0 and
# -0.0 differ, and so do two NaN of different payload.

cdef inline uint64_t mixed(uint64_t lane, uint64_t word) noexcept nogil:
    """One round of xxHash64: lane and the next eight bytes."""
    lane += word * 0xC2B2AE3D27D4EB4FULL
    lane = (lane << 31) | (lane >> 33)
    return lane * 0x9E3779B185EBCA87ULL


cdef uint64_t hash_bytes(const unsigned char* data, size_t n, uint64_t seed) noexcept nogil:
    """A 64-bit hash of n bytes, in four lanes: the products of one would wait for each other."""
    cdef uint64_t lanes[4]
    cdef uint64_t word
    cdef size_t k
    for k in range(4):
        lanes[k] = mixed(seed, k + 1)
    while n >= 32:
        for k in range(4):
            memcpy(&word, data + 8 * k, 8)
            lanes[k] = mixed(lanes[k], word)
        data += 32
        n -= 32
    seed = mixed(seed, n)
    while n > 0:
        word = 0
        k = n if n < 8 else 8
        memcpy(&word, data, k)
        seed = mixed(seed, word)
        data += k
        n -= k
    for k in range(4):
        seed = mixed(seed, lanes[k])
    # The end of xxHash64: every bit of the input reaches every bit of the hash.
    seed = (seed ^ (seed >> 33)) * 0xC2B2AE3D27D4EB4FULL
    seed = (seed ^ (seed >> 29)) * 0x165667B19E3779F9ULL
    return seed ^ (seed >> 32)


cdef int hash_samples(
    Dataset data, const unsigned char[:, ::1] values, const unsigned char[:, ::1] targets,
    uint64_t[::1] hashes,
) except -1:
    """Hash of length, rows and target of each sample."""
    cdef size_t row_bytes = values.shape[1], target_bytes = targets.shape[1]
    cdef const unsigned char* rows = &values[0, 0] if values.shape[0] > 0 else NULL
    cdef Py_ssize_t i, begin, length
    cdef uint64_t content
    with nogil:
        for i in range(data.n_sequences):
            begin = data.starts[i]
            length = data.starts[i + 1] - begin
            content = hash_bytes(rows + begin * row_bytes, length * row_bytes, length)
            if target_bytes > 0:
                content = hash_bytes(&targets[i, 0], target_bytes, content)
            hashes[i] = content
    return 0


cdef int mark_groups(
    Dataset data, const unsigned char[:, ::1] values, const unsigned char[:, ::1] targets,
    const uint64_t[::1] hashes, const Py_ssize_t[::1] order, unsigned char[::1] differs,
) except -1:
    """How a sample differs from the one before it: 0 not, 1 in content alone, 2 in the hash."""
    cdef size_t row_bytes = values.shape[1], target_bytes = targets.shape[1]
    cdef const unsigned char* rows = &values[0, 0] if values.shape[0] > 0 else NULL
    cdef Py_ssize_t k, a, b, length
    with nogil:
        for k in range(order.shape[0]):
            b = order[k]
            a = order[k - 1] if k > 0 else b
            length = data.starts[b + 1] - data.starts[b]
            if k == 0 or hashes[a] != hashes[b]:
                differs[k] = 2
            elif data.starts[a + 1] - data.starts[a] != length:
                differs[k] = 1
            elif length > 0 and memcmp(rows + data.starts[a] * row_bytes,
                                       rows + data.starts[b] * row_bytes, length * row_bytes) != 0:
                differs[k] = 1
            elif target_bytes > 0 and memcmp(&targets[a, 0], &targets[b, 0], target_bytes) != 0:
                differs[k] = 1
            else:
                differs[k] = 0
    return 0


def canonical_order(values, starts, targets_bytes, *, hash_bits=64):
    """Order the samples of a dataset by their content, equal ones next to each other.

    ``targets_bytes`` (n, w) of uint8 are the bytes of each sample's target, w = 0 for none. With
    fewer than 64 ``hash_bits``, hashes collide more often; the tests have need of that.

    Returns ``order`` (n,), the samples in an order that does not depend on how they came, and
    ``group_start`` (m + 1,): ``order[group_start[g]:group_start[g + 1]]`` are equal in every byte,
    and stand as they came.

    Examples
    --------
    >>> import numpy as np
    >>> values, targets = np.array([[7.0], [8.0], [7.0]]), np.zeros((3, 0), np.uint8)
    >>> order, group_start = canonical_order(values, np.arange(4), targets)
    >>> sorted(group.tolist() for group in np.split(order, group_start[1:-1]))
    [[0, 2], [1]]
    """
    cdef Dataset data = Dataset(values, starts)
    cdef Py_ssize_t n = data.n_sequences, n_steps, n_rows, bad
    checked(targets_bytes, "targets_bytes", (np.dtype(np.uint8),), 2)
    if len(targets_bytes) != n:
        raise ValueError(f"targets_bytes must have {n} rows, got shape {targets_bytes.shape}")
    if not 1 <= hash_bits <= 64:
        raise ValueError(f"hash_bits must be from 1 to 64, got {hash_bits}")
    cdef const Py_ssize_t[::1] all_samples = np.arange(n)
    if n > 0:
        bad = measure(data, &all_samples[0], n, &n_steps, &n_rows)
        if bad >= 0:
            data.refuse("starts", bad, bad)

    content = values.view(np.uint8)
    hashes, differs = np.empty(n, np.uint64), np.empty(n, np.uint8)
    hash_samples(data, content, targets_bytes, hashes)
    hashes >>= np.uint64(64 - hash_bits)
    order = np.argsort(hashes, kind="stable")
    mark_groups(data, content, targets_bytes, hashes, order, differs)
    if (differs == 1).any():
        runs = np.append(np.flatnonzero(differs == 2), n)
        for begin, end in zip(runs, runs[1:]):
            if differs[begin + 1:end].any():
                order[begin:end] = sorted(order[begin:end], key=lambda i: (
                    content[starts[i]:starts[i + 1]].tobytes(), targets_bytes[i].tobytes()))
        mark_groups(data, content, targets_bytes, hashes, order, differs)
    return order, np.append(np.flatnonzero(differs), n)
