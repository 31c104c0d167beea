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
  const PackedBatch& batch = part.batch;
  if (batch.n_steps() < 2) return;
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
    Index units = attention_ ? width() : 0;
    if (!stack_.output_is_h()) units += width();
    for (Index l = 0; l < stack_.n_layers(); ++l) units += stack_.layer(l).padded_output_size();
    const Index row_bytes = std::max<Index>(1, units * static_cast<Index>(sizeof(Scalar)));
    const Index rows = std::max<Index>(1, kBytes / row_bytes);
    if (batch.n_rows() > 2 * rows) starts = starts_by_rows(batch, rows);
  }
  if (starts.size() > 1) part.windows = windows_from_steps(batch, starts);
}

template <class Scalar>
std::vector<Index> Network<Scalar>::recompute_starts(Index n_steps, Index n_sequences) const {
  const std::vector<Index> n_active(static_cast<std::size_t>(n_steps), n_sequences);
  PackedBatch batch;
  batch.assign(n_active.data(), n_steps, n_sequences);
  NetworkPart<Scalar> part;
  part.batch.assign_part(batch, 0, stack_.gradient_parts(batch)[1]);
  assign_windows({0, true}, true, part);
  std::vector<Index> starts{0};
  for (std::size_t i = 1; i < part.windows.size(); ++i) {
    starts.push_back(part.windows[i].begins.front());
  }
  return starts;
}

template <class Scalar>
void Network<Scalar>::reserve_part(const NetworkPart<Scalar>& part, bool keep,
                                   const Dropout& dropout, const BpttOptions& bptt,
                                   PartMemory<Scalar>& m) const {
  const auto reserve = [&](const PackedBatch& batch) {
    constexpr bool kFromZeros = true;  // of windows, each forward pass says it again
    stack_.reserve(m.stack, batch, {.keep = keep, .from_zeros = kFromZeros}, dropout);
    if (attention_) attention_->reserve_rows(m.attention, batch.n_rows());
    if (embeddings_.any()) {
      m.inputs.reserve(checked_product(batch.n_rows(), embeddings_.output_size()));
    }
    if (!keep) return;
    stack_.reserve_gradients(m.stack, batch, !part.windows.empty());
    if (has_state_gradient()) return;
    m.dy.reserve(checked_product(batch.n_rows(), width()));
  };
  if (attention_) attention_->reserve_sequences(m.attention, part.batch.n_sequences());
  if (part.windows.empty()) {
    reserve(part.batch);
    return;
  }
  for (const BatchWindow& window : part.windows) {
    const Index rows = window.batch.n_rows();
    reserve(window.batch);
    m.x.reserve(checked_product(rows, spec_.n_columns()));
    if (keep && embeddings_.any()) m.dinputs.reserve(checked_product(rows, dinputs_stride()));
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
  const Index columns = spec_.n_columns();
  gather_rows(part.batch, window, x, columns, m.x.data(), workers);
  if (embeddings_.any()) {
    constexpr Index kRows = 64;
    workers.each_range(window.batch.n_rows(), kRows, [&](Index begin, Index end) {
      embeddings_.embed(m.x.data() + begin * columns, end - begin,
                        m.inputs.data() + begin * embeddings_.output_size());
    });
  }
  // There is room: only the layout changes. In the first window all sequences begin, in the others
  // some of them go on.
  const bool from_zeros = &window == &part.windows.front();
  stack_.reserve(m.stack, window.batch, {.keep = keep, .from_zeros = from_zeros}, dropout);
  const auto start = [&](Index n_begin, Index n_end) {
    stack_.set_initial_states(m.stack, window.batch, before, N, n_begin, n_end);
  };
  const auto pool = [&](Index n_begin, Index n_end) {
    Scalar* pooled = w.pooled.data() + first;
    if (attention_) {
      const Scalar* h = top_output(window.batch, m);
      attention_->score(window.batch, h, m.attention, n_begin, n_end);
      if (!pools) return;
      attention_->add(window.batch, window.begins.data(), h, m.attention, pooled, n_begin, n_end);
    } else if (pools) {
      pooling_add(spec_.pooling, window, stack_.output_history(m.stack), width(), pooled,
                  w.argmax.data() + first, n_begin, n_end);
    }
  };
  stack_.forward(window.batch, window_inputs(m), dropout, m.stack, workers, start, pool);
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
  each_run(part.batch, workers,
           [&](Index n_begin, Index n_end) { pack_rows(w, part, n_begin, n_end); });
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
  if (attention_) {
    attention_->end(part.batch, m.attention, w.pooled.data() + first, 0, N);
  } else {
    pooling_end(spec_.pooling, part.batch, width(), w.pooled.data() + first, 0, N);
  }
}

template <class Scalar>
void Network<Scalar>::backward_window(const Dropout& dropout, NetworkWorkspace<Scalar>& w,
                                      NetworkPart<Scalar>& part, const BatchWindow& window,
                                      PartMemory<Scalar>& m, Workers& workers) const {
  const Index N = part.batch.n_sequences();
  const Index first = part.batch.first_sequence() * width();
  const Scalar* dpooled = w.dpooled.data() + first;
  if (attention_) {
    const Scalar* h = top_output(window.batch, m);
    attention_->backward(window.batch, h, dpooled, m.attention, m.dy.data(), 0,
                         window.batch.n_sequences());
    attention_->finish_backward(window.batch, h, stack_.rows_of_run(), m.attention, m.dy.data(),
                                part.attention_sums.data(), workers);
  } else if (!has_state_gradient()) {
    pooling_backward(spec_.pooling, part.batch, window, dpooled, width(), w.argmax.data() + first,
                     m.dy.data(), 0, window.batch.n_sequences());
  }
  const BatchRows<Scalar> dx{embeddings_.any() ? m.dinputs.data() : nullptr, dinputs_stride(),
                             false};
  stack_.set_state_gradients(m.stack, window.batch, m.dstates.data(), N);
  stack_.backward(window.batch, window_inputs(m), dy(m), dx, dropout, m.stack, &part.sums, workers);
  stack_.get_state_gradients(m.stack, window.batch, m.dstates.data(), N);
  if (dx.data == nullptr) return;
  scatter_rows(part.batch, window, dx.data, dx.stride, part.dinputs.data(), workers);
}

template <class Scalar>
void Network<Scalar>::backward_windows(const Scalar* x, const Dropout& dropout,
                                       NetworkWorkspace<Scalar>& w, NetworkPart<Scalar>& part,
                                       PartMemory<Scalar>& m, Workers& workers) const {
  const Index N = part.batch.n_sequences();
  const Index size = N * stack_.state_size();
  std::fill_n(m.dstates.data(), size, Scalar{0});
  if (embeddings_.any()) {  // for the steps that no gradient reaches
    std::fill_n(part.dinputs.data(), part.batch.n_rows() * dinputs_stride(), Scalar{0});
  }
  if (has_state_gradient()) {
    const Index H = stack_.output_size();
    const Scalar* dpooled = w.dpooled.data() + part.batch.first_sequence() * width();
    Scalar* dh = stack_.top_hidden(m.dstates.data(), N);
    for (Index n = 0; n < N; ++n) std::copy_n(dpooled + n * width(), H, dh + n * H);
  }
  const auto back = [&](const BatchWindow& window) {
    backward_window(of_window(dropout, part.batch, window), w, part, window, m, workers);
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
  if (!attention_) {
    Scalar* features = w.pooled.reserve(H);
    for (Index t = 0; t < n; ++t) {
      pooling_step(spec_.pooling, h + t * H, H, n_steps + t + 1, pooled, features);
    }
    return;
  }
  constexpr Index kRows = 1024;
  AttentionWorkspace<Scalar> memory;
  attention_->reserve_rows(memory, std::min(n, kRows));
  Scalar* rows = w.pooled.reserve_zeroed(checked_product(std::min(n, kRows), width()));
  run_with_workers(1, [&](Workers&) {
    for (Index begin = 0; begin < n; begin += kRows) {
      const Index end = std::min(n, begin + kRows);
      for (Index t = begin; t < end; ++t) std::copy_n(h + t * H, H, rows + (t - begin) * width());
      attention_->steps(rows, end - begin, n_steps + begin, memory, pooled);
    }
  });
}

template class Network<float>;
template class Network<double>;

}  // namespace lstmcore
