#include "layers/recurrent_stack.hpp"

#include <algorithm>

namespace lstmcore {
namespace {

// Bytes of weights that a thread can't keep in its own cache beside what it works on.
constexpr double kBeyondOwnCache = 1 << 20;

}  // namespace

template <class Scalar>
RecurrentStack<Scalar>::RecurrentStack(const StackSpec& spec, const KernelTable<Scalar>& kernels) {
  layers_.reserve(spec.hidden_sizes.size());
  Index below = spec.input_size;
  for (const Index hidden_size : spec.hidden_sizes) {
    layers_.emplace_back(spec.cell, below, hidden_size, spec.with_dx || !layers_.empty(), kernels);
    n_parameters_ += layers_.back().n_parameters();
    below = hidden_size;
  }
}

template <class Scalar>
void RecurrentStack<Scalar>::reserve_panels() {
  for (auto& layer : layers_) layer.reserve_panels();
}

template <class Scalar>
void RecurrentStack<Scalar>::pack(const Scalar* parameters, Workers& workers) noexcept {
  for (auto& layer : layers_) {
    layer.pack(parameters, workers);
    parameters += layer.n_parameters();
  }
}

template <class Scalar>
void RecurrentStack<Scalar>::reserve(StackWorkspace<Scalar>& w, const PackedBatch& batch, bool keep,
                                     const Dropout& dropout) const {
  w.layers.resize(layers_.size());
  w.dropped.resize(layers_.size());
  w.dx.resize(layers_.size());
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    layers_[l].reserve(w.layers[l], batch, keep);
    if (l > 0 && dropout.active()) {
      w.dropped[l].reserve(checked_product(batch.n_rows(), layers_[l - 1].padded_hidden_size()));
    }
  }
}

template <class Scalar>
void RecurrentStack<Scalar>::reserve_gradients(StackWorkspace<Scalar>& w,
                                               const PackedBatch& batch) const {
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    layers_[l].reserve_gradients(w.layers[l], batch);
    if (l > 0) {
      w.dx[l].reserve(checked_product(batch.n_rows(), layers_[l - 1].padded_hidden_size()));
    }
  }
}

template <class Scalar>
void RecurrentStack<Scalar>::reserve_sums(StackGradients<Scalar>& sums, int n_threads) const {
  sums.layers.resize(layers_.size());
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    layers_[l].reserve_sums(sums.layers[l], sums_directly() ? n_threads : layers_[l].n_blocks());
  }
}

template <class Scalar>
void RecurrentStack<Scalar>::clear(StackGradients<Scalar>& sums, Scalar* gradient) const noexcept {
  sums.direct = sums_directly() ? gradient : nullptr;
  sums.begun = false;
  for (std::size_t l = 0; l < layers_.size() && sums.direct == nullptr; ++l) {
    layers_[l].clear(sums.layers[l]);
  }
}

template <class Scalar>
BatchRows<const Scalar> RecurrentStack<Scalar>::layer_input(
    Index l, const PackedBatch& batch, const BatchRows<const Scalar>& x, const Dropout& dropout,
    const StackWorkspace<Scalar>& w) const noexcept {
  if (l == 0) return x;
  const RecurrentLayer<Scalar>& below = layer(l - 1);
  const auto index = static_cast<std::size_t>(l);
  const Scalar* input =
      dropout.active() ? w.dropped[index].data() : below.output(w.layers[index - 1], batch);
  return {input, below.padded_hidden_size(), false};
}

namespace {

// Masks the rows of the sequences [n_begin, n_end) of a (R, width) matrix.
template <class Scalar>
void drop_rows(const Dropout& dropout, const PackedBatch& batch, Index layer, Index width,
               const Scalar* from, Scalar* to, Index n_begin, Index n_end) {
  for (Index n = n_begin; n < n_end; ++n) {
    for (Index t = 0; t < batch.length(n); ++t) {
      const Index at = (batch.offset(t) + n) * width;
      dropout.apply(n, layer, t, width, from + at, to + at);
    }
  }
}

}  // namespace

template <class Scalar>
void RecurrentStack<Scalar>::drop_input(Index l, const PackedBatch& batch, const Dropout& dropout,
                                        StackWorkspace<Scalar>& w, Index n_begin,
                                        Index n_end) const noexcept {
  if (l == 0 || !dropout.active()) return;
  const auto index = static_cast<std::size_t>(l);
  const RecurrentLayer<Scalar>& below = layer(l - 1);
  drop_rows(dropout, batch, l, below.padded_hidden_size(), below.output(w.layers[index - 1], batch),
            w.dropped[index].data(), n_begin, n_end);
}

template <class Scalar>
void RecurrentStack<Scalar>::drop_input_gradient(Index l, const PackedBatch& batch,
                                                 const Dropout& dropout, Scalar* dx, Index n_begin,
                                                 Index n_end) const noexcept {
  if (l == 0 || !dropout.active()) return;
  drop_rows(dropout, batch, l, layer(l - 1).padded_hidden_size(), dx, dx, n_begin, n_end);
}

template <class Scalar>
void RecurrentStack<Scalar>::forward_apart(const PackedBatch& batch,
                                           const BatchRows<const Scalar>& x, const Dropout& dropout,
                                           StackWorkspace<Scalar>& w, Index n_begin,
                                           Index n_end) const noexcept {
  for (Index l = 0; l < n_layers(); ++l) {
    drop_input(l, batch, dropout, w, n_begin, n_end);
    layer(l).forward(batch, layer_input(l, batch, x, dropout, w),
                     w.layers[static_cast<std::size_t>(l)], n_begin, n_end);
  }
}

template <class Scalar>
bool RecurrentStack<Scalar>::works_together(const PackedBatch& batch,
                                            int n_threads) const noexcept {
  // Measured on 2 cores of a Zen 4 (1 MiB second cache a core, 32 MiB third), 2026-11, GFLOP/s of
  // inference apart and together: H 1536 N 8 85 and 178, H 1024 N 16 156 and 217, N 64 201 and 218;
  // H 512 N 16 226 and 224; H 256 N 4 153 and 208, N 8 219 and 216; H 128 N 4 136 and 130.
  constexpr double kBeyondCache = 16 << 20;  // bytes that the threads had better read only once
  const Index N = batch.n_sequences();
  if (batch.is_part()) return false;
  return N == 1 || weight_bytes() > kBeyondCache ||
         (weight_bytes() > kBeyondOwnCache && N < Index{4} * n_threads);
}

template <class Scalar>
void RecurrentStack<Scalar>::forward_together(const PackedBatch& batch,
                                              const BatchRows<const Scalar>& x,
                                              const Dropout& dropout, StackWorkspace<Scalar>& w,
                                              Workers& workers) const {
  const Index N = batch.n_sequences();
  for (Index l = 0; l < n_layers(); ++l) {
    if (dropout.active()) {
      workers.each_range(N, 1, [&](Index n_begin, Index n_end) {
        drop_input(l, batch, dropout, w, n_begin, n_end);
      });
    }
    const BatchRows<const Scalar> input = layer_input(l, batch, x, dropout, w);
    layer(l).forward_together(batch, input.data, input.stride,
                              w.layers[static_cast<std::size_t>(l)], workers);
  }
}

template <class Scalar>
void RecurrentStack<Scalar>::backward(const PackedBatch& batch, const BatchRows<const Scalar>& x,
                                      const BatchRows<const Scalar>& dy,
                                      const BatchRows<Scalar>& dx, const Dropout& dropout,
                                      StackWorkspace<Scalar>& w, StackGradients<Scalar>* sums,
                                      Workers& workers, const GradientNorms* norms) const {
  const bool together = works_together(batch, workers.size());
  BatchRows<const Scalar> dy_here = dy;
  Index offset = n_parameters_;
  for (Index l = n_layers() - 1; l >= 0; --l) {
    const RecurrentLayer<Scalar>& here = layer(l);
    auto& memory = w.layers[static_cast<std::size_t>(l)];
    const BatchRows<const Scalar> input = layer_input(l, batch, x, dropout, w);
    const Index stride = round_up(here.input_size(), kBlock<Scalar>);
    const BatchRows<Scalar> dx_here =
        l == 0 ? dx : BatchRows<Scalar>{w.dx[static_cast<std::size_t>(l)].data(), stride, false};
    Index t_end = batch.n_steps();
    const bool noted = norms != nullptr && norms->layer == l;
    while (t_end > 0) {
      const Steps steps = noted ? Steps{t_end - 1, t_end} : here.steps_before(batch, t_end);
      if (noted) here.note_gradients(batch, steps.begin, dy_here, memory, *norms);
      if (together) {
        here.backward_together(batch, steps, dy_here, dx_here, memory, workers);
      } else {
        each_run(batch, workers, [&](Index n_begin, Index n_end) {
          here.backward(batch, steps, dy_here, dx_here, memory, n_begin, n_end);
        });
      }
      if (sums != nullptr && sums->direct == nullptr) {
        here.accumulate_gradients(batch, steps, input, memory,
                                  sums->layers[static_cast<std::size_t>(l)], workers);
      }
      t_end = steps.begin;
    }
    if (noted) {
      here.note_gradients(batch, -1, dy_here, memory, *norms);
      return;
    }
    offset -= here.n_parameters();
    if (sums != nullptr && sums->direct != nullptr) {
      here.add_gradients(batch, input, memory, sums->layers[static_cast<std::size_t>(l)],
                         !sums->begun, sums->direct + offset, workers);
    }
    if (l > 0 && dropout.active()) {
      workers.each_range(batch.n_sequences(), 1, [&](Index n_begin, Index n_end) {
        drop_input_gradient(l, batch, dropout, dx_here.data, n_begin, n_end);
      });
    }
    dy_here = {dx_here.data, dx_here.stride, false};
  }
  if (sums != nullptr) sums->begun = true;
}

template <class Scalar>
void RecurrentStack<Scalar>::get_gradients(const std::vector<StackGradients<Scalar>*>& parts,
                                           Scalar* gradient, Workers& workers) const {
  if (parts.front()->direct != nullptr) return;
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    std::vector<LayerGradients<Scalar>*> of_layer;
    of_layer.reserve(parts.size());
    for (StackGradients<Scalar>* part : parts) of_layer.push_back(&part->layers[l]);
    layers_[l].get_gradients(of_layer, gradient, workers);
    gradient += layers_[l].n_parameters();
  }
}

template <class Scalar>
double RecurrentStack<Scalar>::multiply_adds_per_row() const noexcept {
  double sum = 0;
  for (const auto& layer : layers_) {
    sum += layer.cell().multiply_adds(layer.input_size(), layer.hidden_size());
  }
  return sum;
}

template <class Scalar>
std::vector<Index> RecurrentStack<Scalar>::parts(const PackedBatch& batch, int n_threads) const {
  constexpr double kCacheBytes = 512 * 1024;
  constexpr Index kSequences = 96;  // small enough that the states of one stay in cache
  if (works_together(batch, n_threads)) return {0, batch.n_sequences()};
  const Index share = ceil_div(batch.n_sequences(), n_threads);
  const Index per_thread = weight_bytes() > kCacheBytes ? 1 : ceil_div(share, kSequences);
  return batch.split(std::max<Index>(1, n_threads * per_thread));
}

template <class Scalar>
std::vector<Index> RecurrentStack<Scalar>::gradient_parts(const PackedBatch& batch) const {
  constexpr Index kSequences = 16;  // tiles of 6, 5 and 5 rows; other sizes were not compared
  constexpr Index kMost = 16;       // each holds the gradient of all parameters
  if (sums_directly()) return {0, batch.n_sequences()};
  return batch.split(std::clamp(ceil_div(batch.n_sequences(), kSequences), Index{1}, kMost));
}

int useful_threads(double multiply_adds, int n_threads) noexcept {
  // 2e6 multiply-adds are 40 microseconds of one thread (Zen 4, 2026-11). On an idle machine a
  // second one pays from a quarter of that on; on a busy one its start and its end cost more.
  constexpr double kWorthOneThread = 2e6;
  const double worth = 1.0 + multiply_adds / kWorthOneThread;
  return worth < n_threads ? std::max(1, static_cast<int>(worth)) : std::max(1, n_threads);
}

template class RecurrentStack<float>;
template class RecurrentStack<double>;

}  // namespace lstmcore
