// The one representation of a batch: ragged sequences, time-major, longest first, no padding.
//
// Step t holds one row for each of the n_active[t] sequences that are that long; it begins at row
// offset[t]. Row offset[t] + n is step t of the n-th longest sequence; R rows in all. A sequence of
// length 0 has no row.
#pragma once

#include <vector>

#include "base/index.hpp"

namespace lstmcore {

class PackedBatch {
 public:
  // n_active must not increase from step to step nor exceed n_sequences, and be at least 1;
  // throws std::invalid_argument otherwise. Memory is reused from one call to the next.
  void assign(const Index* n_active, Index n_steps, Index n_sequences);

  Index n_sequences() const noexcept { return n_sequences_; }
  Index n_steps() const noexcept { return static_cast<Index>(n_active_.size()); }
  Index n_rows() const noexcept { return n_rows_; }
  Index n_active(Index t) const noexcept { return n_active_[static_cast<std::size_t>(t)]; }
  Index offset(Index t) const noexcept { return offset_[static_cast<std::size_t>(t)]; }
  // Where the rows of step t end.
  Index row_end(Index t) const noexcept { return offset(t) + n_active(t); }
  Index length(Index n) const noexcept { return length_[static_cast<std::size_t>(n)]; }

  // A history holds the N initial states first and then the R rows of the batch, so that t = 0 is
  // no special case: h_{t-1} of row r stands at history row previous_row(r), h_t at N + r.
  Index n_history_rows() const noexcept { return n_sequences_ + n_rows_; }
  Index history_row(Index t) const noexcept { return n_sequences_ + offset(t); }
  Index previous_history_row(Index t) const noexcept { return t == 0 ? 0 : history_row(t - 1); }
  // The history row of the last state of sequence n: its initial state when it is empty.
  Index final_history_row(Index n) const noexcept {
    return length(n) == 0 ? n : history_row(length(n) - 1) + n;
  }
  // previous_row for all rows, or null when all lengths are equal and it is the row itself.
  const Index* previous_rows() const noexcept {
    return previous_row_.empty() ? nullptr : previous_row_.data();
  }

  // Boundaries of `n_blocks` runs of sequences with about the same number of rows each.
  std::vector<Index> split(Index n_blocks) const;

 private:
  Index n_sequences_ = 0;
  Index n_rows_ = 0;
  std::vector<Index> n_active_;
  std::vector<Index> offset_;
  std::vector<Index> length_;
  std::vector<Index> previous_row_;
};

}  // namespace lstmcore
