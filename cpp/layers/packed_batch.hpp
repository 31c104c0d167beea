// The one representation of a batch: ragged sequences, time-major, longest first, no padding.
//
// Step t holds one row for each of the n_active[t] sequences that are that long; it begins at row
// offset[t]. Row offset[t] + n is step t of the n-th longest sequence; R rows in all. A sequence of
// length 0 has no row.
#pragma once

#include <algorithm>
#include <atomic>
#include <vector>

#include "base/index.hpp"
#include "base/parallel.hpp"

namespace lstmcore {

// The time steps [begin, end).
struct Steps {
  Index begin, end;
};

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
  // no special case.
  Index n_history_rows() const noexcept { return n_sequences_ + n_rows_; }
  Index history_row(Index t) const noexcept { return n_sequences_ + offset(t); }
  Index previous_history_row(Index t) const noexcept { return t == 0 ? 0 : history_row(t - 1); }
  // The history row of the last state of sequence n: its initial state when it is empty.
  Index final_history_row(Index n) const noexcept {
    return length(n) == 0 ? n : history_row(length(n) - 1) + n;
  }
  // Whether all sequences are equally long: then h_{t-1} of row r stands at history row r.
  bool is_even() const noexcept { return n_rows_ == n_sequences_ * n_steps(); }

  // Where the rows of step t begin in the batch that this is a part of, and its first sequence.
  bool is_part() const noexcept { return is_part_; }
  Index whole_row(Index t) const noexcept {
    return !whole_row_.empty() ? whole_row_[static_cast<std::size_t>(t)] : offset(t);
  }
  Index first_sequence() const noexcept { return first_sequence_; }

  // The sequences [n_begin, n_end) of another batch.
  void assign_part(const PackedBatch& whole, Index n_begin, Index n_end);
  // Some steps of the first sequences of a batch, their rows gathered one after the other.
  void assign_window(const PackedBatch& whole, const std::vector<Index>& n_active,
                     Index n_sequences);

  // BPTT goes from the end to the beginning in runs of steps, and after each run takes what its
  // gate gradients add to the gradient of the parameters, while they are in cache. This is the run
  // before step t_end: as many steps as have `most_rows` rows, but one at least.
  Steps steps_before(Index t_end, Index most_rows) const noexcept;

  // Boundaries of `n_blocks` runs of sequences with about the same number of rows each.
  std::vector<Index> split(Index n_blocks) const;

 private:
  Index n_sequences_ = 0;
  Index n_rows_ = 0;
  std::vector<Index> n_active_;
  std::vector<Index> offset_;
  std::vector<Index> length_;
  Index first_sequence_ = 0;
  bool is_part_ = false;
  std::vector<Index> whole_row_;
};

// Runs body(n_begin, n_end) for runs of sequences, one for each worker. Nothing is allocated where
// there is but one, as for the parts below: what runs on a helper must not throw.
template <class Body>
void each_run(const PackedBatch& batch, Workers& workers, Body&& body) {
  if (workers.size() == 1) {
    body(Index{0}, batch.n_sequences());
  } else {
    workers.each_between(batch.split(workers.size()), body);
  }
}

// Runs body(part, memory, workers) for every part: one by all workers, several by one each. Memory
// is for a part while it is worked on: there may be fewer than parts, one for each worker, and each
// is in its cache.
template <class Parts, class Memories, class Body>
void each_part(Parts& parts, Memories& memories, Workers& workers, Body&& body) {
  if (parts.size() == 1) {
    body(parts.front(), memories.front(), workers);
    return;
  }
  std::atomic<std::size_t> next{0};
  workers.each(static_cast<Index>(memories.size()), [&](Index i) {
    Workers alone(1);
    for (std::size_t part = next++; part < parts.size(); part = next++) {
      body(parts[part], memories[static_cast<std::size_t>(i)], alone);
    }
  });
}

// The same for parts with memory of their own.
template <class Parts, class Body>
void each_part(Parts& parts, Workers& workers, Body&& body) {
  if (parts.size() == 1) {
    body(parts.front(), workers);
    return;
  }
  workers.each(static_cast<Index>(parts.size()), [&](Index i) {
    Workers alone(1);
    body(parts[static_cast<std::size_t>(i)], alone);
  });
}

// The batch, cut at `bounds`, into parts that have a PackedBatch `batch`.
template <class Part>
void assign_parts(std::vector<Part>& parts, const PackedBatch& whole,
                  const std::vector<Index>& bounds) {
  parts.resize(std::max<std::size_t>(bounds.size(), 2) - 1);
  if (parts.size() == 1) {
    parts.front().batch = whole;
    return;
  }
  for (std::size_t i = 0; i < parts.size(); ++i) {
    parts[i].batch.assign_part(whole, bounds[i], bounds[i + 1]);
  }
}

// A matrix with a row for each row of a batch; or of the batch that it is a part of; or, of
// sequences of one length that lie one after the other, a row at each step of the first of them,
// `time_stride` apart, and `stride` from one sequence to the next.
template <class Scalar>
struct BatchRows {
  Scalar* data;
  Index stride;
  bool of_whole;
  Index time_stride = 0;

  // The first row of step t.
  Scalar* at(const PackedBatch& batch, Index t) const noexcept {
    if (time_stride != 0) return data + t * time_stride;
    return data + (of_whole ? batch.whole_row(t) : batch.offset(t)) * stride;
  }
};

}  // namespace lstmcore
