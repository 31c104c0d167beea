// What passes between the levels of a stack, and the memory for it. The loops: recurrent_stack.cpp.
#include <algorithm>

#include "layers/recurrent_stack.hpp"

namespace lstmcore {

template <class Scalar>
void RecurrentStack<Scalar>::reserve(StackWorkspace<Scalar>& w, const PackedBatch& batch,
                                     const ForwardPlan& plan, const Dropout& dropout) const {
  w.layers.resize(layers_.size());
  w.levels.resize(spec_.hidden_sizes.size());
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    layers_[l].reserve(w.layers[l], batch, plan, dropout.draws());
  }
  for (Index level = 0; level < n_levels(); ++level) {
    LevelWorkspace<Scalar>& memory = w.levels[static_cast<std::size_t>(level)];
    const Index width = level == 0 ? input_size() : padded_output_size(level - 1);
    const Index rows = batch.n_rows();
    if (level > 0 && dropout.active()) memory.dropped.reserve(checked_product(rows, width));
    if (spec_.bidirectional) memory.reversed.reserve(checked_product(rows, width));
    if (!assembles(level)) continue;
    memory.output.reserve(checked_product(batch.n_history_rows(), padded_output_size(level)));
  }
}

template <class Scalar>
void RecurrentStack<Scalar>::reserve_gradients(StackWorkspace<Scalar>& w, const PackedBatch& batch,
                                               bool needs_dstate) const {
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    layers_[l].reserve_gradients(w.layers[l], batch);
    w.layers[l].needs_dstate = needs_dstate;
  }
  for (Index level = 0; level < n_levels(); ++level) {
    LevelWorkspace<Scalar>& memory = w.levels[static_cast<std::size_t>(level)];
    const Index size = checked_product(batch.n_rows(), padded_input_size(level));
    if (level > 0) memory.dx.reserve(size);
    if (!spec_.bidirectional) continue;
    if (level > 0 || spec_.with_dx) memory.reversed_dx.reserve(size);
    for (AlignedBuffer<Scalar>& dy : memory.dy) {
      dy.reserve(checked_product(batch.n_rows(), layer(layer_of(level, 0)).padded_output_size()));
    }
  }
}

template <class Scalar>
BatchRows<const Scalar> RecurrentStack<Scalar>::output(
    Index level, const PackedBatch& batch, const StackWorkspace<Scalar>& w) const noexcept {
  const Index width = padded_output_size(level);
  const auto index = static_cast<std::size_t>(level);
  if (!assembles(level)) return {layer(level).output(w.layers[index], batch), width, false};
  return {w.levels[index].output.data() + batch.n_sequences() * width, width, false};
}

template <class Scalar>
BatchRows<const Scalar> RecurrentStack<Scalar>::below(
    Index level, const PackedBatch& batch, const BatchRows<const Scalar>& x,
    const StackWorkspace<Scalar>& w) const noexcept {
  if (level == 0) return x;
  return output(level - 1, batch, w);
}

template <class Scalar>
BatchRows<const Scalar> RecurrentStack<Scalar>::input(
    Index level, Index direction, const PackedBatch& batch, const BatchRows<const Scalar>& x,
    const Dropout& dropout, const StackWorkspace<Scalar>& w) const noexcept {
  const LevelWorkspace<Scalar>& memory = w.levels[static_cast<std::size_t>(level)];
  const BatchRows<const Scalar> rows = below(level, batch, x, w);
  if (direction == 1) return {memory.reversed.data(), rows.stride, false};
  if (level > 0 && dropout.active()) return {memory.dropped.data(), rows.stride, false};
  return rows;
}

template <class Scalar>
void RecurrentStack<Scalar>::prepare(Index level, const PackedBatch& batch,
                                     const BatchRows<const Scalar>& x, const Dropout& dropout,
                                     StackWorkspace<Scalar>& w, Index n_begin,
                                     Index n_end) const noexcept {
  LevelWorkspace<Scalar>& memory = w.levels[static_cast<std::size_t>(level)];
  const BatchRows<const Scalar> rows = below(level, batch, x, w);
  if (level > 0 && dropout.active()) {
    drop_rows(*kernels_, dropout, batch, level, rows,
              BatchRows<Scalar>{memory.dropped.data(), rows.stride, false}, n_begin, n_end);
  }
  if (!spec_.bidirectional) return;
  copy_rows(batch, RowOrder::kReversed, input(level, 0, batch, x, dropout, w), rows.stride,
            BatchRows<Scalar>{memory.reversed.data(), rows.stride, false}, rows.stride, n_begin,
            n_end);
}

template <class Scalar>
void RecurrentStack<Scalar>::assemble(Index level, const PackedBatch& batch,
                                      const BatchRows<const Scalar>& x, StackWorkspace<Scalar>& w,
                                      Index n_begin, Index n_end) const noexcept {
  if (!assembles(level)) return;
  const Index width = padded_output_size(level);
  Scalar* history = w.levels[static_cast<std::size_t>(level)].output.data();
  std::fill(history + n_begin * width, history + n_end * width, Scalar{0});
  Scalar* first = history + batch.n_sequences() * width;
  const Index directions = spec_.n_directions();
  for (Index direction = 0; direction < directions; ++direction) {
    const Index l = layer_of(level, direction);
    const Index H = layer(l).output_size();
    const BatchRows<const Scalar> h{layer(l).output(w.layers[static_cast<std::size_t>(l)], batch),
                                    layer(l).padded_output_size(), false};
    // The last of them fills what is left of a row with zeros.
    const Index filled = direction + 1 == directions ? width - direction * H : H;
    copy_rows(batch, direction == 0 ? RowOrder::kSame : RowOrder::kReversed, h, H,
              BatchRows<Scalar>{first + direction * H, width, false}, filled, n_begin, n_end);
  }
  if (!is_residual(level)) return;
  add_rows(batch, RowOrder::kSame, below(level, batch, x, w),
           BatchRows<Scalar>{first, width, false}, width, n_begin, n_end);
}

template <class Scalar>
void RecurrentStack<Scalar>::split_gradient(Index level, const PackedBatch& batch,
                                            const BatchRows<const Scalar>& dy,
                                            LevelWorkspace<Scalar>& w, Index n_begin,
                                            Index n_end) const noexcept {
  const RecurrentLayer<Scalar>& here = layer(layer_of(level, 0));
  const Index H = here.output_size();
  const Index Hp = here.padded_output_size();
  for (Index direction = 0; direction < 2; ++direction) {
    copy_rows(batch, direction == 0 ? RowOrder::kSame : RowOrder::kReversed,
              BatchRows<const Scalar>{dy.data + direction * H, dy.stride, dy.of_whole}, H,
              BatchRows<Scalar>{w.dy[direction].data(), Hp, false}, Hp, n_begin, n_end);
  }
}

template <class Scalar>
void RecurrentStack<Scalar>::join_gradient(Index level, const PackedBatch& batch,
                                           const BatchRows<const Scalar>& dy,
                                           const BatchRows<Scalar>& dx, const Dropout& dropout,
                                           const LevelWorkspace<Scalar>& w, Index n_begin,
                                           Index n_end) const noexcept {
  if (spec_.bidirectional) {
    add_rows(batch, RowOrder::kReversed,
             BatchRows<const Scalar>{w.reversed_dx.data(), dx.stride, false}, dx, dx.stride,
             n_begin, n_end);
  }
  if (level > 0 && dropout.active()) {
    drop_rows(*kernels_, dropout, batch, level,
              BatchRows<const Scalar>{dx.data, dx.stride, dx.of_whole}, dx, n_begin, n_end);
  }
  if (is_residual(level) && dy.data != nullptr) {
    add_rows(batch, RowOrder::kSame, dy, dx, dx.stride, n_begin, n_end);
  }
}

template <class Scalar>
void RecurrentStack<Scalar>::get_output(const StackWorkspace<Scalar>& w, const PackedBatch& batch,
                                        Scalar* y, Index n_begin, Index n_end) const noexcept {
  if (output_is_h()) {
    layers_.back().get_output(w.layers.back(), batch, y, n_begin, n_end);
    return;
  }
  const Index size = output_size();
  copy_rows(batch, RowOrder::kSame, output(n_levels() - 1, batch, w), size,
            BatchRows<Scalar>{y, size, true}, size, n_begin, n_end);
}

template class RecurrentStack<float>;
template class RecurrentStack<double>;
}  // namespace lstmcore
