// The loops over time: forward, BPTT, weight gradients. Memory and layouts:
// recurrent_layer_memory.cpp.
#include <algorithm>

#include "layers/recurrent_layer.hpp"

namespace lstmcore {

template <class Scalar>
CellForward<Scalar> RecurrentLayer<Scalar>::forward_step(const PackedBatch& batch,
                                                         LayerWorkspace<Scalar>& w, Index t,
                                                         Index n_begin,
                                                         Index n_end) const noexcept {
  const Index Hp = padded_hidden_size();
  const Index R = batch.n_rows();
  const Index row = batch.offset(t) + n_begin;
  const Index here = batch.history_row(t) + n_begin;
  const Index previous = batch.previous_history_row(t) + n_begin;
  CellForward<Scalar> step{};
  step.rows = std::min(n_end, batch.n_active(t)) - n_begin;
  step.block_end = n_blocks_;
  step.input_size = input_size_;
  step.hidden_size = hidden_size_;
  step.h_prev = w.h.data() + previous * Hp;
  step.h = w.h.data() + here * Hp;
  step.h_stride = Hp;
  step.c_prev = w.c.data() + (w.keeps_history ? previous : n_begin) * B;
  step.c = w.c.data() + (w.keeps_history ? here : n_begin) * B;
  step.c_block_stride = cell_stride(w, batch);
  step.panels = forward_panels_.data();
  step.bias = bias_.data();
  if (w.keeps_history) {
    step.gates = w.gates.data() + row * 4 * B;
    step.gates_block_stride = R * 4 * B;
    step.tanh_c = w.tanh_c.data() + row * B;
    step.tanh_c_block_stride = R * B;
  }
  return step;
}

template <class Scalar>
void RecurrentLayer<Scalar>::forward(const PackedBatch& batch, const Scalar* x, Index x_stride,
                                     LayerWorkspace<Scalar>& w, Index n_begin,
                                     Index n_end) const noexcept {
  for (Index t = 0; t < batch.n_steps() && batch.n_active(t) > n_begin; ++t) {
    CellForward<Scalar> step = forward_step(batch, w, t, n_begin, n_end);
    step.x = x + (batch.offset(t) + n_begin) * x_stride;
    step.x_stride = x_stride;
    kernels_->cell_forward(step);
  }
}

template <class Scalar>
Index RecurrentLayer<Scalar>::blocks_worth_a_thread(Index rows) const noexcept {
  // A task that is shared costs about half a microsecond (Zen 4, 2026-11), in which one thread does
  // some 25,000 multiply-adds with weights from the second cache.
  constexpr Index kMultiplyAdds = 65536;
  return ceil_div(kMultiplyAdds, 4 * B * hidden_size_ * rows);
}

template <class Scalar>
void RecurrentLayer<Scalar>::forward_together(const PackedBatch& batch, const Scalar* x,
                                              Index x_stride, LayerWorkspace<Scalar>& w,
                                              Workers& workers) const {
  Index t_begin = 0;
  while (t_begin < batch.n_steps()) {
    // Steps whose inputs are multiplied in one product, which reads W_ih once for all of them.
    Index t_end = t_begin + 1;
    Index rows = batch.n_active(t_begin);
    while (t_end < batch.n_steps() && rows + batch.n_active(t_end) <= kRowsTogether) {
      rows += batch.n_active(t_end++);
    }
    const Index first_row = batch.offset(t_begin);
    // In training the stash is the place: the cell reads each start before it writes the gates.
    const Index stride = (w.keeps_history ? batch.n_rows() : rows) * 4 * B;
    Scalar* start =
        w.keeps_history ? w.gates.data() + first_row * 4 * B : w.starts.reserve(n_blocks_ * stride);
    workers.each_range(n_blocks_, 1, [&](Index begin, Index end) {
      PanelGemm<Scalar> product{};
      product.rows = rows;
      product.a = x + first_row * x_stride;
      product.a_row_stride = x_stride;
      product.n_k_blocks = 1;
      product.k_block = input_size_;
      product.panel_stride = panel_rows() * 4 * B;
      product.panels = forward_panels_.data() + begin * product.panel_stride;
      product.n_output_blocks = 4 * (end - begin);
      product.bias = bias_.data() + begin * 4 * B;
      product.c = start + begin * stride;
      product.c_row_stride = 4 * B;
      product.c_panel_stride = stride;
      kernels_->panel_gemm(product);
    });
    for (Index t = t_begin; t < t_end; ++t) {
      CellForward<Scalar> step = forward_step(batch, w, t, 0, batch.n_sequences());
      step.start = start + (batch.offset(t) - first_row) * 4 * B;
      step.start_block_stride = stride;
      workers.each_range(n_blocks_, blocks_worth_a_thread(step.rows), [&](Index begin, Index end) {
        CellForward<Scalar> part = step;
        part.block_begin = begin;
        part.block_end = end;
        kernels_->cell_forward(part);
      });
    }
    t_begin = t_end;
  }
}

template <class Scalar>
CellBackward<Scalar> RecurrentLayer<Scalar>::backward_step(const PackedBatch& batch,
                                                           const Scalar* dy,
                                                           LayerWorkspace<Scalar>& w, Index t,
                                                           Index n_begin,
                                                           Index n_end) const noexcept {
  const Index Hp = padded_hidden_size();
  const Index R = batch.n_rows();
  const Index row = batch.offset(t) + n_begin;
  CellBackward<Scalar> step{};
  step.rows = std::min(n_end, batch.n_active(t)) - n_begin;
  step.block_end = n_blocks_;
  step.dy = dy == nullptr ? nullptr : dy + row * Hp;
  step.dh = w.dh.data() + n_begin * Hp;
  step.h_stride = Hp;
  step.dc = w.dc.data() + n_begin * B;
  step.dc_block_stride = batch.n_sequences() * B;
  step.c_prev = w.c.data() + (batch.previous_history_row(t) + n_begin) * B;
  step.c_block_stride = cell_stride(w, batch);
  step.tanh_c = w.tanh_c.data() + row * B;
  step.tanh_c_block_stride = R * B;
  step.gates = w.gates.data() + row * 4 * B;
  step.gates_block_stride = R * 4 * B;
  return step;
}

template <class Scalar>
PanelGemm<Scalar> RecurrentLayer<Scalar>::gates_product(const PackedBatch& batch,
                                                        const LayerWorkspace<Scalar>& w, Index row,
                                                        Index rows) const noexcept {
  PanelGemm<Scalar> product{};
  product.rows = rows;
  product.a = w.gates.data() + row * 4 * B;
  product.a_row_stride = 4 * B;
  product.a_block_stride = batch.n_rows() * 4 * B;
  product.n_k_blocks = n_blocks_;
  product.k_block = 4 * B;
  product.panel_stride = n_blocks_ * 4 * B * 4 * B;
  product.c_panel_stride = 4 * B;
  return product;
}

template <class Scalar>
void RecurrentLayer<Scalar>::hidden_gradient(const PackedBatch& batch, LayerWorkspace<Scalar>& w,
                                             Index t, Index n_begin, Index n_end, Index block_begin,
                                             Index block_end) const noexcept {
  const Index rows = std::min(n_end, batch.n_active(t)) - n_begin;
  PanelGemm<Scalar> product = gates_product(batch, w, batch.offset(t) + n_begin, rows);
  product.panels = dh_panels_.data() + block_begin / 4 * product.panel_stride;
  product.n_output_blocks = block_end - block_begin;
  product.c = w.dh.data() + n_begin * padded_hidden_size() + block_begin * B;
  product.c_row_stride = padded_hidden_size();
  kernels_->panel_gemm(product);
}

template <class Scalar>
void RecurrentLayer<Scalar>::input_gradient(const PackedBatch& batch,
                                            const LayerWorkspace<Scalar>& w, Index row, Index rows,
                                            Scalar* dx) const noexcept {
  PanelGemm<Scalar> product = gates_product(batch, w, row, rows);
  product.panels = dx_panels_.data();
  product.n_output_blocks = n_input_blocks_;
  product.c_row_stride = n_input_blocks_ * B;
  product.c = dx + row * product.c_row_stride;
  kernels_->panel_gemm(product);
}

template <class Scalar>
Steps RecurrentLayer<Scalar>::steps_before(const PackedBatch& batch, Index t_end) const noexcept {
  constexpr Index kBytes = 512 * 1024;  // of gate gradients
  constexpr Index kRows = 128;          // but not fewer: each run reads and writes all gradients
  const Index row_bytes = 4 * padded_hidden_size() * static_cast<Index>(sizeof(Scalar));
  const Index most = std::max(kRows, kBytes / row_bytes);
  Steps steps{t_end - 1, t_end};
  Index rows = batch.n_active(steps.begin);
  while (steps.begin > 0 && rows + batch.n_active(steps.begin - 1) <= most) {
    rows += batch.n_active(--steps.begin);
  }
  return steps;
}

template <class Scalar>
void RecurrentLayer<Scalar>::backward(const PackedBatch& batch, Steps steps, const Scalar* dy,
                                      Scalar* dx, LayerWorkspace<Scalar>& w, Index n_begin,
                                      Index n_end) const noexcept {
  if (n_begin >= n_end) return;
  for (Index t = std::min(steps.end, batch.length(n_begin)) - 1; t >= steps.begin; --t) {
    const CellBackward<Scalar> step = backward_step(batch, dy, w, t, n_begin, n_end);
    kernels_->cell_backward(step);
    hidden_gradient(batch, w, t, n_begin, n_end, 0, n_blocks_);
    if (dx != nullptr) input_gradient(batch, w, batch.offset(t) + n_begin, step.rows, dx);
  }
}

template <class Scalar>
void RecurrentLayer<Scalar>::backward_together(const PackedBatch& batch, Steps steps,
                                               const Scalar* dy, Scalar* dx,
                                               LayerWorkspace<Scalar>& w,
                                               Workers& workers) const noexcept {
  const Index N = batch.n_sequences();
  // One task a step: who has dh of step t + 1 for some units goes on with their cells at step t.
  for (Index t = steps.end - 1; t >= steps.begin - 1; --t) {
    const Index rows = batch.n_active(std::max(t, steps.begin));
    workers.each_range(n_blocks_, round_up(blocks_worth_a_thread(rows), 4),
                       [&](Index begin, Index end) {
                         if (t < steps.end - 1) hidden_gradient(batch, w, t + 1, 0, N, begin, end);
                         if (t < steps.begin) return;
                         CellBackward<Scalar> step = backward_step(batch, dy, w, t, 0, N);
                         step.block_begin = begin;
                         step.block_end = end;
                         kernels_->cell_backward(step);
                       });
  }
  if (dx == nullptr) return;
  const Index first_row = batch.offset(steps.begin);
  workers.each_range(batch.row_end(steps.end - 1) - first_row, 6, [&](Index begin, Index end) {
    input_gradient(batch, w, first_row + begin, end - begin, dx);
  });
}

template <class Scalar>
void RecurrentLayer<Scalar>::clear_gradients(LayerWorkspace<Scalar>& w,
                                             Workers& workers) const noexcept {
  const Index panel = (panel_rows() + 1) * 4 * B;
  workers.each_range(n_blocks_, 1, [&](Index begin, Index end) {
    std::fill(w.gradient_panels.data() + begin * panel, w.gradient_panels.data() + end * panel,
              Scalar{0});
  });
}

template <class Scalar>
void RecurrentLayer<Scalar>::accumulate_gradients(const PackedBatch& batch, Steps steps,
                                                  const Scalar* x, Index x_stride,
                                                  LayerWorkspace<Scalar>& w,
                                                  Workers& workers) const noexcept {
  const Index columns = panel_rows() + 1;
  // By units where they share out evenly: gate gradients are then read by one thread alone.
  if (n_blocks_ % workers.size() == 0 || n_blocks_ >= Index{8} * workers.size()) {
    workers.each_range(n_blocks_, 1, [&](Index begin, Index end) {
      accumulate_panels(batch, steps, x, x_stride, w, begin, end, 0, columns);
    });
  } else {
    workers.each_range(columns, 6, [&](Index begin, Index end) {
      accumulate_panels(batch, steps, x, x_stride, w, 0, n_blocks_, begin, end);
    });
  }
}

template <class Scalar>
void RecurrentLayer<Scalar>::accumulate_panels(const PackedBatch& batch, Steps steps,
                                               const Scalar* x, Index x_stride,
                                               LayerWorkspace<Scalar>& w, Index block_begin,
                                               Index block_end, Index begin,
                                               Index end) const noexcept {
  static constexpr Scalar kOne[1] = {1};
  const Index columns = panel_rows() + 1;
  const Index row = batch.offset(steps.begin);
  OuterAccumulate<Scalar> product{};
  product.rows = batch.row_end(steps.end - 1) - row;
  product.n_panels = block_end - block_begin;
  product.b_row_stride = 4 * B;
  product.b_panel_stride = batch.n_rows() * 4 * B;
  product.b = w.gates.data() + block_begin * product.b_panel_stride + row * 4 * B;
  product.n_blocks = 4;
  product.c_panel_stride = columns * 4 * B;
  Scalar* panels = w.gradient_panels.data() + block_begin * product.c_panel_stride;
  // The columns [offset, offset + n) of every panel come from `a`.
  const auto accumulate = [&](Index offset, Index n, const Scalar* a, Index stride,
                              const Index* rows) {
    product.k_begin = std::max(begin - offset, Index{0});
    product.k_end = std::min(end - offset, n);
    if (product.k_begin >= product.k_end) return;
    product.a = a;
    product.a_row_stride = stride;
    product.a_rows = rows;
    product.c = panels + offset * 4 * B;
    kernels_->outer_accumulate(product);
  };
  const Index* previous = batch.previous_rows();
  accumulate(0, input_size_, x + row * x_stride, x_stride, nullptr);
  if (previous == nullptr) {
    const Index Hp = padded_hidden_size();
    accumulate(input_size_, hidden_size_, w.h.data() + row * Hp, Hp, nullptr);
  } else {
    accumulate(input_size_, hidden_size_, w.h.data(), padded_hidden_size(), previous + row);
  }
  accumulate(panel_rows(), 1, kOne, 0, nullptr);
}

template <class Scalar>
void RecurrentLayer<Scalar>::get_gradients(const LayerWorkspace<Scalar>& w, Scalar* gradient,
                                           Workers& workers) const noexcept {
  workers.each_range(n_blocks_, 1, [&](Index begin, Index end) {
    for (Index block = begin; block < end; ++block) unpack_gradient(w, block, gradient);
  });
}

template <class Scalar>
void RecurrentLayer<Scalar>::unpack_gradient(const LayerWorkspace<Scalar>& w, Index block,
                                             Scalar* gradient) const noexcept {
  const Index I = input_size_;
  const Index H = hidden_size_;
  Scalar* dw_ih = gradient;
  Scalar* dw_hh = dw_ih + 4 * H * I;
  Scalar* db = dw_hh + 4 * H * H;
  const Index units = std::min(B, H - block * B);
  for (Index gate = 0; gate < 4; ++gate) {
    const Scalar* panel = w.gradient_panels.data() + (block * (panel_rows() + 1) * 4 + gate) * B;
    const Index first = gate * H + block * B;
    kernels_->transpose(panel, 4 * B, dw_ih + first * I, I, I, units);
    kernels_->transpose(panel + I * 4 * B, 4 * B, dw_hh + first * H, H, H, units);
    std::copy_n(panel + panel_rows() * 4 * B, units, db + first);
  }
}

template class RecurrentLayer<float>;
template class RecurrentLayer<double>;

}  // namespace lstmcore
