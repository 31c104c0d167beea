// Memory and layouts of a layer: packed weights, states, gates. The loops: recurrent_layer.cpp.
#include "layers/recurrent_layer.hpp"

#include <algorithm>

#include "layers/panels.hpp"

namespace lstmcore {
template <class Scalar>
RecurrentLayer<Scalar>::RecurrentLayer(Index input_size, Index hidden_size, bool with_dx,
                                       const KernelTable<Scalar>& kernels)
    : input_size_(input_size),
      hidden_size_(hidden_size),
      n_blocks_(ceil_div(hidden_size, B)),
      n_input_blocks_(ceil_div(input_size, B)),
      with_dx_(with_dx),
      kernels_(&kernels) {}

template <class Scalar>
void RecurrentLayer<Scalar>::reserve_panels() {
  const Index gate_columns = n_blocks_ * 4 * B;
  forward_panels_.reserve(checked_product(gate_columns, panel_rows()));
  bias_.reserve(gate_columns);
  dh_panels_.reserve(checked_product(gate_columns, n_blocks_, B));
  if (with_dx_) dx_panels_.reserve(checked_product(gate_columns, n_input_blocks_, B));
}

template <class Scalar>
void RecurrentLayer<Scalar>::pack(const Scalar* parameters, Workers& workers) noexcept {
  // Ranges, so that a thread packs the units whose gradients it has summed.
  workers.each_range(n_blocks_, 1, [&](Index begin, Index end) {
    for (Index block = begin; block < end; ++block) pack_block(parameters, block);
  });
}

template <class Scalar>
void RecurrentLayer<Scalar>::pack_block(const Scalar* parameters, Index block) noexcept {
  const Index I = input_size_;
  const Index H = hidden_size_;
  const Scalar* w_ih = parameters;
  const Scalar* w_hh = w_ih + 4 * H * I;
  const Scalar* b = w_hh + 4 * H * H;
  const Index units = std::min(B, H - block * B);
  Scalar* forward = forward_panels_.data() + block * panel_rows() * 4 * B;
  Scalar* bias = bias_.data() + block * 4 * B;
  const Index k_size = n_blocks_ * 4 * B;

  // Rows W[gate][unit] become columns of the forward panel.
  const auto transpose = [&](const Scalar* rows, Index n_columns, Scalar* panel) {
    kernels_->transpose(rows, n_columns, panel, 4 * B, units, n_columns);
    for (Index k = 0; k < n_columns && units < B; ++k) {
      std::fill_n(panel + k * 4 * B + units, B - units, Scalar{0});
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
      if (with_dx_) {
        copy_rows(real ? w_ih + (first + unit) * I : nullptr, I, n_input_blocks_, dx_panels_.data(),
                  k);
      }
    }
  }
}

template <class Scalar>
void RecurrentLayer<Scalar>::reserve(LayerWorkspace<Scalar>& w, const PackedBatch& batch,
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
void RecurrentLayer<Scalar>::reserve_gradients(LayerWorkspace<Scalar>& w,
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
void RecurrentLayer<Scalar>::set_initial_state(LayerWorkspace<Scalar>& w, const PackedBatch& batch,
                                               const Scalar* h0, const Scalar* c0, Index n_begin,
                                               Index n_end) const noexcept {
  const Index Hp = padded_hidden_size();
  for (Index n = n_begin; n < n_end; ++n) {
    padded_row(h0, n, hidden_size_, Hp, w.h.data() + n * Hp);
    blocked_row(c0, n, hidden_size_, n_blocks_, w.c.data(), cell_stride(w, batch));
  }
}

template <class Scalar>
void RecurrentLayer<Scalar>::get_final_state(const LayerWorkspace<Scalar>& w,
                                             const PackedBatch& batch, Scalar* h_n,
                                             Scalar* c_n) const noexcept {
  for (Index n = 0; n < batch.n_sequences(); ++n) {
    const Index row = batch.final_history_row(n);
    std::copy_n(w.h.data() + row * padded_hidden_size(), hidden_size_, h_n + n * hidden_size_);
    unblock_row(w.c.data(), cell_stride(w, batch), w.keeps_history ? row : n, hidden_size_,
                n_blocks_, c_n + n * hidden_size_);
  }
}

template <class Scalar>
void RecurrentLayer<Scalar>::set_state_gradient(LayerWorkspace<Scalar>& w, const PackedBatch& batch,
                                                const Scalar* dh_n, const Scalar* dc_n,
                                                Index n_begin, Index n_end) const noexcept {
  const Index Hp = padded_hidden_size();
  for (Index n = n_begin; n < n_end; ++n) {
    padded_row(dh_n, n, hidden_size_, Hp, w.dh.data() + n * Hp);
    blocked_row(dc_n, n, hidden_size_, n_blocks_, w.dc.data(), batch.n_sequences() * B);
  }
}

template <class Scalar>
void RecurrentLayer<Scalar>::get_state_gradient(const LayerWorkspace<Scalar>& w,
                                                const PackedBatch& batch, Scalar* dh_0,
                                                Scalar* dc_0) const noexcept {
  for (Index n = 0; n < batch.n_sequences(); ++n) {
    std::copy_n(w.dh.data() + n * padded_hidden_size(), hidden_size_, dh_0 + n * hidden_size_);
    unblock_row(w.dc.data(), batch.n_sequences() * B, n, hidden_size_, n_blocks_,
                dc_0 + n * hidden_size_);
  }
}

template <class Scalar>
void RecurrentLayer<Scalar>::get_gates(const LayerWorkspace<Scalar>& w, const PackedBatch& batch,
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

template class RecurrentLayer<float>;
template class RecurrentLayer<double>;

}  // namespace lstmcore
