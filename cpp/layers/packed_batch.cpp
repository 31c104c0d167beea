#include "layers/packed_batch.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace lstmcore {

void PackedBatch::assign(const Index* n_active, Index n_steps, Index n_sequences) {
  Index alive = n_sequences;
  Index rows = 0;
  for (Index t = 0; t < n_steps; ++t) {
    if (n_active[t] > alive || n_active[t] < 1) {
      throw std::invalid_argument("n_active[" + std::to_string(t) + "] is " +
                                  std::to_string(n_active[t]) + ", expected 1 to " +
                                  std::to_string(alive));
    }
    alive = n_active[t];
    rows += alive;
  }
  n_sequences_ = n_sequences;
  n_rows_ = rows;
  n_active_.assign(n_active, n_active + n_steps);
  offset_.resize(n_active_.size());
  length_.resize(static_cast<std::size_t>(n_sequences));
  Index offset = 0;
  Index alive_before = n_sequences;
  for (Index t = 0; t < n_steps; ++t) {
    offset_[static_cast<std::size_t>(t)] = offset;
    offset += n_active[t];
    std::fill(length_.begin() + n_active[t], length_.begin() + alive_before, t);
    alive_before = n_active[t];
  }
  std::fill(length_.begin(), length_.begin() + alive_before, n_steps);

  previous_row_.clear();
  if (alive_before == n_sequences) return;
  previous_row_.reserve(static_cast<std::size_t>(rows));
  for (Index t = 0; t < n_steps; ++t) {
    const Index previous = previous_history_row(t);
    for (Index n = 0; n < n_active[t]; ++n) previous_row_.push_back(previous + n);
  }
}

std::vector<Index> PackedBatch::split(Index n_blocks) const {
  std::vector<Index> boundary{0};
  Index rows = 0;
  for (Index n = 0; n < n_sequences_; ++n) {
    rows += length(n);
    const auto done = static_cast<Index>(boundary.size());
    if (done < n_blocks && rows * n_blocks >= n_rows_ * done) boundary.push_back(n + 1);
  }
  if (boundary.back() != n_sequences_) boundary.push_back(n_sequences_);
  return boundary;
}

}  // namespace lstmcore
