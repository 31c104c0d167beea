// A batch in windows over time: memory that does not grow with the length of the sequences.
//
// Forward goes through the windows in order and carries the states. For a gradient each window is
// then done again, with all that BPTT needs. Truncated (Williams and Peng 1990), nothing goes back
// from a window to the one before. Otherwise the windows go from the last to the first and hand the
// gradients of the states on; they begin where runs of BPTT do, so that every sum is what it would
// be in one go.
#include <algorithm>
#include <cmath>

#include "network/network.hpp"

namespace lstmcore {
namespace {

// The first steps of windows that are made of runs of BPTT, of about sqrt(T / 4) steps each: one
// keeps some eight numbers for each unit and step, the states before it are two.
template <class Scalar>
std::vector<Index> window_starts(const RecurrentStack<Scalar>& stack, const PackedBatch& batch) {
  const Index least =
      std::max<Index>(1, static_cast<Index>(std::sqrt(static_cast<double>(batch.n_steps())) / 2.0));
  std::vector<Index> starts;
  Index t_end = batch.n_steps();
  Index window_end = t_end;
  while (t_end > 0) {
    t_end = stack.steps_before(batch, t_end).begin;
    if (t_end > 0 && window_end - t_end < least) continue;
    starts.push_back(t_end);
    window_end = t_end;
  }
  std::reverse(starts.begin(), starts.end());
  return starts;
}

// The first steps of windows of about that many rows, but a step at least.
std::vector<Index> starts_by_rows(const PackedBatch& batch, Index n_rows) {
  std::vector<Index> starts;
  Index rows = n_rows;
  for (Index t = 0; t < batch.n_steps(); ++t) {
    if (rows + batch.n_active(t) > n_rows) {
      starts.push_back(t);
      rows = 0;
    }
    rows += batch.n_active(t);
  }
  return starts;
}

}  // namespace

template <class Scalar>
void Network<Scalar>::assign_windows(const BpttOptions& bptt, bool keep,
                                     NetworkPart<Scalar>& part) const {
  part.windows.clear();
  const PackedBatch& batch = part.batch;
  if (batch.n_steps() < 2 || !has_windows(spec_)) return;
  if (keep && bptt.tbptt_steps > 0) {
    if (batch.n_steps() > bptt.tbptt_steps) {
      part.windows = windows_from_ends(batch, bptt.tbptt_steps);
    }
    return;
  }
  std::vector<Index> starts;
  if (keep && bptt.recompute) {
    starts = window_starts(stack_, batch);
  } else if (!keep) {
    constexpr Index kBytes = 4 << 20;  // of the histories of all layers
    Index units = 0;
    for (Index l = 0; l < stack_.n_layers(); ++l) units += stack_.layer(l).padded_hidden_size();
    const Index rows = std::max<Index>(1, kBytes / (units * static_cast<Index>(sizeof(Scalar))));
    if (batch.n_rows() > 2 * rows) starts = starts_by_rows(batch, rows);
  }
  if (starts.size() > 1) part.windows = windows_from_steps(batch, starts);
}

template <class Scalar>
void Network<Scalar>::reserve_part(const NetworkPart<Scalar>& part, bool keep,
                                   const Dropout& dropout, const BpttOptions& bptt,
                                   PartMemory<Scalar>& m) const {
  const auto reserve = [&](const PackedBatch& batch) {
    stack_.reserve(m.stack, batch, keep, dropout);
    if (!keep) return;
    stack_.reserve_gradients(m.stack, batch);
    if (has_state_gradient()) return;
    m.dy.reserve(checked_product(batch.n_rows(), width()));
  };
  if (part.windows.empty()) {
    reserve(part.batch);
    if (attention_) attention_->reserve(m.attention, part.batch);
    if (embeddings_.any()) {
      m.inputs.reserve(checked_product(part.batch.n_rows(), embeddings_.output_size()));
    }
    return;
  }
  for (const BatchWindow& window : part.windows) {
    reserve(window.batch);
    m.x.reserve(checked_product(window.batch.n_rows(), spec_.stack.input_size));
  }
  const Index states = checked_product(part.batch.n_sequences(), stack_.state_size());
  const auto n_kept = static_cast<Index>(keep && bptt.recompute ? part.windows.size() : 1);
  m.states.reserve(checked_product(n_kept, states));
  if (keep) m.dstates.reserve(states);
}

template <class Scalar>
bool Network<Scalar>::last_window_keeps(const NetworkWorkspace<Scalar>& w) const noexcept {
  return w.bptt.tbptt_steps == 0 || spec_.pooling == Pooling::kLast;
}

template <class Scalar>
void Network<Scalar>::forward_window(const Scalar* x, const Dropout& dropout,
                                     NetworkWorkspace<Scalar>& w, const NetworkPart<Scalar>& part,
                                     const BatchWindow& window, bool keep, bool pools,
                                     Scalar* before, Scalar* after, PartMemory<Scalar>& m,
                                     Workers& workers) const {
  const Index N = part.batch.n_sequences();
  const Index first = part.batch.first_sequence() * width();
  gather_rows(part.batch, window, x, spec_.stack.input_size, m.x.data(), workers);
  stack_.reserve(m.stack, window.batch, keep, dropout);  // there is room: only the layout changes
  const auto start = [&](Index n_begin, Index n_end) {
    stack_.set_initial_states(m.stack, window.batch, before, N, n_begin, n_end);
  };
  const auto pool = [&](Index n_begin, Index n_end) {
    if (!pools) return;
    pooling_add(spec_.pooling, window, m.stack.layers.back().h.data(), width(),
                w.pooled.data() + first, w.argmax.data() + first, n_begin, n_end);
  };
  stack_.forward(window.batch, window_rows(m), dropout, m.stack, workers, start, pool);
  if (after == nullptr) return;
  if (after != before) std::copy_n(before, N * stack_.state_size(), after);
  stack_.get_final_states(m.stack, window.batch, after, N);
}

namespace {

Dropout of_window(const Dropout& dropout, const PackedBatch& part, const BatchWindow& window) {
  Dropout its_dropout = dropout.of_part(part.first_sequence());
  its_dropout.begins = window.begins.data();
  return its_dropout;
}

}  // namespace

template <class Scalar>
void Network<Scalar>::forward_windows(const Scalar* x, const Dropout& dropout,
                                      NetworkWorkspace<Scalar>& w, const NetworkPart<Scalar>& part,
                                      PartMemory<Scalar>& m, Workers& workers,
                                      bool last_keeps) const {
  const Index N = part.batch.n_sequences();
  const Index size = N * stack_.state_size();
  const Index first = part.batch.first_sequence() * width();
  const bool keeps_states = w.bptt.recompute && last_keeps;
  std::fill_n(w.pooled.data() + first, N * width(), Scalar{0});
  if (spec_.pooling == Pooling::kMax) std::fill_n(w.argmax.data() + first, N * width(), 0);
  std::fill_n(m.states.data(), size, Scalar{0});
  Scalar* before = m.states.data();
  for (std::size_t i = 0; i < part.windows.size(); ++i) {
    const bool is_last = i + 1 == part.windows.size();
    Scalar* after = is_last ? nullptr : keeps_states ? before + size : before;
    forward_window(x, of_window(dropout, part.batch, part.windows[i]), w, part, part.windows[i],
                   is_last && last_keeps, true, before, after, m, workers);
    before = after;
  }
  pooling_end(spec_.pooling, part.batch, width(), w.pooled.data() + first, 0, N);
}

template <class Scalar>
void Network<Scalar>::backward_window(const Dropout& dropout, NetworkWorkspace<Scalar>& w,
                                      const NetworkPart<Scalar>& part, const BatchWindow& window,
                                      PartMemory<Scalar>& m, StackGradients<Scalar>& sums,
                                      Workers& workers) const {
  const Index N = part.batch.n_sequences();
  const Index first = part.batch.first_sequence() * width();
  pooling_backward(spec_.pooling, part.batch, window, w.dpooled.data() + first, width(),
                   w.argmax.data() + first, m.dy.data(), 0, window.batch.n_sequences());
  stack_.set_state_gradients(m.stack, window.batch, m.dstates.data(), N);
  stack_.backward(window.batch, window_rows(m), dy(m), {}, dropout, m.stack, &sums, workers);
  stack_.get_state_gradients(m.stack, window.batch, m.dstates.data(), N);
}

template <class Scalar>
void Network<Scalar>::backward_windows(const Scalar* x, const Dropout& dropout,
                                       NetworkWorkspace<Scalar>& w, const NetworkPart<Scalar>& part,
                                       PartMemory<Scalar>& m, StackGradients<Scalar>& sums,
                                       Workers& workers) const {
  const Index N = part.batch.n_sequences();
  const Index size = N * stack_.state_size();
  std::fill_n(m.dstates.data(), size, Scalar{0});
  if (spec_.pooling == Pooling::kLast) {
    const Index H = stack_.output_size();
    const Scalar* dpooled = w.dpooled.data() + part.batch.first_sequence() * width();
    Scalar* dh = stack_.top_hidden(m.dstates.data(), N);
    for (Index n = 0; n < N; ++n) std::copy_n(dpooled + n * width(), H, dh + n * H);
  }
  const auto back = [&](const BatchWindow& window) {
    backward_window(of_window(dropout, part.batch, window), w, part, window, m, sums, workers);
  };
  const std::vector<BatchWindow>& windows = part.windows;
  if (!last_window_keeps(w)) {  // each window has a gradient of its own
    std::fill_n(m.states.data(), size, Scalar{0});
    for (const BatchWindow& window : windows) {
      forward_window(x, of_window(dropout, part.batch, window), w, part, window, true, false,
                     m.states.data(), m.states.data(), m, workers);
      std::fill_n(m.dstates.data(), size, Scalar{0});
      back(window);
    }
    return;
  }
  back(windows.back());
  for (std::size_t i = windows.size() - 1; i-- > 0 && w.bptt.tbptt_steps == 0;) {
    forward_window(x, of_window(dropout, part.batch, windows[i]), w, part, windows[i], true, false,
                   m.states.data() + static_cast<Index>(i) * size, nullptr, m, workers);
    back(windows[i]);
  }
}

template <class Scalar>
void Network<Scalar>::pool_steps(const Scalar* h, Index n, Index n_steps,
                                 NetworkWorkspace<Scalar>& w, Scalar* pooled) const {
  const Index H = stack_.output_size();
  Scalar* features = w.pooled.reserve(H);
  for (Index t = 0; t < n; ++t) {
    pooling_step(spec_.pooling, h + t * H, H, n_steps + t + 1, pooled, features);
  }
}

template class Network<float>;
template class Network<double>;

}  // namespace lstmcore
