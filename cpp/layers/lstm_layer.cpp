#include "layers/lstm_layer.hpp"

#include <algorithm>

#include "layers/panels.hpp"

namespace lstmcore {
template <class Scalar>
LstmLayer<Scalar>::LstmLayer(Index input_size, Index hidden_size,
                             const KernelTable<Scalar>& kernels)
    : input_size_(input_size),
      hidden_size_(hidden_size),
      n_blocks_(ceil_div(hidden_size, B)),
      n_input_blocks_(ceil_div(input_size, B)),
      kernels_(&kernels) {}

template <class Scalar>
void LstmLayer<Scalar>::reserve_panels() {
  const Index gate_columns = n_blocks_ * 4 * B;
  forward_panels_.reserve(checked_product(gate_columns, panel_rows()));
  bias_.reserve(gate_columns);
  dh_panels_.reserve(checked_product(gate_columns, n_blocks_, B));
  dx_panels_.reserve(checked_product(gate_columns, n_input_blocks_, B));
}

template <class Scalar>
void LstmLayer<Scalar>::pack(const Scalar* parameters, Workers& workers) noexcept {
  workers.each(n_blocks_, [&](Index block) { pack_block(parameters, block); });
}

template <class Scalar>
void LstmLayer<Scalar>::pack_block(const Scalar* parameters, Index block) noexcept {
  const Index I = input_size_;
  const Index H = hidden_size_;
  const Scalar* w_ih = parameters;
  const Scalar* w_hh = w_ih + 4 * H * I;
  const Scalar* b = w_hh + 4 * H * H;
  const Index units = std::min(B, H - block * B);
  Scalar* forward = forward_panels_.data() + block * panel_rows() * 4 * B;
  Scalar* bias = bias_.data() + block * 4 * B;
  const Index k_size = n_blocks_ * 4 * B;

  // Rows W[gate][unit] become columns of the forward panel: lanes are the inner loop.
  const auto transpose = [units](const Scalar* row, Index n_columns, Scalar* panel) {
    for (Index k = 0; k < n_columns; ++k) {
      for (Index unit = 0; unit < units; ++unit)
        panel[k * 4 * B + unit] = row[unit * n_columns + k];
      for (Index unit = units; unit < B; ++unit) panel[k * 4 * B + unit] = 0;
    }
  };
  // Rows stay rows in the backward panels, cut into blocks of outputs.
  const auto copy_rows = [&](const Scalar* row, Index n_columns, Index n_out, Scalar* panels,
                             Index k) {
    for (Index out = 0; out < n_out; ++out) {
      Scalar* to = panel_row(panels, n_out, k_size, k, out);
      const Index n = row == nullptr ? 0 : std::min(B, n_columns - out * B);
      if (n > 0) std::copy_n(row + out * B, n, to);
      std::fill_n(to + n, B - n, Scalar{0});
    }
  };
  for (Index gate = 0; gate < 4; ++gate) {
    const Index first = gate * H + block * B;
    transpose(w_ih + first * I, I, forward + gate * B);
    transpose(w_hh + first * H, H, forward + I * 4 * B + gate * B);
    std::copy_n(b + first, units, bias + gate * B);
    std::fill_n(bias + gate * B + units, B - units, Scalar{0});
    for (Index unit = 0; unit < B; ++unit) {
      const bool real = unit < units;
      const Index k = (block * 4 + gate) * B + unit;
      copy_rows(real ? w_hh + (first + unit) * H : nullptr, H, n_blocks_, dh_panels_.data(), k);
      copy_rows(real ? w_ih + (first + unit) * I : nullptr, I, n_input_blocks_, dx_panels_.data(),
                k);
    }
  }
}

template <class Scalar>
void LstmLayer<Scalar>::reserve(LstmWorkspace<Scalar>& w, const PackedBatch& batch,
                                bool keep) const {
  const Index Hp = padded_hidden_size();
  const Index history = batch.n_history_rows();
  w.keeps_history = keep;
  w.h.reserve(checked_product(history, Hp));
  w.c.reserve(checked_product(keep ? history : batch.n_sequences(), Hp));
  if (keep) {
    w.gates.reserve(checked_product(batch.n_rows(), 4, Hp));
    w.tanh_c.reserve(checked_product(batch.n_rows(), Hp));
  }
}

template <class Scalar>
void LstmLayer<Scalar>::reserve_gradients(LstmWorkspace<Scalar>& w,
                                          const PackedBatch& batch) const {
  const Index Hp = padded_hidden_size();
  w.dh.reserve(checked_product(batch.n_sequences(), Hp));
  w.dc.reserve(checked_product(batch.n_sequences(), Hp));
  w.gradient_panels.reserve(checked_product(panel_rows() + 1, 4, Hp));
}

namespace {

// Row n of a (N, H) matrix into `to`, Hp wide with zeros behind; a null matrix is all zeros.
template <class Scalar>
void padded_row(const Scalar* matrix, Index n, Index H, Index Hp, Scalar* to) {
  const Index real = matrix == nullptr ? 0 : H;
  if (real > 0) std::copy_n(matrix + n * H, H, to);
  std::fill_n(to + real, Hp - real, Scalar{0});
}

// The same into [block][row][B].
template <class Scalar>
void blocked_row(const Scalar* matrix, Index n, Index H, Index n_blocks, Scalar* to, Index stride) {
  constexpr Index B = kBlock<Scalar>;
  for (Index block = 0; block < n_blocks; ++block) {
    const Index real = matrix == nullptr ? 0 : std::min(B, H - block * B);
    if (real > 0) std::copy_n(matrix + n * H + block * B, real, to + block * stride + n * B);
    std::fill_n(to + block * stride + n * B + real, B - real, Scalar{0});
  }
}

template <class Scalar>
void unblock_row(const Scalar* from, Index stride, Index row, Index H, Index n_blocks, Scalar* to) {
  constexpr Index B = kBlock<Scalar>;
  for (Index block = 0; block < n_blocks; ++block) {
    std::copy_n(from + block * stride + row * B, std::min(B, H - block * B), to + block * B);
  }
}

}  // namespace

template <class Scalar>
void LstmLayer<Scalar>::set_initial_state(LstmWorkspace<Scalar>& w, const PackedBatch& batch,
                                          const Scalar* h0, const Scalar* c0, Index n_begin,
                                          Index n_end) const noexcept {
  const Index Hp = padded_hidden_size();
  for (Index n = n_begin; n < n_end; ++n) {
    padded_row(h0, n, hidden_size_, Hp, w.h.data() + n * Hp);
    blocked_row(c0, n, hidden_size_, n_blocks_, w.c.data(), cell_stride(w, batch));
  }
}

template <class Scalar>
void LstmLayer<Scalar>::get_final_state(const LstmWorkspace<Scalar>& w, const PackedBatch& batch,
                                        Scalar* h_n, Scalar* c_n) const noexcept {
  for (Index n = 0; n < batch.n_sequences(); ++n) {
    const Index row = batch.final_history_row(n);
    std::copy_n(w.h.data() + row * padded_hidden_size(), hidden_size_, h_n + n * hidden_size_);
    unblock_row(w.c.data(), cell_stride(w, batch), w.keeps_history ? row : n, hidden_size_,
                n_blocks_, c_n + n * hidden_size_);
  }
}

template <class Scalar>
void LstmLayer<Scalar>::set_state_gradient(LstmWorkspace<Scalar>& w, const PackedBatch& batch,
                                           const Scalar* dh_n, const Scalar* dc_n, Index n_begin,
                                           Index n_end) const noexcept {
  const Index Hp = padded_hidden_size();
  for (Index n = n_begin; n < n_end; ++n) {
    padded_row(dh_n, n, hidden_size_, Hp, w.dh.data() + n * Hp);
    blocked_row(dc_n, n, hidden_size_, n_blocks_, w.dc.data(), batch.n_sequences() * B);
  }
}

template <class Scalar>
void LstmLayer<Scalar>::get_state_gradient(const LstmWorkspace<Scalar>& w, const PackedBatch& batch,
                                           Scalar* dh_0, Scalar* dc_0) const noexcept {
  for (Index n = 0; n < batch.n_sequences(); ++n) {
    std::copy_n(w.dh.data() + n * padded_hidden_size(), hidden_size_, dh_0 + n * hidden_size_);
    unblock_row(w.dc.data(), batch.n_sequences() * B, n, hidden_size_, n_blocks_,
                dc_0 + n * hidden_size_);
  }
}

template <class Scalar>
void LstmLayer<Scalar>::get_gates(const LstmWorkspace<Scalar>& w, const PackedBatch& batch,
                                  Scalar* gates, Scalar* c) const noexcept {
  const Index R = batch.n_rows();
  for (Index row = 0; row < R; ++row) {
    for (Index gate = 0; gate < 4; ++gate) {
      unblock_row(w.gates.data() + gate * B, R * 4 * B, 4 * row, hidden_size_, n_blocks_,
                  gates + (row * 4 + gate) * hidden_size_);
    }
    unblock_row(w.c.data(), cell_stride(w, batch), batch.n_sequences() + row, hidden_size_,
                n_blocks_, c + row * hidden_size_);
  }
}

template <class Scalar>
void LstmLayer<Scalar>::forward(const PackedBatch& batch, const Scalar* x, Index x_stride,
                                LstmWorkspace<Scalar>& w, Index n_begin,
                                Index n_end) const noexcept {
  const Index Hp = padded_hidden_size();
  const Index R = batch.n_rows();
  for (Index t = 0; t < batch.n_steps(); ++t) {
    const Index rows = std::min(n_end, batch.n_active(t)) - n_begin;
    if (rows <= 0) break;
    const Index row = batch.offset(t) + n_begin;
    const Index here = batch.history_row(t) + n_begin;
    const Index previous = batch.previous_history_row(t) + n_begin;
    CellForward<Scalar> step{};
    step.rows = rows;
    step.block_begin = 0;
    step.block_end = n_blocks_;
    step.input_size = input_size_;
    step.hidden_size = hidden_size_;
    step.x = x + row * x_stride;
    step.x_stride = x_stride;
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
    kernels_->cell_forward(step);
  }
}

template <class Scalar>
void LstmLayer<Scalar>::backward(const PackedBatch& batch, const Scalar* dy, Scalar* dx,
                                 LstmWorkspace<Scalar>& w, Index n_begin,
                                 Index n_end) const noexcept {
  const Index Hp = padded_hidden_size();
  const Index R = batch.n_rows();
  if (n_begin >= n_end) return;
  for (Index t = batch.length(n_begin) - 1; t >= 0; --t) {
    const Index rows = std::min(n_end, batch.n_active(t)) - n_begin;
    const Index row = batch.offset(t) + n_begin;
    CellBackward<Scalar> step{};
    step.rows = rows;
    step.block_begin = 0;
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
    kernels_->cell_backward(step);

    PanelGemm<Scalar> product{};
    product.rows = rows;
    product.a = step.gates;
    product.a_row_stride = 4 * B;
    product.a_block_stride = R * 4 * B;
    product.n_k_blocks = n_blocks_;
    product.k_block = 4 * B;
    product.panels = dh_panels_.data();
    product.n_output_blocks = n_blocks_;
    product.c = w.dh.data() + n_begin * Hp;
    product.c_row_stride = Hp;
    kernels_->panel_gemm(product);
    if (dx != nullptr) {
      product.panels = dx_panels_.data();
      product.n_output_blocks = n_input_blocks_;
      product.c_row_stride = n_input_blocks_ * B;
      product.c = dx + row * product.c_row_stride;
      kernels_->panel_gemm(product);
    }
  }
}

template <class Scalar>
void LstmLayer<Scalar>::weight_gradients(const PackedBatch& batch, const Scalar* x, Index x_stride,
                                         LstmWorkspace<Scalar>& w, Scalar* gradient,
                                         Workers& workers) const noexcept {
  workers.each_range(n_blocks_ * (panel_rows() + 1), 1, [&](Index begin, Index end) {
    gradient_columns(batch, x, x_stride, w, begin, end);
  });
  workers.each(4 * n_blocks_,
               [&](Index item) { unpack_gradient(w, item / 4, item % 4, gradient); });
}

template <class Scalar>
void LstmLayer<Scalar>::gradient_columns(const PackedBatch& batch, const Scalar* x, Index x_stride,
                                         LstmWorkspace<Scalar>& w, Index begin,
                                         Index end) const noexcept {
  static constexpr Scalar kOne[1] = {1};
  const Index columns = panel_rows() + 1;
  std::fill(w.gradient_panels.data() + begin * 4 * B, w.gradient_panels.data() + end * 4 * B,
            Scalar{0});
  for (Index block = begin / columns; block * columns < end; ++block) {
    const Index first = std::max(begin - block * columns, Index{0});
    const Index last = std::min(end - block * columns, columns);
    OuterAccumulate<Scalar> product{};
    product.rows = batch.n_rows();
    product.b = w.gates.data() + block * batch.n_rows() * 4 * B;
    product.b_row_stride = 4 * B;
    product.n_blocks = 4;
    // The columns [offset, offset + n) of this panel come from `a`.
    const auto accumulate = [&](Index offset, Index n, const Scalar* a, Index stride,
                                const Index* rows) {
      product.k_begin = std::max(first - offset, Index{0});
      product.k_end = std::min(last - offset, n);
      if (product.k_begin >= product.k_end) return;
      product.a = a;
      product.a_row_stride = stride;
      product.a_rows = rows;
      product.c = w.gradient_panels.data() + (block * columns + offset) * 4 * B;
      kernels_->outer_accumulate(product);
    };
    accumulate(0, input_size_, x, x_stride, nullptr);
    accumulate(input_size_, hidden_size_, w.h.data(), padded_hidden_size(), batch.previous_rows());
    accumulate(panel_rows(), 1, kOne, 0, nullptr);
  }
}

template <class Scalar>
void LstmLayer<Scalar>::unpack_gradient(const LstmWorkspace<Scalar>& w, Index block, Index gate,
                                        Scalar* gradient) const noexcept {
  const Index I = input_size_;
  const Index H = hidden_size_;
  Scalar* dw_ih = gradient;
  Scalar* dw_hh = dw_ih + 4 * H * I;
  Scalar* db = dw_hh + 4 * H * H;
  const Scalar* panel = w.gradient_panels.data() + block * (panel_rows() + 1) * 4 * B + gate * B;
  const Index units = std::min(B, H - block * B);
  const Index first = gate * H + block * B;
  const auto transpose = [units](const Scalar* from, Index n_columns, Scalar* to) {
    for (Index k = 0; k < n_columns; ++k) {
      for (Index unit = 0; unit < units; ++unit) to[unit * n_columns + k] = from[k * 4 * B + unit];
    }
  };
  transpose(panel, I, dw_ih + first * I);
  transpose(panel + I * 4 * B, H, dw_hh + first * H);
  std::copy_n(panel + panel_rows() * 4 * B, units, db + first);
}

template class LstmLayer<float>;
template class LstmLayer<double>;

}  // namespace lstmcore
