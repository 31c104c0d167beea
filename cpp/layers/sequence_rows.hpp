// Between packed rows and arrays in which each sequence has its rows one after the other, as users
// have them. Whoever works on a sequence copies it: rows that another core has just written cost
// more than the copy.
#pragma once

#include <algorithm>

#include "layers/packed_batch.hpp"

namespace lstmcore {

// The rows of the sequences [n_begin, n_end) of a batch to packed rows of `to_stride`, filled up
// with zeros. Sequence n begins at row starts[n] of `from`, whose rows are `width` wide.
template <class Scalar>
void pack_sequences(const PackedBatch& batch, const Index* starts, const Scalar* from, Index width,
                    Scalar* to, Index to_stride, Index n_begin, Index n_end) noexcept {
  for (Index n = n_begin; n < n_end; ++n) {
    const Scalar* row = from + starts[n] * width;
    for (Index t = 0; t < batch.length(n); ++t) {
      Scalar* packed = to + (batch.offset(t) + n) * to_stride;
      std::fill(std::copy_n(row, width, packed), packed + to_stride, Scalar{0});
      row += width;
    }
  }
}

// And back.
template <class Scalar>
void unpack_sequences(const PackedBatch& batch, const Index* starts, const Scalar* from,
                      Index from_stride, Scalar* to, Index width, Index n_begin,
                      Index n_end) noexcept {
  for (Index n = n_begin; n < n_end; ++n) {
    Scalar* row = to + starts[n] * width;
    for (Index t = 0; t < batch.length(n); ++t) {
      row = std::copy_n(from + (batch.offset(t) + n) * from_stride, width, row);
    }
  }
}

}  // namespace lstmcore
