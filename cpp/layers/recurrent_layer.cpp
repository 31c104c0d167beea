// The loops over time: forward, BPTT. Weight gradients: recurrent_layer_gradients.cpp; memory:
// recurrent_layer_memory.cpp; the products with weights: gate_group.cpp.
#include "layers/recurrent_layer.hpp"

#include <algorithm>

namespace lstmcore {

template <class Scalar>
CellForward<Scalar> RecurrentLayer<Scalar>::forward_step(const PackedBatch& batch,
                                                         LayerWorkspace<Scalar>& w,
                                                         std::size_t group, Index t, Index n_begin,
                                                         Index n_end) const noexcept {
  const Index Hp = padded_hidden_size();
  const Index Pp = padded_output_size();
  // Where a row of this step stands in what keeps all rows, or the running ones alone.
  const Index of_batch = batch.offset(t) + n_begin;
  const Index row = w.keeps_history ? of_batch : n_begin;
  const Index n_rows = w.keeps_history ? batch.n_rows() : batch.n_sequences();
  const Index here = batch.history_row(t) + n_begin;
  const Index previous = batch.previous_history_row(t) + n_begin;
  CellForward<Scalar> step{};
  step.rows = std::min(n_end, batch.n_active(t)) - n_begin;
  step.block_end = n_blocks_;
  groups_[group].set_weights(step);
  const bool last = group + 1 == groups_.size();
  step.h_prev = projection_ ? nullptr : w.h.data() + previous * Hp;
  step.h_stride = Hp;
  if (multiplies_reset(group)) {
    step.recurrent = w.reset.data() + row * Hp;
  } else {
    step.recurrent = drops_hidden(w) ? w.masked.data() + of_batch * Pp : w.h.data() + previous * Pp;
  }
  step.from_zeros = t == 0 && w.from_zeros;
  if (!last) step.h_prev = step.recurrent;  // what the reset gate acts on
  step.recurrent_stride = Pp;
  step.h = !last         ? w.reset.data() + row * Hp
           : projection_ ? w.m.data() + row * Hp
                         : w.h.data() + here * Hp;
  if (cell_.has_cell_state()) {
    step.c_prev = w.c.data() + (w.keeps_history ? previous : n_begin) * B;
    step.c = w.c.data() + (w.keeps_history ? here : n_begin) * B;
    if (cell_.keeps_new_c()) step.new_c = w.new_c.data() + (step.c - w.c.data());
    step.c_block_stride = cell_stride(w, batch);
  }
  if (w.keeps_history || !last) {
    const Index width = groups_[group].n_gates() * B;
    step.gates = w.groups[group].gates.data() + row * width;
    step.gates_block_stride = n_rows * width;
  }
  if (w.keeps_history && cell_.has_cell_state()) {
    step.tanh_c = w.tanh_c.data() + row * B;
    step.tanh_c_block_stride = n_rows * B;
  }
  if (group > 0) {
    const Index width = groups_[group - 1].n_gates() * B;
    step.other_gates = w.groups[group - 1].gates.data() + row * width;
    step.other_block_stride = n_rows * width;
  }
  if (norm_) norm_->set_sums(step, w.norm, n_begin, batch.n_sequences());
  if (norm_ && w.keeps_history) norm_->set_history(step, w.norm, row, n_rows);
  step.options = &options_;
  set_masks(batch, w, of_batch, step);
  return step;
}

template <class Scalar>
void RecurrentLayer<Scalar>::forward(const PackedBatch& batch, const BatchRows<const Scalar>& x,
                                     LayerWorkspace<Scalar>& w, Index n_begin,
                                     Index n_end) const noexcept {
  for (Index t = 0; t < batch.n_steps() && batch.n_active(t) > n_begin; ++t) {
    if (drops_hidden(w)) mask_hidden(batch, w, t, n_begin, n_end, 0, n_output_blocks_);
    for (std::size_t group = 0; group < groups_.size(); ++group) {
      CellForward<Scalar> step = forward_step(batch, w, group, t, n_begin, n_end);
      step.x = x.at(batch, t) + n_begin * x.stride;
      step.x_stride = x.stride;
      groups_[group].forward(step, false);
      if (norm_) groups_[group].functions().finish_rows(step);
    }
    if (projection_) project(batch, w, t, n_begin, n_end, 0, n_output_blocks_);
    if (zones_out()) zone_out(batch, w, t, n_begin, n_end, 0, n_output_blocks_);
  }
}

template <class Scalar>
void RecurrentLayer<Scalar>::step(const PackedBatch& batch, const Scalar* x,
                                  LayerWorkspace<Scalar>& w, Index block_begin, Index block_end,
                                  bool descending) const noexcept {
  CellForward<Scalar> step = forward_step(batch, w, 0, 0, 0, batch.n_sequences());
  step.x = x;
  step.x_stride = input_size_;
  step.block_begin = block_begin;
  step.block_end = block_end;
  groups_.front().forward(step, descending);
  if (zones_out()) zone_out(batch, w, 0, 0, batch.n_sequences(), block_begin, block_end);
}

template <class Scalar>
Index RecurrentLayer<Scalar>::blocks_worth_a_thread(Index multiply_adds) noexcept {
  // A task that is shared costs about half a microsecond (Zen 4, 2026-11), in which one thread does
  // some 25,000 multiply-adds with weights from the second cache. One sequence of 128 units is 1.45
  // times as fast with two threads as with one, of 112 units 1.2 times (Zen 5, 2026-11); where both
  // threads get but one core's time, .74 and .7 times.
  constexpr Index kMultiplyAdds = 32768;
  return ceil_div(kMultiplyAdds, std::max(multiply_adds, Index{1}));
}

template <class Scalar>
void RecurrentLayer<Scalar>::forward_together(const PackedBatch& batch, const Scalar* x,
                                              Index x_stride, LayerWorkspace<Scalar>& w,
                                              Workers& workers) const {
  Index t_begin = 0;
  while (t_begin < batch.n_steps()) {
    // Steps whose inputs are multiplied in one product, which reads W_ih once for all of them; all
    // products have about as many rows.
    const Index first_row = batch.offset(t_begin);
    const Index left = batch.row_end(batch.n_steps() - 1) - first_row;
    const Index products = std::max<Index>(1, (left + kRowsTogether / 2) / kRowsTogether);
    const Index last_row = first_row + ceil_div(left, products);
    Index t_end = t_begin + 1;
    while (t_end < batch.n_steps() && batch.row_end(t_end) <= last_row) ++t_end;
    const Index rows = batch.row_end(t_end - 1) - first_row;
    std::vector<CellForward<Scalar>> starts(groups_.size());
    for (std::size_t group = 0; group < groups_.size(); ++group) {
      const Index width = groups_[group].n_gates() * B;
      CellForward<Scalar>& inputs = starts[group];
      inputs.rows = rows;
      groups_[group].set_weights(inputs);
      inputs.x = x + first_row * x_stride;
      inputs.x_stride = x_stride;
      // In training the stash is the place: the cell reads each start before it writes the gates.
      inputs.start_block_stride = (w.keeps_history ? batch.n_rows() : rows) * width;
      inputs.start = w.keeps_history
                         ? w.groups[group].gates.data() + first_row * width
                         : w.groups[group].starts.reserve(n_blocks_ * inputs.start_block_stride);
      workers.each_range(n_blocks_, 1, [&](Index begin, Index end) {
        CellForward<Scalar> part = inputs;
        part.block_begin = begin;
        part.block_end = end;
        groups_[group].inputs(part);
      });
    }
    for (Index t = t_begin; t < t_end; ++t) {
      if (drops_hidden(w)) {
        workers.each_range(n_output_blocks_, 4, [&](Index begin, Index end) {
          mask_hidden(batch, w, t, 0, batch.n_sequences(), begin, end);
        });
      }
      for (std::size_t group = 0; group < groups_.size(); ++group) {
        CellForward<Scalar> step = forward_step(batch, w, group, t, 0, batch.n_sequences());
        step.start =
            starts[group].start + (batch.offset(t) - first_row) * groups_[group].n_gates() * B;
        step.start_block_stride = starts[group].start_block_stride;
        workers.each_range(n_blocks_, blocks_worth_a_thread(cell_work(group, step.rows)),
                           [&](Index begin, Index end) {
                             CellForward<Scalar> part = step;
                             part.block_begin = begin;
                             part.block_end = end;
                             groups_[group].forward(part, t % 2 == 1);
                           });
        if (!norm_) continue;
        workers.each_range(step.rows, 1, [&](Index begin, Index end) {
          groups_[group].functions().finish_rows(forward_step(batch, w, group, t, begin, end));
        });
      }
      if (projection_) {
        const Index work = B * hidden_size_ * batch.n_active(t);
        workers.each_range(n_output_blocks_, round_up(blocks_worth_a_thread(work), 4),
                           [&](Index begin, Index end) {
                             project(batch, w, t, 0, batch.n_sequences(), begin, end);
                           });
      }
      if (zones_out()) {
        workers.each_range(n_output_blocks_, 4, [&](Index begin, Index end) {
          zone_out(batch, w, t, 0, batch.n_sequences(), begin, end);
        });
      }
    }
    t_begin = t_end;
  }
}

template <class Scalar>
CellBackward<Scalar> RecurrentLayer<Scalar>::backward_step(
    const PackedBatch& batch, const BatchRows<const Scalar>& dy, LayerWorkspace<Scalar>& w,
    std::size_t group, Index t, Index n_begin, Index n_end) const noexcept {
  const Index Hp = padded_hidden_size();
  const Index R = batch.n_rows();
  const Index row = batch.offset(t) + n_begin;
  const Index previous = batch.previous_history_row(t) + n_begin;
  const Index width = groups_[group].n_gates() * B;
  CellBackward<Scalar> step{};
  step.rows = std::min(n_end, batch.n_active(t)) - n_begin;
  step.block_end = n_blocks_;
  step.h_stride = Hp;
  if (projection_) {
    step.dh = w.dm.data() + n_begin * Hp;
  } else {
    const bool has_dy = dy.data != nullptr && !gathers(w);
    step.dy = has_dy ? dy.at(batch, t) + n_begin * dy.stride : nullptr;
    step.dy_before = has_dy && t > 0 ? dy.at(batch, t - 1) + n_begin * dy.stride : nullptr;
    step.dy_size = hidden_size_;
    step.dy_stride = dy.stride;
    step.dh = w.dh.data() + n_begin * Hp;
    step.h_prev = w.h.data() + previous * Hp;
  }
  if (group + 1 < groups_.size() && drops_hidden(w)) {
    step.h_prev = w.masked.data() + row * Hp;
    step.dh = w.dmasked.data() + n_begin * Hp;
  }
  step.gates = w.groups[group].gates.data() + row * width;
  step.gates_block_stride = R * width;
  if (cell_.has_cell_state()) {
    step.dc = w.dc.data() + n_begin * B;
    step.dc_block_stride = batch.n_sequences() * B;
    step.c_prev = w.c.data() + previous * B;
    step.c = w.made_c(cell_) + (batch.history_row(t) + n_begin) * B;
    step.c_block_stride = cell_stride(w, batch);
    step.tanh_c = w.tanh_c.data() + row * B;
    step.tanh_c_block_stride = R * B;
  }
  if (group > 0) {
    const Index other_width = groups_[group - 1].n_gates() * B;
    step.other_gates = w.groups[group - 1].gates.data() + row * other_width;
    step.other_block_stride = R * other_width;
  } else if (groups_.size() > 1) {
    step.drecurrent = w.dreset.data() + n_begin * Hp;
  }
  if (norm_) norm_->set_history(step, w.norm, row, R);
  step.options = &options_;
  set_masks(batch, w, row, step);
  return step;
}

template <class Scalar>
void RecurrentLayer<Scalar>::project(const PackedBatch& batch, LayerWorkspace<Scalar>& w, Index t,
                                     Index n_begin, Index n_end, Index block_begin,
                                     Index block_end) const noexcept {
  const Index row = w.keeps_history ? batch.offset(t) + n_begin : n_begin;
  // NOLINTNEXTLINE(bugprone-unchecked-optional-access): asked for only where there is one.
  projection_->forward(w.m.data() + row * padded_hidden_size(),
                       w.h.data() + (batch.history_row(t) + n_begin) * padded_output_size(),
                       std::min(n_end, batch.n_active(t)) - n_begin, block_begin, block_end);
}

template <class Scalar>
void RecurrentLayer<Scalar>::project_back(const PackedBatch& batch, LayerWorkspace<Scalar>& w,
                                          Index t, Index n_begin, Index n_end, Index block_begin,
                                          Index block_end) const noexcept {
  // NOLINTNEXTLINE(bugprone-unchecked-optional-access): asked for only where there is one.
  projection_->backward(w.dwhole.data() + (batch.offset(t) + n_begin) * padded_output_size(),
                        w.dm.data() + n_begin * padded_hidden_size(),
                        std::min(n_end, batch.n_active(t)) - n_begin, block_begin, block_end);
}

template <class Scalar>
void RecurrentLayer<Scalar>::hidden_gradient(const PackedBatch& batch, LayerWorkspace<Scalar>& w,
                                             std::size_t group, Index t, Index n_begin, Index n_end,
                                             Index block_begin, Index block_end) const noexcept {
  const Index rows = std::min(n_end, batch.n_active(t)) - n_begin;
  const bool reset = multiplies_reset(group);
  const bool masked = !reset && drops_hidden(w);
  const bool adds = masked ? groups_.size() > 1 : !reset && cell_.carries_hidden();
  Scalar* to = (reset    ? w.dreset
                : masked ? w.dmasked
                         : w.dh)
                   .data() +
               n_begin * padded_output_size();
  groups_[group].hidden_gradient(w.groups[group], batch.n_rows(), batch.offset(t) + n_begin, rows,
                                 block_begin, block_end, adds, to);
}

template <class Scalar>
void RecurrentLayer<Scalar>::input_gradient(const PackedBatch& batch,
                                            const LayerWorkspace<Scalar>& w, Index row, Index rows,
                                            Scalar* dx) const noexcept {
  for (std::size_t group = 0; group < groups_.size(); ++group) {
    groups_[group].input_gradient(w.groups[group], batch.n_rows(), row, rows, group > 0, dx);
  }
}

template <class Scalar>
Index RecurrentLayer<Scalar>::rows_of_run() const noexcept {
  constexpr Index kBytes = 512 * 1024;  // of gate gradients
  constexpr Index kRows = 128;          // but not fewer: each run reads and writes all gradients
  const Index row_bytes =
      cell_.n_gates() * padded_hidden_size() * static_cast<Index>(sizeof(Scalar));
  return std::max(kRows, kBytes / row_bytes);
}

template <class Scalar>
void RecurrentLayer<Scalar>::backward(const PackedBatch& batch, Steps steps,
                                      const BatchRows<const Scalar>& dy,
                                      const BatchRows<Scalar>& dx, LayerWorkspace<Scalar>& w,
                                      Index n_begin, Index n_end) const noexcept {
  if (n_begin >= n_end) return;
  for (Index t = std::min(steps.end, batch.length(n_begin)) - 1; t >= steps.begin; --t) {
    Index rows = 0;
    if (gathers(w)) gather_gradient(batch, dy, w, t, n_begin, n_end, 0, n_output_blocks_);
    if (projection_) project_back(batch, w, t, n_begin, n_end, 0, n_blocks_);
    for (std::size_t group = groups_.size(); group-- > 0;) {
      const CellBackward<Scalar> step = backward_step(batch, dy, w, group, t, n_begin, n_end);
      groups_[group].functions().backward(step);
      rows = step.rows;
      if (group == 0 && !w.hands_on(t)) continue;
      hidden_gradient(batch, w, group, t, n_begin, n_end, 0, n_output_blocks_);
    }
    if (finishes(w) && w.hands_on(t)) {
      finish_gradient(batch, w, t, n_begin, n_end, 0, n_output_blocks_);
    }
    if (dx.data == nullptr) continue;
    input_gradient(batch, w, batch.offset(t) + n_begin, rows,
                   dx.at(batch, t) + n_begin * dx.stride);
  }
}

template <class Scalar>
void RecurrentLayer<Scalar>::backward_together(const PackedBatch& batch, Steps steps,
                                               const BatchRows<const Scalar>& dy,
                                               const BatchRows<Scalar>& dx,
                                               LayerWorkspace<Scalar>& w,
                                               Workers& workers) const noexcept {
  const Index N = batch.n_sequences();
  // One task for each group of a step: who has the gradients that the product before gave for some
  // units goes on with their gates.
  const auto n_groups = static_cast<Index>(groups_.size());
  const Index n_tasks = (steps.end - steps.begin) * n_groups;
  const auto step_of = [&](Index task) { return steps.end - 1 - task / n_groups; };
  const auto group_of = [&](Index task) {
    return static_cast<std::size_t>(n_groups - 1 - task % n_groups);
  };
  // The last of all multiplies what the last cell left, where somebody reads it.
  const Index n_products = w.hands_on(steps.begin) ? n_tasks : n_tasks - 1;
  for (Index task = 0; task <= n_products; ++task) {
    const Index rows = batch.n_active(std::max(step_of(task), steps.begin));
    const Index work = cell_work(group_of(task), rows);
    const Index grain = round_up(blocks_worth_a_thread(work), 4);
    if (projection_) {
      // What is multiplied back is not what the cells need: all of it before any of them goes on.
      workers.each_range(n_output_blocks_, grain, [&](Index begin, Index end) {
        if (task > 0) {
          hidden_gradient(batch, w, 0, step_of(task - 1), 0, N, begin, end);
          if (finishes(w)) finish_gradient(batch, w, step_of(task - 1), 0, N, begin, end);
        }
        if (task < n_tasks) gather_gradient(batch, dy, w, step_of(task), 0, N, begin, end);
      });
      if (task == n_tasks) break;
    }
    workers.each_range(n_blocks_, grain, [&](Index begin, Index end) {
      if (projection_) {
        project_back(batch, w, step_of(task), 0, N, begin, end);
      } else if (task > 0) {
        hidden_gradient(batch, w, group_of(task - 1), step_of(task - 1), 0, N, begin, end);
        const bool ends_step = group_of(task - 1) == 0;
        if (ends_step && finishes(w)) {
          finish_gradient(batch, w, step_of(task - 1), 0, N, begin, end);
        }
      }
      if (task == n_tasks) return;
      const bool begins_step = group_of(task) + 1 == groups_.size();
      if (begins_step && gathers(w) && !projection_) {
        gather_gradient(batch, dy, w, step_of(task), 0, N, begin, end);
      }
      if (norm_) return;
      CellBackward<Scalar> step = backward_step(batch, dy, w, group_of(task), step_of(task), 0, N);
      step.block_begin = begin;
      step.block_end = end;
      groups_[group_of(task)].functions().backward(step);
    });
    if (task == n_tasks || !norm_) continue;
    workers.each_range(rows, 1, [&](Index begin, Index end) {
      const std::size_t group = group_of(task);
      groups_[group].functions().backward(
          backward_step(batch, dy, w, group, step_of(task), begin, end));
    });
  }
  if (dx.data == nullptr) return;
  const Index first_row = batch.offset(steps.begin);
  workers.each_range(batch.row_end(steps.end - 1) - first_row, 6, [&](Index begin, Index end) {
    const Index row = first_row + begin;
    input_gradient(batch, w, row, end - begin, dx.data + row * dx.stride);
  });
}

template class RecurrentLayer<float>;
template class RecurrentLayer<double>;

}  // namespace lstmcore
