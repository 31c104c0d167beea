// From the rows that the caller has to those that a part of a batch works on, and back.
#pragma once

#include <algorithm>

#include "layers/sequence_rows.hpp"
#include "stack_cache.hpp"

namespace lstmcore::binding {

// Rows with as many columns as the core wants; the caller's where these are enough.
template <class Scalar>
const Scalar* padded(const Scalar* from, Index rows, Index width, Index padded_width,
                     AlignedBuffer<Scalar>& buffer) {
  if (width == padded_width) return from;
  Scalar* to = buffer.reserve_zeroed(checked_product(rows, padded_width));
  for (Index r = 0; r < rows; ++r) std::copy_n(from + r * width, width, to + r * padded_width);
  return to;
}

// BPTT of a part whose sequences begin at `starts` in the caller's rows of dy and dx.
template <class Scalar>
void backward_sequences(const RecurrentStack<Scalar>& stack, const Index* starts,
                        PassPart<Scalar>& part, const Scalar* dy, Scalar* dx,
                        StackGradients<Scalar>* sums, Workers& workers,
                        const GradientNorms* norms) {
  const Index width = stack.output_size();
  const Index padded_width = stack.padded_output_size();
  const Index I = stack.input_size();
  const Index padded_inputs = round_up(I, kBlock<Scalar>);
  if (dy != nullptr) {
    each_run(part.batch, workers, [&](Index n_begin, Index n_end) {
      pack_sequences(part.batch, starts, dy, width, part.dy.data(), padded_width, n_begin, n_end);
    });
  }
  stack.backward(part.batch, {part.x.data(), I, false},
                 {dy == nullptr ? nullptr : part.dy.data(), padded_width, false},
                 {dx == nullptr ? nullptr : part.dx.data(), padded_inputs, false}, Dropout{},
                 part.workspace, sums, workers, norms);
  if (dx == nullptr) return;
  each_run(part.batch, workers, [&](Index n_begin, Index n_end) {
    unpack_sequences(part.batch, starts, part.dx.data(), padded_inputs, dx, I, n_begin, n_end);
  });
}

}  // namespace lstmcore::binding
