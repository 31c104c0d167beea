// What passes between the levels of a stack where it is not simply h of the layer below: rows in
// reverse order, both directions side by side, dropout, residual sums.
//
// The layer of the second direction runs over sequences read from their end: its row (t, n) is step
// length(n) - 1 - t of sequence n. That is a packed batch of the same shape. All functions are for
// the sequences [n_begin, n_end).
#pragma once

#include "layers/dropout.hpp"
#include "layers/packed_batch.hpp"

namespace lstmcore {

enum class RowOrder : std::uint8_t { kSame, kReversed };

// The first `size` units of rows into rows of `width` units, zeros behind.
template <class Scalar>
void copy_rows(const PackedBatch& batch, RowOrder order, const BatchRows<const Scalar>& from,
               Index size, const BatchRows<Scalar>& to, Index width, Index n_begin,
               Index n_end) noexcept;

// The first `width` units of rows, added to others.
template <class Scalar>
void add_rows(const PackedBatch& batch, RowOrder order, const BatchRows<const Scalar>& from,
              const BatchRows<Scalar>& to, Index width, Index n_begin, Index n_end) noexcept;

// Masks what level `level` reads, or the gradient of it; `from` may be `to`.
template <class Scalar>
void drop_rows(const KernelTable<Scalar>& kernels, const Dropout& dropout, const PackedBatch& batch,
               Index level, const BatchRows<const Scalar>& from, const BatchRows<Scalar>& to,
               Index n_begin, Index n_end) noexcept;

}  // namespace lstmcore
