// Between packed rows and those of sequences as users have them, each with its rows one after the
// other. Whoever works on a sequence copies it: rows that another core has just written cost more
// than the copy.
#pragma once

#include <algorithm>

#include "layers/packed_batch.hpp"

namespace lstmcore {

// The rows of the sequences of a batch, in its order.
template <class Scalar>
struct SequenceRows {
  Scalar* const* first = nullptr;  // the row that a sequence is read from
  Index step = 0;  // from there to the next: the width of a row; less than 0 where ends come first

  // For a part of the batch that begins with sequence `n`.
  SequenceRows of_part(Index n) const noexcept { return {first + n, step}; }
};

// The rows of the sequences [n_begin, n_end) of a batch, `width` wide, to packed rows, filled up
// with zeros.
template <class Scalar>
void pack_sequences(const PackedBatch& batch, const SequenceRows<const Scalar>& from, Index width,
                    const BatchRows<Scalar>& to, Index n_begin, Index n_end) noexcept {
  for (Index n = n_begin; n < n_end; ++n) {
    const Scalar* row = from.first[n];
    for (Index t = 0; t < batch.length(n); ++t) {
      Scalar* packed = to.at(batch, t) + n * to.stride;
      std::fill(std::copy_n(row, width, packed), packed + to.stride, Scalar{0});
      row += from.step;
    }
  }
}

// And back.
template <class Scalar>
void unpack_sequences(const PackedBatch& batch, const Scalar* from, Index from_stride,
                      const SequenceRows<Scalar>& to, Index width, Index n_begin,
                      Index n_end) noexcept {
  for (Index n = n_begin; n < n_end; ++n) {
    Scalar* row = to.first[n];
    for (Index t = 0; t < batch.length(n); ++t) {
      std::copy_n(from + (batch.offset(t) + n) * from_stride, width, row);
      row += to.step;
    }
  }
}

}  // namespace lstmcore
