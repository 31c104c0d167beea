#include "layers/gate_group.hpp"

#include <algorithm>

#include "layers/panels.hpp"

namespace lstmcore {

template <class Scalar>
GateGroup<Scalar>::GateGroup(const GateRows& rows, Index input_size, Index recurrent_size,
                             Index hidden_size, bool with_dx, const KernelTable<Scalar>& kernels)
    : rows_(rows),
      shape_(cell_shape(rows.kernel)),
      input_size_(input_size),
      recurrent_size_(recurrent_size),
      hidden_size_(hidden_size),
      n_blocks_(ceil_div(hidden_size, B)),
      n_input_blocks_(ceil_div(input_size, B)),
      n_recurrent_blocks_(ceil_div(recurrent_size, B)),
      with_dx_(with_dx),
      kernels_(&kernels) {}

template <class Scalar>
void GateGroup<Scalar>::reserve_panels() {
  forward_panels_.reserve(checked_product(n_blocks_, bias_part()));
  bias_.reserve(checked_product(n_blocks_, shape_.n_gates, B));
  const Index Hp = n_blocks_ * B;
  dh_panels_.reserve(checked_product(Hp, shape_.n_hidden(), n_recurrent_blocks_ * B));
  if (with_dx_) dx_panels_.reserve(checked_product(Hp, shape_.n_input(), n_input_blocks_ * B));
}

template <class Scalar>
template <class Visit>
void GateGroup<Scalar>::each_part(Index block, Index begin, Index end,
                                  Visit&& visit) const noexcept {
  const Index inputs = std::min(end, input_size_) - begin;
  for (int gate = shape_.input_begin; gate < shape_.input_end && inputs > 0; ++gate) {
    visit(WeightPart{true, rows_.input[gate] * hidden_size_ + block * B, begin, inputs,
                     (gate - shape_.input_begin) * B, shape_.n_input() * B});
  }
  const Index first = std::max(begin, input_size_);
  const Index hidden = std::min(end, input_size_ + recurrent_size_) - first;
  for (int gate = shape_.hidden_begin; gate < shape_.hidden_end && hidden > 0; ++gate) {
    visit(WeightPart{false, rows_.hidden[gate] * hidden_size_ + block * B, first - input_size_,
                     hidden, place(first) - place(begin) + (gate - shape_.hidden_begin) * B,
                     shape_.n_hidden() * B});
  }
}

template <class Scalar>
void GateGroup<Scalar>::transpose_block(const Scalar* w_ih, const Scalar* w_hh, Index block,
                                        Index begin, Index end, Scalar* panel) const noexcept {
  const Index units = std::min(B, hidden_size_ - block * B);
  each_part(block, begin, end, [&](const WeightPart& part) {
    const Index stride = part.of_input ? input_size_ : recurrent_size_;
    const Scalar* rows = (part.of_input ? w_ih : w_hh) + part.row * stride + part.column;
    Scalar* to = panel + part.in_panel;
    // Rows W[gate][unit] become columns of the panel.
    kernels_->transpose(rows, stride, to, part.width, units, part.n_columns);
    for (Index k = 0; k < part.n_columns && units < B; ++k) {
      std::fill_n(to + k * part.width + units, B - units, Scalar{0});
    }
  });
}

template <class Scalar>
void GateGroup<Scalar>::copy_bias(const Scalar* bias, Index block, Scalar* to) const noexcept {
  const Index units = std::min(B, hidden_size_ - block * B);
  for (int gate = 0; gate < shape_.n_gates; ++gate) {
    if (rows_.bias[gate] < 0) {
      std::fill_n(to + gate * B, B, Scalar{0});
      continue;
    }
    std::copy_n(bias + rows_.bias[gate] * hidden_size_ + block * B, units, to + gate * B);
    std::fill_n(to + gate * B + units, B - units, Scalar{0});
  }
}

template <class Scalar>
void GateGroup<Scalar>::pack_block(const Scalar* w_ih, const Scalar* w_hh, const Scalar* bias,
                                   Index block) noexcept {
  const Index H = hidden_size_;
  const Index units = std::min(B, H - block * B);
  transpose_block(w_ih, w_hh, block, 0, n_columns() - 1,
                  forward_panels_.data() + block * bias_part());
  copy_bias(bias, block, bias_.data() + block * shape_.n_gates * B);
  // In the backward panels rows stay rows, cut into blocks of outputs.
  const auto copy_rows = [&](const Scalar* rows, Index n_columns, Index n_out, Scalar* panels,
                             Index k_size, Index k) {
    for (Index unit = 0; unit < B; ++unit) {
      for (Index out = 0; out < n_out; ++out) {
        Scalar* to = panel_row(panels, n_out, k_size, k + unit, out);
        const Index n = unit < units ? std::min(B, n_columns - out * B) : 0;
        if (n > 0) std::copy_n(rows + unit * n_columns + out * B, n, to);
        std::fill_n(to + n, B - n, Scalar{0});
      }
    }
  };
  const Index input_width = shape_.n_input() * B;
  for (int gate = shape_.input_begin; gate < shape_.input_end && with_dx_; ++gate) {
    copy_rows(w_ih + (rows_.input[gate] * H + block * B) * input_size_, input_size_,
              n_input_blocks_, dx_panels_.data(), n_blocks_ * input_width,
              block * input_width + (gate - shape_.input_begin) * B);
  }
  const Index hidden_width = shape_.n_hidden() * B;
  for (int gate = shape_.hidden_begin; gate < shape_.hidden_end; ++gate) {
    copy_rows(w_hh + (rows_.hidden[gate] * H + block * B) * recurrent_size_, recurrent_size_,
              n_recurrent_blocks_, dh_panels_.data(), n_blocks_ * hidden_width,
              block * hidden_width + (gate - shape_.hidden_begin) * B);
  }
}

template <class Scalar>
void GateGroup<Scalar>::reserve(GroupWorkspace<Scalar>& w, Index n_rows) const {
  w.gates.reserve(checked_product(n_rows, shape_.n_gates, n_blocks_ * B));
}

template <class Scalar>
void GateGroup<Scalar>::set_weights(CellForward<Scalar>& step) const noexcept {
  step.input_size = input_size_;
  step.recurrent_size = recurrent_size_;
  step.panels = forward_panels_.data();
  step.bias = bias_.data();
  step.half_block = half_block_of<Scalar>(hidden_size_);
}

template <class Scalar>
bool GateGroup<Scalar>::multiplies_apart(const CellForward<Scalar>& step) const noexcept {
  // The cell reads a whole panel for one tile of rows and then again for the next; the product
  // apart reads some columns of it for all of them, but passes over the starts twice. On 2 cores of
  // a Xeon (2026-11) inference is 10 to 19 % faster for it at H 1536 and 2048 and N 8 or 12, 4 to
  // 13 % at H 1024 and 2048 and N 64, and 5 % slower at H 1024 and N 128. Products of the inputs,
  // which have some hundred rows, are 2 to 12 % faster in the cell's tiles.
  constexpr Index kBytes = 4 << 20;
  constexpr Index kTwoTiles = 7;  // rows
  return shape_.n_gates == 4 && shape_.n_input() == 4 && shape_.n_hidden() == 4 &&
         step.rows >= kTwoTiles && bytes_of(step) > kBytes;
}

template <class Scalar>
void GateGroup<Scalar>::multiply(CellForward<Scalar>& step) const noexcept {
  PanelGemm<Scalar> product{};
  product.rows = step.rows;
  product.a = step.recurrent;
  product.a_row_stride = step.recurrent_stride;
  product.a_block_stride = B;
  product.n_k_blocks = ceil_div(recurrent_size_, B);
  product.k_block = B;
  product.k_units = recurrent_size_ % B;
  product.panels = forward_panels_.data() + step.block_begin * bias_part() + hidden_part();
  product.panel_stride = bias_part();
  product.n_output_blocks = 4 * (step.block_end - step.block_begin);
  product.accumulate = true;
  product.c = step.start + step.block_begin * step.start_block_stride;
  product.c_row_stride = 4 * B;
  product.c_panel_stride = step.start_block_stride;
  kernels_->panel_gemm(product);
  step.recurrent_size = 0;
}

template <class Scalar>
void GateGroup<Scalar>::inputs(CellForward<Scalar> rows) const noexcept {
  rows.far = bytes_of(rows) > kBeyondOwnCache;
  functions().inputs(rows);
}

template <class Scalar>
void GateGroup<Scalar>::forward(CellForward<Scalar> step, bool descending) const noexcept {
  step.far = bytes_of(step) > kBeyondOwnCache;
  if (step.x == nullptr && !step.from_zeros && multiplies_apart(step)) multiply(step);
  if (!descending) {
    functions().forward(step);
    return;
  }
  const Index blocks = std::max(1, 4 / shape_.n_gates);  // that a tile of few rows has
  const Index begin = step.block_begin;
  while (step.block_end > begin) {
    step.block_begin = std::max(begin, step.block_end - blocks);
    functions().forward(step);
    step.block_end = step.block_begin;
  }
}

template <class Scalar>
PanelGemm<Scalar> GateGroup<Scalar>::product(const GroupWorkspace<Scalar>& w, Index n_rows,
                                             Index row, Index rows, int first_gate,
                                             int n_gates) const noexcept {
  const Index width = shape_.n_gates * B;
  PanelGemm<Scalar> product{};
  product.rows = rows;
  product.a = w.gates.data() + row * width + first_gate * B;
  product.a_row_stride = width;
  product.a_block_stride = n_rows * width;
  product.n_k_blocks = n_blocks_;
  product.k_block = n_gates * B;
  product.k_units = hidden_size_ % B;
  product.panel_stride = n_blocks_ * product.k_block * 4 * B;
  product.c_panel_stride = 4 * B;
  return product;
}

template <class Scalar>
void GateGroup<Scalar>::hidden_gradient(const GroupWorkspace<Scalar>& w, Index n_rows, Index row,
                                        Index rows, Index block_begin, Index block_end,
                                        bool accumulate, Scalar* c) const noexcept {
  PanelGemm<Scalar> step = product(w, n_rows, row, rows, shape_.hidden_begin, shape_.n_hidden());
  step.panels = dh_panels_.data() + block_begin / 4 * step.panel_stride;
  step.n_output_blocks = block_end - block_begin;
  step.half_block = half_block_of<Scalar>(recurrent_size_) - block_begin;
  step.accumulate = accumulate;
  step.c = c + block_begin * B;
  step.c_row_stride = n_recurrent_blocks_ * B;
  // Who multiplies for some units goes on with their gates of the step before.
  const bool whole = step.n_output_blocks == n_recurrent_blocks_;
  if (row >= rows) step.to_next = -rows;
  step.asked_begin = whole ? 0 : block_begin;
  step.asked_end = whole ? n_blocks_ : block_end;
  kernels_->panel_gemm(step);
}

template <class Scalar>
void GateGroup<Scalar>::input_gradient(const GroupWorkspace<Scalar>& w, Index n_rows, Index row,
                                       Index rows, bool accumulate, Scalar* c) const noexcept {
  PanelGemm<Scalar> step = product(w, n_rows, row, rows, shape_.input_begin, shape_.n_input());
  step.panels = dx_panels_.data();
  step.n_output_blocks = n_input_blocks_;
  step.half_block = half_block_of<Scalar>(input_size_);
  step.accumulate = accumulate;
  step.c = c;
  step.c_row_stride = n_input_blocks_ * B;
  kernels_->panel_gemm(step);
}

template <class Scalar>
void GateGroup<Scalar>::accumulate_gradients(const GroupWorkspace<Scalar>& w, Index n_rows,
                                             Index row, Index rows, const GatheredRows<Scalar>& x,
                                             const GatheredRows<Scalar>& recurrent,
                                             const GradientRange& range,
                                             const GradientPanels<Scalar>& panels) const noexcept {
  // Columns of every panel, from `offset` on, of some of the gates: `size` of A, and one of ones.
  struct Columns {
    Index offset, size;
    bool ones;
    int gate, n_gates;
  };
  const auto accumulate = [&](const Columns& columns, const GatheredRows<Scalar>& a, Index first,
                              Index last) {
    OuterAccumulate<Scalar> product{};
    product.k_begin = std::max(range.begin - columns.offset, Index{0});
    product.k_end = std::min(range.end - columns.offset, columns.size + (columns.ones ? 1 : 0));
    if (product.k_begin >= product.k_end || first >= last) return;
    if (columns.ones) product.ones = columns.size;
    product.rows = last - first;
    product.a = a.rows == nullptr ? a.data + first * a.stride : a.data;
    product.a_row_stride = a.stride;
    product.a_rows = a.rows == nullptr ? nullptr : a.rows + first;
    product.n_panels = range.block_end - range.block_begin;
    product.half_panel = half_block_of<Scalar>(hidden_size_) - range.block_begin;
    product.b_row_stride = shape_.n_gates * B;
    product.b_panel_stride = n_rows * product.b_row_stride;
    product.b = w.gates.data() + range.block_begin * product.b_panel_stride +
                (row + first) * product.b_row_stride + columns.gate * B;
    // Where no other columns come in between, the run of steps before this one is next, or, of rows
    // that were gathered, those behind them.
    const bool last_of_these = range.end <= columns.offset + columns.size + (columns.ones ? 1 : 0);
    if (last_of_these && a.rows != nullptr) product.to_next = product.rows;
    if (last_of_these && a.rows == nullptr && row >= product.rows) product.to_next = -product.rows;
    product.n_blocks = columns.n_gates;
    product.c = panels.data + place(columns.offset + product.k_begin) - place(panels.first_column);
    product.c_panel_stride = panels.stride;
    kernels_->outer_accumulate(product);
  };
  accumulate({0, input_size_, false, shape_.input_begin, shape_.n_input()}, x, 0, rows);
  // The bias, as a column after those of the hidden state where that runs into all gates: BPTT is 1
  // to 2 % faster at H 32 to 256 than with another pass over the gradients of the gates (2 cores of
  // a Zen 5, 2026-11). Rows whose states are zeros have it alone, and come first in the sum.
  const bool has_bias = rows_.bias[0] >= 0;
  const bool joins = has_bias && shape_.n_hidden() == shape_.n_gates;
  const Index bias = input_size_ + recurrent_size_;
  if (has_bias) {
    accumulate({bias, 0, true, 0, shape_.n_gates}, {}, 0, joins ? recurrent.n_zero : rows);
  }
  accumulate({input_size_, recurrent_size_, joins, shape_.hidden_begin, shape_.n_hidden()},
             recurrent, recurrent.n_zero, rows);
}

template <class Scalar>
void GateGroup<Scalar>::unpack_gradient(const Scalar* panel, Index block, Index begin, Index end,
                                        Scalar* dw_ih, Scalar* dw_hh,
                                        Scalar* dbias) const noexcept {
  end = std::min(end, n_columns());
  if (begin >= end) return;
  const Index units = std::min(B, hidden_size_ - block * B);
  each_part(block, begin, end, [&](const WeightPart& part) {
    const Index stride = part.of_input ? input_size_ : recurrent_size_;
    Scalar* rows = (part.of_input ? dw_ih : dw_hh) + part.row * stride + part.column;
    kernels_->transpose(panel + part.in_panel, part.width, rows, stride, part.n_columns, units);
  });
  if (end < n_columns()) return;
  const Scalar* bias = panel + bias_part() - place(begin);
  for (int gate = 0; gate < shape_.n_gates; ++gate) {
    if (rows_.bias[gate] < 0) continue;
    std::copy_n(bias + gate * B, units, dbias + rows_.bias[gate] * hidden_size_ + block * B);
  }
}

template <class Scalar>
void GateGroup<Scalar>::pack_gradient(const Scalar* dw_ih, const Scalar* dw_hh, const Scalar* dbias,
                                      Index block, Index begin, Index end,
                                      Scalar* panel) const noexcept {
  transpose_block(dw_ih, dw_hh, block, begin, end, panel);
  if (begin >= n_columns() || end < n_columns()) return;
  copy_bias(dbias, block, panel + bias_part() - place(begin));
}

template class GateGroup<float>;
template class GateGroup<double>;

}  // namespace lstmcore
