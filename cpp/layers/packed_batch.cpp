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
  first_sequence_ = 0;
  is_part_ = false;
  whole_row_.clear();
}

void PackedBatch::assign_part(const PackedBatch& whole, Index n_begin, Index n_end) {
  const Index n_steps = n_begin < n_end ? whole.length(n_begin) : 0;
  std::vector<Index> n_active(static_cast<std::size_t>(n_steps));
  for (Index t = 0; t < n_steps; ++t) {
    n_active[static_cast<std::size_t>(t)] = std::min(n_end, whole.n_active(t)) - n_begin;
  }
  assign(n_active.data(), n_steps, n_end - n_begin);
  first_sequence_ = n_begin;
  is_part_ = true;
  for (Index t = 0; t < n_steps; ++t) whole_row_.push_back(whole.offset(t) + n_begin);
}

void PackedBatch::assign_window(const PackedBatch& whole, const std::vector<Index>& n_active,
                                Index n_sequences) {
  assign(n_active.data(), static_cast<Index>(n_active.size()), n_sequences);
  is_part_ = whole.is_part_;
}

Steps PackedBatch::steps_before(Index t_end, Index most_rows) const noexcept {
  Steps steps{t_end - 1, t_end};
  Index rows = n_active(steps.begin);
  while (steps.begin > 0 && rows + n_active(steps.begin - 1) <= most_rows) {
    rows += n_active(--steps.begin);
  }
  return steps;
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
