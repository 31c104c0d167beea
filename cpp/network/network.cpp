#include "network/network.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "base/portable_math.hpp"

namespace lstmcore {

Link link_from_name(std::string_view name) {
  if (name == "identity") return Link::kIdentity;
  if (name == "sigmoid") return Link::kSigmoid;
  if (name == "softmax") return Link::kSoftmax;
  throw std::invalid_argument("link is '" + std::string(name) +
                              "'; expected 'identity', 'sigmoid' or 'softmax'");
}

template <class Scalar>
void apply_link(Link link, Scalar* scores, Index n_outputs) noexcept {
  if (link == Link::kSigmoid) {
    for (Index k = 0; k < n_outputs; ++k) {
      scores[k] = static_cast<Scalar>(portable::sigmoid(scores[k]));
    }
  } else if (link == Link::kSoftmax) {
    const double highest = *std::max_element(scores, scores + n_outputs);
    double sum = 0;
    for (Index k = 0; k < n_outputs; ++k) sum += portable::exp(scores[k] - highest);
    for (Index k = 0; k < n_outputs; ++k) {
      scores[k] = static_cast<Scalar>(portable::exp(scores[k] - highest) / sum);
    }
  }
}

template <class Scalar>
Network<Scalar>::Network(const NetworkSpec& spec, const Kernels& kernels)
    : spec_(spec),
      kernels_(&kernels),
      embeddings_(spec.n_columns(), spec.embeddings),
      stack_(spec.stack, kernels.table<Scalar>()),
      head_(stack_.output_size(), spec.n_outputs, kernels.table<Scalar>()) {
  stack_.reserve_panels();
  if (spec.pooling == Pooling::kAttention) {
    attention_.emplace(stack_.output_size(), kernels.table<Scalar>());
    attention_->reserve_panels();
  }
  head_.reserve_panels();
}

template <class Scalar>
void Network<Scalar>::pack(const Scalar* parameters, Workers& workers) noexcept {
  stack_.pack(parameters, workers);
  if (attention_) attention_->pack(parameters + stack_.n_parameters());
  head_.pack(parameters + head_offset());
  use_tables(parameters + table_offset());
}

template <class Scalar>
void Network<Scalar>::assign_parts(NetworkWorkspace<Scalar>& w, const std::vector<Index>& bounds,
                                   bool keep, bool in_windows, const Dropout& dropout,
                                   int n_threads) const {
  const Index N = w.batch.n_sequences();
  lstmcore::assign_parts(w.parts, w.batch, bounds);
  w.memories.resize(std::min(w.parts.size(), static_cast<std::size_t>(n_threads)));
  for (NetworkPart<Scalar>& part : w.parts) {
    part.windows.clear();
    if (in_windows && has_windows(spec_)) assign_windows(w.bptt, keep, part);
  }
  for (PartMemory<Scalar>& m : w.memories) {
    for (const NetworkPart<Scalar>& part : w.parts) reserve_part(part, keep, dropout, w.bptt, m);
  }
  w.pooled.reserve(checked_product(N, width()));
  w.scores.reserve(checked_product(N, padded_outputs()));
  if (spec_.pooling == Pooling::kMax) w.argmax.reserve(checked_product(N, width()));
}

template <class Scalar>
void Network<Scalar>::reserve(NetworkWorkspace<Scalar>& w, int n_threads, bool in_windows) const {
  assign_parts(w, stack_.parts(w.batch, n_threads), false, in_windows, Dropout{}, n_threads);
}

template <class Scalar>
void Network<Scalar>::reserve_for_gradient(NetworkWorkspace<Scalar>& w, const Dropout& dropout,
                                           int n_threads, const BpttOptions& bptt) const {
  const Index N = w.batch.n_sequences();
  w.bptt = bptt;
  assign_parts(w, stack_.gradient_parts(w.batch), true, true, dropout, n_threads);
  for (NetworkPart<Scalar>& part : w.parts) {
    stack_.reserve_sums(part.sums, n_threads);
    if (attention_) part.attention_sums.reserve(attention_->gradient_size());
    if (embeddings_.any()) {
      part.dinputs.reserve(checked_product(part.batch.n_rows(), dinputs_stride()));
    }
  }
  w.dscores.reserve(checked_product(N, padded_outputs()));
  w.dpooled.reserve(checked_product(N, width()));
  w.head_gradient_panels.reserve(head_.gradient_panel_size());
}

template <class Scalar>
void Network<Scalar>::clear(NetworkPart<Scalar>& part, Scalar* gradient) const noexcept {
  stack_.clear(part.sums, gradient);
  if (attention_) std::fill_n(part.attention_sums.data(), attention_->gradient_size(), Scalar{0});
}

template <class Scalar>
void Network<Scalar>::pack_rows(NetworkWorkspace<Scalar>& w, const NetworkPart<Scalar>& part,
                                Index n_begin, Index n_end) const noexcept {
  if (w.sequences.first == nullptr) return;
  const Index columns = spec_.n_columns();
  pack_sequences(part.batch, w.sequences.of_part(part.batch.first_sequence()), columns,
                 {w.x.data(), columns, true}, n_begin, n_end);
}

template <class Scalar>
void Network<Scalar>::start(const Scalar* x, NetworkWorkspace<Scalar>& w,
                            const NetworkPart<Scalar>& part, PartMemory<Scalar>& m, Index n_begin,
                            Index n_end) const noexcept {
  pack_rows(w, part, n_begin, n_end);
  if (embeddings_.any()) embeddings_.embed_part(x, part.batch, n_begin, n_end, m.inputs.data());
  for (Index l = 0; l < stack_.n_layers(); ++l) {
    stack_.layer(l).set_initial_state(m.stack.layers[static_cast<std::size_t>(l)], part.batch,
                                      nullptr, nullptr, n_begin, n_end);
  }
}

template <class Scalar>
void Network<Scalar>::pool(NetworkWorkspace<Scalar>& w, const NetworkPart<Scalar>& part,
                           PartMemory<Scalar>& m, Index n_begin, Index n_end) const noexcept {
  const Index first = part.batch.first_sequence() * width();
  Scalar* pooled = w.pooled.data() + first;
  if (attention_) {
    attention_->forward(part.batch, top_output(part.batch, m), m.attention, pooled, n_begin, n_end);
    return;
  }
  pooling_forward(spec_.pooling, part.batch, stack_.output_history(m.stack), width(),
                  backward_from(), pooled, w.argmax.data() + first, n_begin, n_end);
}

template <class Scalar>
void Network<Scalar>::score(const Dropout& dropout, NetworkWorkspace<Scalar>& w,
                            const NetworkPart<Scalar>& part, Index n_begin,
                            Index n_end) const noexcept {
  const Index first = part.batch.first_sequence();
  Scalar* pooled = w.pooled.data() + first * width();
  if (dropout.active()) {
    for (Index n = n_begin; n < n_end; ++n) {
      Scalar* row = pooled + n * width();
      dropout.apply(kernels_->table<Scalar>(), n, stack_.n_levels(), 0, width(), row, row);
    }
  }
  head_.forward(pooled + n_begin * width(), w.scores.data() + (first + n_begin) * padded_outputs(),
                n_end - n_begin);
}

template <class Scalar>
void Network<Scalar>::backward_head(const Dropout& dropout, NetworkWorkspace<Scalar>& w,
                                    const NetworkPart<Scalar>& part, Index n_begin,
                                    Index n_end) const noexcept {
  const Index first = part.batch.first_sequence();
  Scalar* dpooled = w.dpooled.data() + first * width();
  head_.backward(w.dscores.data() + (first + n_begin) * padded_outputs(),
                 dpooled + n_begin * width(), n_end - n_begin);
  if (dropout.active()) {
    for (Index n = n_begin; n < n_end; ++n) {
      Scalar* row = dpooled + n * width();
      dropout.of_part(first).apply(kernels_->table<Scalar>(), n, stack_.n_levels(), 0, width(), row,
                                   row);
    }
  }
}

template <class Scalar>
void Network<Scalar>::backward_pooling(NetworkWorkspace<Scalar>& w, const NetworkPart<Scalar>& part,
                                       PartMemory<Scalar>& m, Index n_begin,
                                       Index n_end) const noexcept {
  const Index first = part.batch.first_sequence();
  const Scalar* dpooled = w.dpooled.data() + first * width();
  if (attention_) {
    attention_->backward(part.batch, top_output(part.batch, m), dpooled, m.attention, m.dy.data(),
                         n_begin, n_end);
  } else if (!has_state_gradient()) {
    pooling_backward(spec_.pooling, part.batch, dpooled, width(), backward_from(),
                     w.argmax.data() + first * width(), m.dy.data(), n_begin, n_end);
  }
  for (Index l = 0; l < stack_.n_layers(); ++l) {
    stack_.layer(l).set_state_gradient(m.stack.layers[static_cast<std::size_t>(l)], part.batch,
                                       nullptr, nullptr, n_begin, n_end);
  }
  if (has_state_gradient()) {
    std::copy(dpooled + n_begin * width(), dpooled + n_end * width(),
              m.stack.layers.back().dh.data() + n_begin * width());
  }
}

template <class Scalar>
void Network<Scalar>::get_gradients(const Scalar* x, NetworkWorkspace<Scalar>& w, Scalar* gradient,
                                    Workers& workers) const {
  std::vector<StackGradients<Scalar>*> parts;
  parts.reserve(w.parts.size());
  for (NetworkPart<Scalar>& part : w.parts) parts.push_back(&part.sums);
  stack_.get_gradients(parts, gradient, workers);
  head_.weight_gradients(w.pooled.data(), w.dscores.data(), w.batch.n_sequences(),
                         w.head_gradient_panels.data(), gradient + head_offset(), workers);
  if (attention_) {
    std::vector<Scalar*> sums;
    sums.reserve(w.parts.size());
    for (NetworkPart<Scalar>& part : w.parts) sums.push_back(part.attention_sums.data());
    attention_->get_gradient(sums, gradient + stack_.n_parameters(), workers);
  }
  if (embeddings_.any()) get_table_gradients(x, w, gradient + table_offset(), workers);
}

template <class Scalar>
void Network<Scalar>::get_table_gradients(const Scalar* x, NetworkWorkspace<Scalar>& w,
                                          Scalar* gradient, Workers& workers) const noexcept {
  constexpr Index kElements = 8192;
  workers.each_range(embeddings_.n_parameters(), kElements, [&](Index begin, Index end) {
    std::fill(gradient + begin, gradient + end, Scalar{0});
  });
  // Each thread has some columns: rows of one token may stand in any part.
  workers.each_range(embeddings_.largest_size(), kBlock<Scalar>, [&](Index begin, Index end) {
    for (NetworkPart<Scalar>& part : w.parts) {
      const BatchRows<Scalar> rows = dinputs(nullptr, part);
      embeddings_.add_gradient(x, part.batch, rows.data, rows.stride, begin, end, gradient);
    }
  });
}

template <class Scalar>
void Network<Scalar>::predict(const Scalar* x, bool with_link, int n_threads,
                              NetworkWorkspace<Scalar>& w, Scalar* outputs) const {
  const int threads = useful_threads(
      stack_.multiply_adds_per_row() * static_cast<double>(w.batch.n_rows()), n_threads);
  reserve(w, threads);
  const Index K = spec_.n_outputs;
  run_with_workers(threads, [&](Workers& workers) {
    forward(x, w, workers, [&](Index n_begin, Index n_end) {
      for (Index n = n_begin; n < n_end; ++n) {
        std::copy_n(w.scores.data() + n * padded_outputs(), K, outputs + n * K);
        if (with_link) apply_link(spec_.link, outputs + n * K, K);
      }
    });
  });
}

template <class Scalar>
void Network<Scalar>::attention(const Scalar* x, int n_threads, NetworkWorkspace<Scalar>& w,
                                Scalar* weights) const {
  const int threads = useful_threads(
      stack_.multiply_adds_per_row() * static_cast<double>(w.batch.n_rows()), n_threads);
  reserve(w, threads, false);
  const auto run = [&](NetworkPart<Scalar>& part, PartMemory<Scalar>& m, Workers& its_workers) {
    const Index first = part.batch.first_sequence();
    forward_part(x, Dropout{}, w, part, m, its_workers, [&](Index n_begin, Index n_end) {
      attention_->get_weights(part.batch, m.attention, weights, n_begin - first, n_end - first);
    });
  };
  run_with_workers(threads,
                   [&](Workers& workers) { each_part(w.parts, w.memories, workers, run); });
}

template <class Scalar>
Index Network<Scalar>::carried_size() const noexcept {
  return stack_.output_size() + (attention_ ? Attention<Scalar>::kCarried : Index{0});
}

template <class Scalar>
void Network<Scalar>::predict_step(const Scalar* h, const Index* n_steps, Index n_sequences,
                                   bool with_link, NetworkWorkspace<Scalar>& w, Scalar* pooled,
                                   Scalar* outputs) const {
  const Index H = stack_.output_size();
  const Index K = spec_.n_outputs;
  const Index carried = carried_size();
  Scalar* row = w.dpooled.reserve_zeroed(2 * width());
  Scalar* features = w.pooled.reserve_zeroed(checked_product(n_sequences, width()));
  Scalar* scores = w.scores.reserve(checked_product(n_sequences, padded_outputs()));
  run_with_workers(1, [&](Workers&) {
    for (Index n = 0; n < n_sequences; ++n) {
      if (attention_) {
        std::copy_n(h + n * H, H, row);
        attention_->step(row, n_steps[n], row + width(), pooled + n * carried,
                         features + n * width());
      } else {
        pooling_step(spec_.pooling, h + n * H, H, n_steps[n], pooled + n * H,
                     features + n * width());
      }
    }
    head_.forward(features, scores, n_sequences);
    for (Index n = 0; n < n_sequences; ++n) {
      std::copy_n(scores + n * padded_outputs(), K, outputs + n * K);
      if (with_link) apply_link(spec_.link, outputs + n * K, K);
    }
  });
}

template <class Scalar>
void Network<Scalar>::differentiate_scores(const Scalar* x, const Scalar* dscores, int n_threads,
                                           NetworkWorkspace<Scalar>& w, Scalar* dx,
                                           const GradientNorms* norms) const {
  const Dropout none;
  const double products =
      3.0 * stack_.multiply_adds_per_row() * static_cast<double>(w.batch.n_rows());
  const int threads = useful_threads(products, n_threads);
  reserve_for_gradient(w, none, threads);
  const Index K = spec_.n_outputs;
  const auto given = [&](Index n_begin, Index n_end) {
    for (Index n = n_begin; n < n_end; ++n) {
      Scalar* row = w.dscores.data() + n * padded_outputs();
      std::fill_n(std::copy_n(dscores + n * K, K, row), padded_outputs() - K, Scalar{0});
    }
  };
  run_with_workers(threads, [&](Workers& workers) {
    differentiate(x, none, w, nullptr, dx, workers, given, norms);
  });
}

template <class Scalar>
void Network<Scalar>::state_gradient_norms(const Scalar* x, const Scalar* dscores, int n_threads,
                                           NetworkWorkspace<Scalar>& w,
                                           const GradientNorms& norms) const {
  differentiate_scores(x, dscores, n_threads, w, nullptr, &norms);
}

template <class Scalar>
void Network<Scalar>::input_gradient(const Scalar* x, const Scalar* dscores, int n_threads,
                                     NetworkWorkspace<Scalar>& w, Scalar* gradient) const {
  const Index R = w.batch.n_rows();
  const Index I = spec_.stack.input_size;
  const Index padded_inputs = round_up(I, kBlock<Scalar>);
  Scalar* dx = w.dx.reserve(checked_product(R, padded_inputs));
  differentiate_scores(x, dscores, n_threads, w, dx, nullptr);
  for (Index r = 0; r < R; ++r) std::copy_n(dx + r * padded_inputs, I, gradient + r * I);
}

template void apply_link(Link, float*, Index) noexcept;
template void apply_link(Link, double*, Index) noexcept;
template class Network<float>;
template class Network<double>;

}  // namespace lstmcore
