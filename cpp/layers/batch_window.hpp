// A batch in pieces of time. A window is for each sequence a range of its steps; because sequences
// lie longest first, those with steps in a window are the first ones of the batch, and their pieces
// again a packed batch. A sequence goes through its windows in their order.
#pragma once

#include <vector>

#include "layers/packed_batch.hpp"

namespace lstmcore {

struct BatchWindow {
  PackedBatch batch;
  std::vector<Index> begins;  // the first step of each of its sequences
};

// Windows of `n_steps` steps, counted back from the end of each sequence: the last one is full, or
// the whole of a shorter sequence.
std::vector<BatchWindow> windows_from_ends(const PackedBatch& whole, Index n_steps);

// Windows that begin at these steps of all sequences, of which 0 is the first.
std::vector<BatchWindow> windows_from_steps(const PackedBatch& whole,
                                            const std::vector<Index>& first_steps);

// The rows of a window, from a matrix (R, width) of the batch that `whole` is or is a part of; and
// back to one of `whole` itself.
template <class Scalar>
void gather_rows(const PackedBatch& whole, const BatchWindow& window, const Scalar* from,
                 Index width, Scalar* to, Workers& workers) noexcept;
template <class Scalar>
void scatter_rows(const PackedBatch& whole, const BatchWindow& window, const Scalar* from,
                  Index width, Scalar* to, Workers& workers) noexcept;

}  // namespace lstmcore
