#include "layers/batch_window.hpp"

#include <algorithm>

namespace lstmcore {
namespace {

// From the ranges [begins[n], ends[n]), none of them empty nor longer than the one before.
BatchWindow window_of(const PackedBatch& whole, std::vector<Index> begins,
                      const std::vector<Index>& ends) {
  const auto N = static_cast<Index>(begins.size());
  const Index n_steps = ends.front() - begins.front();
  std::vector<Index> n_active(static_cast<std::size_t>(n_steps));
  Index n = N;
  for (Index t = 0; t < n_steps; ++t) {
    const auto length = [&](Index i) {
      return ends[static_cast<std::size_t>(i)] - begins[static_cast<std::size_t>(i)];
    };
    while (length(n - 1) <= t) --n;
    n_active[static_cast<std::size_t>(t)] = n;
  }
  BatchWindow window;
  window.batch.assign_window(whole, n_active, N);
  window.begins = std::move(begins);
  return window;
}

}  // namespace

std::vector<BatchWindow> windows_from_ends(const PackedBatch& whole, Index n_steps) {
  std::vector<BatchWindow> windows;
  for (Index later = ceil_div(whole.n_steps(), n_steps) - 1; later >= 0; --later) {
    std::vector<Index> begins;
    std::vector<Index> ends;
    for (Index n = 0; n < whole.n_sequences() && whole.length(n) > later * n_steps; ++n) {
      ends.push_back(whole.length(n) - later * n_steps);
      begins.push_back(std::max<Index>(0, ends.back() - n_steps));
    }
    windows.push_back(window_of(whole, std::move(begins), ends));
  }
  return windows;
}

std::vector<BatchWindow> windows_from_steps(const PackedBatch& whole,
                                            const std::vector<Index>& first_steps) {
  std::vector<BatchWindow> windows;
  for (std::size_t i = 0; i < first_steps.size(); ++i) {
    const Index begin = first_steps[i];
    const Index end = i + 1 < first_steps.size() ? first_steps[i + 1] : whole.n_steps();
    const Index N = whole.n_active(begin);
    std::vector<Index> ends(static_cast<std::size_t>(N));
    for (Index n = 0; n < N; ++n) {
      ends[static_cast<std::size_t>(n)] = std::min(end, whole.length(n));
    }
    windows.push_back(window_of(whole, std::vector<Index>(ends.size(), begin), ends));
  }
  return windows;
}

namespace {

// body(row of the window, sequence, step of the whole, rows) for rows that stand side by side in
// both: those of sequences side by side that begin at the same step.
template <class Body>
void each_piece(const BatchWindow& window, Workers& workers, Body&& body) {
  const Index* begins = window.begins.data();
  workers.each_range(window.batch.n_steps(), 16, [&](Index t_begin, Index t_end) {
    for (Index t = t_begin; t < t_end; ++t) {
      const Index N = window.batch.n_active(t);
      for (Index n = 0; n < N;) {
        Index next = n + 1;
        while (next < N && begins[next] == begins[n]) ++next;
        body(window.batch.offset(t) + n, n, begins[n] + t, next - n);
        n = next;
      }
    }
  });
}

}  // namespace

template <class Scalar>
void gather_rows(const PackedBatch& whole, const BatchWindow& window, const Scalar* from,
                 Index width, Scalar* to, Workers& workers) noexcept {
  each_piece(window, workers, [&](Index row, Index n, Index step, Index rows) {
    std::copy_n(from + (whole.whole_row(step) + n) * width, rows * width, to + row * width);
  });
}

template <class Scalar>
void scatter_rows(const PackedBatch& whole, const BatchWindow& window, const Scalar* from,
                  Index width, Scalar* to, Workers& workers) noexcept {
  each_piece(window, workers, [&](Index row, Index n, Index step, Index rows) {
    std::copy_n(from + row * width, rows * width, to + (whole.offset(step) + n) * width);
  });
}

template void gather_rows(const PackedBatch&, const BatchWindow&, const float*, Index, float*,
                          Workers&) noexcept;
template void gather_rows(const PackedBatch&, const BatchWindow&, const double*, Index, double*,
                          Workers&) noexcept;
template void scatter_rows(const PackedBatch&, const BatchWindow&, const float*, Index, float*,
                           Workers&) noexcept;
template void scatter_rows(const PackedBatch&, const BatchWindow&, const double*, Index, double*,
                           Workers&) noexcept;

}  // namespace lstmcore
