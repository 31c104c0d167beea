// How threads go through the levels of a stack, forward and back. What passes between them:
// recurrent_stack_rows.cpp.
#include "layers/recurrent_stack.hpp"

#include <algorithm>

namespace lstmcore {

template <class Scalar>
RecurrentStack<Scalar>::RecurrentStack(const StackSpec& spec, const KernelTable<Scalar>& kernels)
    : spec_(spec), kernels_(&kernels) {
  layers_.reserve(static_cast<std::size_t>(spec.n_levels() * spec.n_directions()));
  for (Index level = 0; level < spec.n_levels(); ++level) {
    for (Index direction = 0; direction < spec.n_directions(); ++direction) {
      layers_.emplace_back(spec.cell, spec.input_size_of(level),
                           spec.hidden_sizes[static_cast<std::size_t>(level)],
                           spec.with_dx || level > 0, kernels);
      n_parameters_ += layers_.back().n_parameters();
      const Index rows = layers_.back().rows_of_run();
      rows_of_run_ = layers_.size() == 1 ? rows : std::min(rows, rows_of_run_);
    }
  }
}

template <class Scalar>
Index RecurrentStack<Scalar>::state_size() const noexcept {
  Index size = 0;
  for (const auto& layer : layers_) {
    size += layer.output_size() + (cell().has_cell_state() ? layer.hidden_size() : Index{0});
  }
  return size;
}

template <class Scalar>
template <class Body>
void RecurrentStack<Scalar>::each_state(Scalar* states, Index n_sequences, Body&& body) const {
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    Scalar* hidden = states;
    states += n_sequences * layers_[l].output_size();
    Scalar* cell_state = states;
    if (cell().has_cell_state()) states += n_sequences * layers_[l].hidden_size();
    body(layers_[l], l, hidden, cell_state);
  }
}

template <class Scalar>
void RecurrentStack<Scalar>::set_initial_states(StackWorkspace<Scalar>& w, const PackedBatch& batch,
                                                Scalar* states, Index n_rows, Index n_begin,
                                                Index n_end) const noexcept {
  each_state(states, n_rows, [&](const auto& layer, std::size_t l, Scalar* h, Scalar* c) {
    layer.set_initial_state(w.layers[l], batch, h, c, n_begin, n_end);
  });
}

template <class Scalar>
void RecurrentStack<Scalar>::get_final_states(const StackWorkspace<Scalar>& w,
                                              const PackedBatch& batch, Scalar* states,
                                              Index n_rows) const noexcept {
  each_state(states, n_rows, [&](const auto& layer, std::size_t l, Scalar* h, Scalar* c) {
    layer.get_final_state(w.layers[l], batch, h, c);
  });
}

template <class Scalar>
void RecurrentStack<Scalar>::set_state_gradients(StackWorkspace<Scalar>& w,
                                                 const PackedBatch& batch, Scalar* gradients,
                                                 Index n_rows) const noexcept {
  each_state(gradients, n_rows, [&](const auto& layer, std::size_t l, Scalar* h, Scalar* c) {
    layer.set_state_gradient(w.layers[l], batch, h, c, 0, batch.n_sequences());
  });
}

template <class Scalar>
void RecurrentStack<Scalar>::get_state_gradients(const StackWorkspace<Scalar>& w,
                                                 const PackedBatch& batch, Scalar* gradients,
                                                 Index n_rows) const noexcept {
  each_state(gradients, n_rows, [&](const auto& layer, std::size_t l, Scalar* h, Scalar* c) {
    layer.get_state_gradient(w.layers[l], batch, h, c);
  });
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
void RecurrentStack<Scalar>::reserve_sums(StackGradients<Scalar>& sums, int n_threads) const {
  sums.layers.resize(layers_.size());
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    layers_[l].reserve_sums(sums.layers[l], !sums_directly(), n_threads);
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
void RecurrentStack<Scalar>::forward_apart(const PackedBatch& batch,
                                           const BatchRows<const Scalar>& x, const Dropout& dropout,
                                           StackWorkspace<Scalar>& w, Index n_begin,
                                           Index n_end) const noexcept {
  for (Index level = 0; level < n_levels(); ++level) {
    prepare(level, batch, x, dropout, w, n_begin, n_end);
    for (Index direction = 0; direction < spec_.n_directions(); ++direction) {
      const Index l = layer_of(level, direction);
      auto& memory = w.layers[static_cast<std::size_t>(l)];
      layer(l).draw_masks(batch, dropout, l, memory, n_begin, n_end);
      layer(l).forward(batch, input(level, direction, batch, x, dropout, w), memory, n_begin,
                       n_end);
    }
    assemble(level, batch, x, w, n_begin, n_end);
  }
}

template <class Scalar>
bool RecurrentStack<Scalar>::works_together(const PackedBatch& batch,
                                            int n_threads) const noexcept {
  // Measured on 2 cores of a Zen 4 (1 MiB second cache a core, 32 MiB third), 2026-11, GFLOP/s of
  // inference apart and together: H 1536 N 8 85 and 178, H 1024 N 16 156 and 217, N 64 201 and 218;
  // H 512 N 16 226 and 224; H 256 N 4 153 and 208, N 8 219 and 216; H 128 N 4 136 and 130.
  // And of a Xeon (2 MiB, third cache as slow as memory): H 512 N 8 89 and 174, N 16 114 and 155,
  // N 32 172 and 166; H 256 N 8 121 and 198, N 16 141 and 194, N 32 183 and 204; H 128 N 4 71 and
  // 111, N 16 119 and 137; with 64 inputs N 8 112 and 105, N 16 156 and 165; H 64 N 16 119 and 102.
  // Training gains less where N is 8 and more where it is 16. Of sequences of 5 to 64 steps, many
  // of which end early, together against apart: H 512 N 32 training 1.14, inference 1.05, N 48 1.16
  // and .92; H 256 N 32 .99 and 1.05, N 48 1.00 and .98.
  constexpr double kBeyondCache = 16 << 20;  // bytes that the threads had better read only once
  constexpr double kWorthATask = 384 << 10;  // of a layer; below, handing over costs what it saves
  constexpr Index kFew = 16;                 // of a step's rows, a thread's: three tiles
  const Index N = batch.n_sequences();
  if (batch.is_part()) return false;
  return N == 1 || weight_bytes() > kBeyondCache ||
         (weight_bytes() >= kWorthATask * static_cast<double>(layers_.size()) &&
          batch.n_rows() < kFew * n_threads * batch.n_steps());
}

template <class Scalar>
bool RecurrentStack<Scalar>::parts_directions(const PackedBatch& batch,
                                              int n_threads) const noexcept {
  constexpr Index kMostSequences = 8;
  return spec_.bidirectional && !batch.is_part() && (n_threads == 2 || n_threads == 3) &&
         batch.n_sequences() <= kMostSequences;
}

template <class Scalar>
void RecurrentStack<Scalar>::forward_together(const PackedBatch& batch,
                                              const BatchRows<const Scalar>& x,
                                              const Dropout& dropout, StackWorkspace<Scalar>& w,
                                              Workers& workers) const {
  const Index N = batch.n_sequences();
  for (Index level = 0; level < n_levels(); ++level) {
    each_run(batch, workers, [&](Index n_begin, Index n_end) {
      prepare(level, batch, x, dropout, w, n_begin, n_end);
      for (Index direction = 0; direction < spec_.n_directions(); ++direction) {
        const Index l = layer_of(level, direction);
        layer(l).draw_masks(batch, dropout, l, w.layers[static_cast<std::size_t>(l)], n_begin,
                            n_end);
      }
    });
    const auto input_of = [&](Index direction) {
      return input(level, direction, batch, x, dropout, w);
    };
    if (parts_directions(batch, workers.size())) {
      workers.each(2, [&](Index direction) {
        const Index l = layer_of(level, direction);
        layer(l).forward(batch, input_of(direction), w.layers[static_cast<std::size_t>(l)], 0, N);
      });
    } else {
      for (Index direction = 0; direction < spec_.n_directions(); ++direction) {
        const Index l = layer_of(level, direction);
        const BatchRows<const Scalar> rows = input_of(direction);
        layer(l).forward_together(batch, rows.data, rows.stride,
                                  w.layers[static_cast<std::size_t>(l)], workers);
      }
    }
    each_run(batch, workers,
             [&](Index n_begin, Index n_end) { assemble(level, batch, x, w, n_begin, n_end); });
  }
}

template <class Scalar>
void RecurrentStack<Scalar>::backward_layer(Index l, const PackedBatch& batch,
                                            const BatchRows<const Scalar>& input,
                                            const BatchRows<const Scalar>& dy,
                                            const BatchRows<Scalar>& dx, LayerWorkspace<Scalar>& w,
                                            StackGradients<Scalar>* sums, bool together,
                                            Workers& workers, const GradientNorms* norms) const {
  const RecurrentLayer<Scalar>& here = layer(l);
  const bool noted = norms != nullptr && norms->layer == l;
  if (noted) w.needs_dstate = true;
  Index t_end = batch.n_steps();
  while (t_end > 0) {
    const Steps steps = noted ? Steps{t_end - 1, t_end} : steps_before(batch, t_end);
    if (noted) here.note_gradients(batch, steps.begin, dy, w, *norms);
    if (together) {
      here.backward_together(batch, steps, dy, dx, w, workers);
    } else {
      each_run(batch, workers, [&](Index n_begin, Index n_end) {
        here.backward(batch, steps, dy, dx, w, n_begin, n_end);
      });
    }
    if (sums != nullptr && sums->direct == nullptr) {
      here.accumulate_gradients(batch, steps, input, w, sums->layers[static_cast<std::size_t>(l)],
                                workers);
    }
    t_end = steps.begin;
  }
  if (sums != nullptr && sums->direct != nullptr) {
    here.add_gradients(batch, input, w, sums->layers[static_cast<std::size_t>(l)], rows_of_run_,
                       !sums->begun, sums->direct + parameter_offset(l), workers);
  }
  if (noted) here.note_gradients(batch, -1, dy, w, *norms);
}

template <class Scalar>
void RecurrentStack<Scalar>::backward(const PackedBatch& batch, const BatchRows<const Scalar>& x,
                                      const BatchRows<const Scalar>& dy,
                                      const BatchRows<Scalar>& dx, const Dropout& dropout,
                                      StackWorkspace<Scalar>& w, StackGradients<Scalar>* sums,
                                      Workers& workers, const GradientNorms* norms) const {
  const bool by_direction = parts_directions(batch, workers.size());
  const bool together = works_together(batch, workers.size());
  BatchRows<const Scalar> dy_here = dy;
  const Index lowest = norms == nullptr ? 0 : norms->layer / spec_.n_directions();
  for (Index level = n_levels() - 1; level >= lowest; --level) {
    LevelWorkspace<Scalar>& memory = w.levels[static_cast<std::size_t>(level)];
    const Index width = padded_input_size(level);
    const BatchRows<Scalar> dx_here =
        level == 0 ? dx : BatchRows<Scalar>{memory.dx.data(), width, false};
    const bool splits = spec_.bidirectional && dy_here.data != nullptr;
    if (splits) {
      each_run(batch, workers, [&](Index n_begin, Index n_end) {
        split_gradient(level, batch, dy_here, memory, n_begin, n_end);
      });
    }
    const auto go_back = [&](Index direction, Workers& its_workers) {
      const Index l = layer_of(level, direction);
      const BatchRows<const Scalar> its_dy{memory.dy[direction].data(),
                                           layer(l).padded_output_size(), false};
      const BatchRows<Scalar> reversed_dx{
          dx_here.data == nullptr ? nullptr : memory.reversed_dx.data(), width, false};
      backward_layer(l, batch, input(level, direction, batch, x, dropout, w),
                     splits ? its_dy : dy_here, direction == 0 ? dx_here : reversed_dx,
                     w.layers[static_cast<std::size_t>(l)], sums, together && !by_direction,
                     its_workers, norms);
    };
    if (by_direction) {
      workers.each(2, [&](Index direction) {
        Workers alone(1);
        go_back(direction, alone);
      });
    } else {
      for (Index d = 0; d < spec_.n_directions(); ++d) go_back(d, workers);
    }
    if (dx_here.data == nullptr) break;
    if (spec_.bidirectional || (level > 0 && (dropout.active() || spec_.residual))) {
      each_run(batch, workers, [&](Index n_begin, Index n_end) {
        join_gradient(level, batch, dy_here, dx_here, dropout, memory, n_begin, n_end);
      });
    }
    dy_here = {dx_here.data, width, dx_here.of_whole};
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
  if (works_together(batch, n_threads) || parts_directions(batch, n_threads)) {
    return {0, batch.n_sequences()};
  }
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
