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
      stack_(spec.cell, spec.input_size, spec.hidden_sizes, spec.with_dx, kernels.table<Scalar>()),
      head_(spec.hidden_sizes.back(), spec.n_outputs, kernels.table<Scalar>()) {
  stack_.reserve_panels();
  head_.reserve_panels();
}

template <class Scalar>
void Network<Scalar>::pack(const Scalar* parameters, Workers& workers) noexcept {
  stack_.pack(parameters, workers);
  head_.pack(parameters + stack_.n_parameters());
}

template <class Scalar>
void Network<Scalar>::reserve(NetworkWorkspace<Scalar>& w, bool training,
                              const Dropout& dropout) const {
  const Index N = w.batch.n_sequences();
  stack_.reserve(w.stack, w.batch, training, dropout);
  w.pooled.reserve(checked_product(N, width()));
  w.scores.reserve(checked_product(N, padded_outputs()));
  if (spec_.pooling == Pooling::kMax) w.argmax.reserve(checked_product(N, width()));
  if (!training) return;
  stack_.reserve_gradients(w.stack, w.batch);
  w.dscores.reserve(checked_product(N, padded_outputs()));
  w.dpooled.reserve(checked_product(N, width()));
  w.head_gradient_panels.reserve(head_.gradient_panel_size());
  if (spec_.pooling != Pooling::kLast) w.dy.reserve(checked_product(w.batch.n_rows(), width()));
}

template <class Scalar>
void Network<Scalar>::start(NetworkWorkspace<Scalar>& w, Index n_begin,
                            Index n_end) const noexcept {
  for (Index l = 0; l < stack_.n_layers(); ++l) {
    stack_.layer(l).set_initial_state(w.stack.layers[static_cast<std::size_t>(l)], w.batch, nullptr,
                                      nullptr, n_begin, n_end);
  }
}

template <class Scalar>
void Network<Scalar>::score(const Dropout& dropout, NetworkWorkspace<Scalar>& w, Index n_begin,
                            Index n_end) const noexcept {
  Scalar* pooled = w.pooled.data() + n_begin * width();
  pooling_forward(spec_.pooling, w.batch, w.stack.layers.back().h.data(), width(), w.pooled.data(),
                  w.argmax.data(), n_begin, n_end);
  if (dropout.active()) {
    for (Index n = n_begin; n < n_end; ++n) {
      Scalar* row = w.pooled.data() + n * width();
      dropout.apply(n, stack_.n_layers(), 0, width(), row, row);
    }
  }
  head_.forward(pooled, w.scores.data() + n_begin * padded_outputs(), n_end - n_begin);
}

template <class Scalar>
void Network<Scalar>::backward_head(const Dropout& dropout, NetworkWorkspace<Scalar>& w,
                                    Index n_begin, Index n_end) const noexcept {
  head_.backward(w.dscores.data() + n_begin * padded_outputs(),
                 w.dpooled.data() + n_begin * width(), n_end - n_begin);
  if (dropout.active()) {
    for (Index n = n_begin; n < n_end; ++n) {
      Scalar* row = w.dpooled.data() + n * width();
      dropout.apply(n, stack_.n_layers(), 0, width(), row, row);
    }
  }
  pooling_backward(spec_.pooling, w.batch, w.dpooled.data(), width(), w.argmax.data(), w.dy.data(),
                   n_begin, n_end);
  for (Index l = 0; l < stack_.n_layers(); ++l) {
    stack_.layer(l).set_state_gradient(w.stack.layers[static_cast<std::size_t>(l)], w.batch,
                                       nullptr, nullptr, n_begin, n_end);
  }
  if (spec_.pooling == Pooling::kLast) {
    std::copy(w.dpooled.data() + n_begin * width(), w.dpooled.data() + n_end * width(),
              w.stack.layers.back().dh.data() + n_begin * width());
  }
}

template <class Scalar>
void Network<Scalar>::backward(const Scalar* x, const Dropout& dropout, NetworkWorkspace<Scalar>& w,
                               Scalar* dx, Scalar* gradient, Workers& workers) const {
  stack_.backward(w.batch, x, dy(w), dx, dropout, w.stack, gradient, workers);
  head_.weight_gradients(w.pooled.data(), w.dscores.data(), w.batch.n_sequences(),
                         w.head_gradient_panels.data(), gradient + stack_.n_parameters(), workers);
}

template <class Scalar>
void Network<Scalar>::predict(const Scalar* x, bool with_link, int n_threads,
                              NetworkWorkspace<Scalar>& w, Scalar* outputs) const {
  const Dropout none;
  reserve(w, false, none);
  const int threads = useful_threads(
      stack_.multiply_adds_per_row() * static_cast<double>(w.batch.n_rows()), n_threads);
  const Index K = spec_.n_outputs;
  run_with_workers(threads, [&](Workers& workers) {
    forward(x, none, w, workers, [&](Index n_begin, Index n_end) {
      for (Index n = n_begin; n < n_end; ++n) {
        std::copy_n(w.scores.data() + n * padded_outputs(), K, outputs + n * K);
        if (with_link) apply_link(spec_.link, outputs + n * K, K);
      }
    });
  });
}

template <class Scalar>
void Network<Scalar>::predict_step(const Scalar* h, const Index* n_steps, Index n_sequences,
                                   bool with_link, NetworkWorkspace<Scalar>& w, Scalar* pooled,
                                   Scalar* outputs) const {
  const Index H = spec_.hidden_sizes.back();
  const Index K = spec_.n_outputs;
  Scalar* features = w.pooled.reserve_zeroed(checked_product(n_sequences, width()));
  Scalar* scores = w.scores.reserve(checked_product(n_sequences, padded_outputs()));
  run_with_workers(1, [&](Workers&) {
    for (Index n = 0; n < n_sequences; ++n) {
      pooling_step(spec_.pooling, h + n * H, H, n_steps[n], pooled + n * H, features + n * width());
    }
    head_.forward(features, scores, n_sequences);
    for (Index n = 0; n < n_sequences; ++n) {
      std::copy_n(scores + n * padded_outputs(), K, outputs + n * K);
      if (with_link) apply_link(spec_.link, outputs + n * K, K);
    }
  });
}

template <class Scalar>
void Network<Scalar>::input_gradient(const Scalar* x, const Scalar* dscores, int n_threads,
                                     NetworkWorkspace<Scalar>& w, Scalar* gradient) const {
  const Dropout none;
  reserve(w, true, none);
  const Index R = w.batch.n_rows();
  const Index I = spec_.input_size;
  const Index K = spec_.n_outputs;
  const Index padded_inputs = round_up(I, kBlock<Scalar>);
  Scalar* dx = w.dx.reserve(checked_product(R, padded_inputs));
  AlignedBuffer<Scalar> unused;  // the gradient of the parameters
  Scalar* of_parameters = unused.reserve(n_parameters());
  const double products = 3.0 * stack_.multiply_adds_per_row() * static_cast<double>(R);
  run_with_workers(useful_threads(products, n_threads), [&](Workers& workers) {
    forward(x, none, w, workers, [&](Index n_begin, Index n_end) {
      for (Index n = n_begin; n < n_end; ++n) {
        Scalar* row = w.dscores.data() + n * padded_outputs();
        std::fill_n(std::copy_n(dscores + n * K, K, row), padded_outputs() - K, Scalar{0});
      }
      backward_head(none, w, n_begin, n_end);
    });
    backward(x, none, w, dx, of_parameters, workers);
  });
  for (Index r = 0; r < R; ++r) std::copy_n(dx + r * padded_inputs, I, gradient + r * I);
}

template void apply_link(Link, float*, Index) noexcept;
template void apply_link(Link, double*, Index) noexcept;
template class Network<float>;
template class Network<double>;

}  // namespace lstmcore
