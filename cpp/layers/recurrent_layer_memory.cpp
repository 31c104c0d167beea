// Memory of a layer: packed weights, states, gates. The loops: recurrent_layer.cpp.
#include <algorithm>
#include <cmath>

#include "layers/recurrent_layer.hpp"

namespace lstmcore {

template <class Scalar>
RecurrentLayer<Scalar>::RecurrentLayer(const CellSpec& cell, Index input_size, Index hidden_size,
                                       bool with_dx, const KernelTable<Scalar>& kernels)
    : cell_(cell),
      input_size_(input_size),
      hidden_size_(hidden_size),
      output_size_(cell.output_size(hidden_size)),
      n_blocks_(ceil_div(hidden_size, B)),
      n_output_blocks_(ceil_div(output_size_, B)),
      n_input_blocks_(ceil_div(input_size, B)),
      options_(options_of(cell, kernels)) {
  for (const GateRows& rows : gate_groups(cell)) {
    groups_.emplace_back(rows, input_size, output_size_, hidden_size, with_dx, kernels);
  }
  if (cell.proj_size > 0) projection_.emplace(hidden_size, output_size_, kernels);
  for (const ParameterArray& array : cell_arrays(cell, input_size, hidden_size)) {
    if (array.name == "weight_hh") hidden_offset_ = n_parameters_;
    if (array.name == "bias") bias_offset_ = n_parameters_;
    if (array.name == "peephole") peephole_offset_ = n_parameters_;
    if (array.name == "weight_hr") projection_offset_ = n_parameters_;
    if (array.name == "ln_ih_weight") {
      norm_.emplace(hidden_size, bias_offset_, n_parameters_, kernels);
    }
    n_parameters_ += array.size();
  }
}

template <class Scalar>
void RecurrentLayer<Scalar>::reserve_panels() {
  for (GateGroup<Scalar>& group : groups_) group.reserve_panels();
  if (cell_.peephole) {
    options_.peepholes = peepholes_.reserve_zeroed(checked_product(n_blocks_, peephole_part()));
  }
  if (projection_) projection_->reserve_panels();
  if (norm_) norm_->reserve_panels(options_);
}

template <class Scalar>
void RecurrentLayer<Scalar>::pack(const Scalar* parameters, Workers& workers) noexcept {
  // Ranges, so that a thread packs the units whose gradients it has summed.
  workers.each_range(n_blocks_, 1, [&](Index begin, Index end) {
    for (Index block = begin; block < end; ++block) {
      for (GateGroup<Scalar>& group : groups_) {
        group.pack_block(parameters, parameters + hidden_offset_, parameters + bias_offset_, block);
      }
      copy_peepholes(parameters, block, peepholes_.data() + block * peephole_part());
      if (projection_) projection_->pack_block(parameters + projection_offset_, block);
      if (norm_) norm_->pack_block(parameters, block);
    }
  });
}

template <class Scalar>
void RecurrentLayer<Scalar>::reserve_masks(LayerWorkspace<Scalar>& w,
                                           const PackedBatch& batch) const {
  LayerMasks<Scalar>& masks = w.masks;
  const Index Pp = padded_output_size();
  const Index cells = checked_product(batch.n_rows(), padded_hidden_size());
  const Index outputs = checked_product(batch.n_rows(), Pp);
  if (cell_.hidden_dropout > 0) {
    masks.hidden.reserve(checked_product(batch.n_sequences(), Pp));
    w.masked.reserve(outputs);
  }
  if (cell_.recurrent_dropout > 0) masks.candidate.reserve(cells);
  if (cell_.zoneout_hidden > 0) masks.zoneout_hidden.reserve(outputs);
  if (cell_.zoneout_cell > 0) masks.zoneout_cell.reserve(cells);
}

template <class Scalar>
void RecurrentLayer<Scalar>::reserve(LayerWorkspace<Scalar>& w, const PackedBatch& batch,
                                     const ForwardPlan& plan, bool masks) const {
  const bool keep = plan.keep;
  const Index Hp = padded_hidden_size();
  const Index history = batch.n_history_rows();
  const Index kept_rows = keep ? batch.n_rows() : batch.n_sequences();
  w.keeps_history = keep;
  w.from_zeros = plan.from_zeros;
  w.masks.drawn = masks && cell_.has_masks();
  if (w.masks.drawn) reserve_masks(w, batch);
  w.h.reserve(checked_product(history, padded_output_size()));
  if (cell_.has_cell_state()) {
    const Index cells = checked_product(keep ? history : batch.n_sequences(), Hp);
    w.c.reserve(cells);
    if (cell_.keeps_new_c()) w.new_c.reserve(cells);
    if (keep) w.tanh_c.reserve(checked_product(batch.n_rows(), Hp));
  }
  if (groups_.size() > 1) w.reset.reserve(checked_product(kept_rows, Hp));
  if (projection_) w.m.reserve(checked_product(kept_rows, Hp));
  if (norm_) norm_->reserve(w.norm, batch.n_sequences());
  if (norm_ && keep) norm_->reserve_history(w.norm, batch.n_rows());
  w.groups.resize(groups_.size());
  for (std::size_t group = 0; group < groups_.size(); ++group) {
    // In inference, only what the group behind it reads.
    if (keep || group + 1 < groups_.size()) groups_[group].reserve(w.groups[group], kept_rows);
  }
}

template <class Scalar>
void RecurrentLayer<Scalar>::reserve_gradients(LayerWorkspace<Scalar>& w,
                                               const PackedBatch& batch) const {
  const Index states = checked_product(batch.n_sequences(), padded_hidden_size());
  const Index hidden = checked_product(batch.n_sequences(), padded_output_size());
  w.dh.reserve(hidden);
  if (cell_.hidden_dropout > 0) w.dmasked.reserve(hidden);
  if (cell_.zoneout_hidden > 0) w.dcarried.reserve(hidden);
  if (cell_.has_cell_state()) w.dc.reserve(states);
  if (groups_.size() > 1) w.dreset.reserve(states);
  if (projection_) {
    w.dwhole.reserve(checked_product(batch.n_rows(), padded_output_size()));
    w.dm.reserve(states);
  }
}

template <class Scalar>
void RecurrentLayer<Scalar>::reserve_sums(LayerGradients<Scalar>& sums, bool whole,
                                          Index n_threads) const {
  const SumPlace place{0, 0, whole ? 0 : kColumnsAtOnce};
  const Index n_panels = whole ? n_blocks_ : checked_product(n_threads, kBlocksAtOnce);
  sums.panels.resize(n_sums());
  for (std::size_t k = 0; k < n_sums(); ++k) {
    sums.panels[k].reserve(checked_product(n_panels, panel_size(k, place)));
  }
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
void unblock_row(const Scalar* from, Index stride, Index row, Index H, Index block_begin,
                 Index block_end, Scalar* to) {
  constexpr Index B = kBlock<Scalar>;
  for (Index block = block_begin; block < block_end; ++block) {
    std::copy_n(from + block * stride + row * B, std::min(B, H - block * B), to + block * B);
  }
}

}  // namespace

template <class Scalar>
void RecurrentLayer<Scalar>::set_initial_state(LayerWorkspace<Scalar>& w, const PackedBatch& batch,
                                               const Scalar* h0, const Scalar* c0, Index n_begin,
                                               Index n_end) const noexcept {
  const Index width = padded_output_size();
  for (Index n = n_begin; n < n_end; ++n) {
    padded_row(h0, n, output_size_, width, w.h.data() + n * width);
    if (!cell_.has_cell_state()) continue;
    blocked_row(c0, n, hidden_size_, n_blocks_, w.c.data(), cell_stride(w, batch));
  }
}

template <class Scalar>
void RecurrentLayer<Scalar>::get_final_state(const LayerWorkspace<Scalar>& w,
                                             const PackedBatch& batch, Scalar* h_n,
                                             Scalar* c_n) const noexcept {
  for (Index n = 0; n < batch.n_sequences(); ++n) {
    const Index row = batch.final_history_row(n);
    std::copy_n(w.h.data() + row * padded_output_size(), output_size_, h_n + n * output_size_);
    if (!cell_.has_cell_state()) continue;
    unblock_row(w.c.data(), cell_stride(w, batch), w.keeps_history ? row : n, hidden_size_, 0,
                n_blocks_, c_n + n * hidden_size_);
  }
}

template <class Scalar>
void RecurrentLayer<Scalar>::get_stepped_state(const LayerWorkspace<Scalar>& w,
                                               const PackedBatch& batch, Index block_begin,
                                               Index block_end, Scalar* h_n,
                                               Scalar* c_n) const noexcept {
  const Index N = batch.n_sequences();
  const Index begin = block_begin * B;
  const Index units = std::min(block_end * B, hidden_size_) - begin;
  for (Index n = 0; n < N; ++n) {
    std::copy_n(w.h.data() + (N + n) * padded_hidden_size() + begin, units,
                h_n + n * hidden_size_ + begin);
    if (!cell_.has_cell_state()) continue;
    unblock_row(w.c.data(), cell_stride(w, batch), n, hidden_size_, block_begin, block_end,
                c_n + n * hidden_size_);
  }
}

template <class Scalar>
void RecurrentLayer<Scalar>::set_state_gradient(LayerWorkspace<Scalar>& w, const PackedBatch& batch,
                                                const Scalar* dh_n, const Scalar* dc_n,
                                                Index n_begin, Index n_end) const noexcept {
  const Index width = padded_output_size();
  for (Index n = n_begin; n < n_end; ++n) {
    padded_row(dh_n, n, output_size_, width, w.dh.data() + n * width);
    if (!cell_.has_cell_state()) continue;
    blocked_row(dc_n, n, hidden_size_, n_blocks_, w.dc.data(), batch.n_sequences() * B);
  }
}

template <class Scalar>
void RecurrentLayer<Scalar>::get_state_gradient(const LayerWorkspace<Scalar>& w,
                                                const PackedBatch& batch, Scalar* dh_0,
                                                Scalar* dc_0) const noexcept {
  for (Index n = 0; n < batch.n_sequences(); ++n) {
    std::copy_n(w.dh.data() + n * padded_output_size(), output_size_, dh_0 + n * output_size_);
    if (!cell_.has_cell_state()) continue;
    unblock_row(w.dc.data(), batch.n_sequences() * B, n, hidden_size_, 0, n_blocks_,
                dc_0 + n * hidden_size_);
  }
}

template <class Scalar>
void RecurrentLayer<Scalar>::get_output(const LayerWorkspace<Scalar>& w, const PackedBatch& batch,
                                        Scalar* y, Index n_begin, Index n_end) const noexcept {
  const Index P = output_size_;
  const Index Pp = padded_output_size();
  for (Index t = 0; t < batch.n_steps() && batch.n_active(t) > n_begin; ++t) {
    const Index rows = std::min(n_end, batch.n_active(t)) - n_begin;
    const Scalar* from = w.h.data() + (batch.history_row(t) + n_begin) * Pp;
    Scalar* to = y + (batch.whole_row(t) + n_begin) * P;
    if (P == Pp) {
      std::copy_n(from, rows * P, to);
      continue;
    }
    for (Index row = 0; row < rows; ++row) std::copy_n(from + row * Pp, P, to + row * P);
  }
}

template <class Scalar>
void RecurrentLayer<Scalar>::get_gates(const LayerWorkspace<Scalar>& w, const PackedBatch& batch,
                                       bool reversed, Scalar* gates, Scalar* c,
                                       Scalar* h) const noexcept {
  for (Index t = 0; t < batch.n_steps(); ++t) {
    for (Index n = 0; n < batch.n_active(t); ++n) {
      const Index step = reversed ? batch.length(n) - 1 - t : t;
      get_gates_of_row(w, batch, batch.offset(t) + n, batch.whole_row(step) + n, gates, c, h);
    }
  }
}

template <class Scalar>
void RecurrentLayer<Scalar>::get_gates_of_row(const LayerWorkspace<Scalar>& w,
                                              const PackedBatch& batch, Index row, Index to,
                                              Scalar* gates, Scalar* c, Scalar* h) const noexcept {
  std::copy_n(w.h.data() + (batch.n_sequences() + row) * padded_output_size(), output_size_,
              h + to * output_size_);
  for (std::size_t group = 0; group < groups_.size(); ++group) {
    const Index G = groups_[group].n_gates();
    for (Index gate = 0; gate < G; ++gate) {
      Index number = groups_[group].rows().input[gate];
      if (number < 0) continue;
      if (cell_.coupled_gates && number > 0) ++number;  // past f
      unblock_row(w.groups[group].gates.data() + gate * B, batch.n_rows() * G * B, G * row,
                  hidden_size_, 0, n_blocks_,
                  gates + (to * cell_.n_shown_gates() + number) * hidden_size_);
    }
  }
  if (cell_.coupled_gates) {
    Scalar* input = gates + to * cell_.n_shown_gates() * hidden_size_;
    for (Index j = 0; j < hidden_size_; ++j) input[hidden_size_ + j] = 1 - input[j];
  }
  if (!cell_.has_cell_state()) return;
  unblock_row(w.c.data(), cell_stride(w, batch), batch.n_sequences() + row, hidden_size_, 0,
              n_blocks_, c + to * hidden_size_);
}

template <class Scalar>
void RecurrentLayer<Scalar>::note_gradients(const PackedBatch& batch, Index t,
                                            const BatchRows<const Scalar>& dy,
                                            const LayerWorkspace<Scalar>& w,
                                            const GradientNorms& norms) const noexcept {
  const Index Pp = padded_output_size();
  const Index rows = t < 0 ? batch.n_sequences() : batch.n_active(t);
  // A part of a batch has its rows side by side in the whole batch.
  const Index first = batch.first_sequence();
  const Index to = t < 0 ? first : norms.n_sequences + batch.whole_row(t);
  const Scalar* direct = t < 0 || dy.data == nullptr ? nullptr : dy.at(batch, t);
  for (Index n = 0; n < rows; ++n) {
    double sum = 0;
    for (Index k = 0; k < output_size_; ++k) {
      const double here = direct == nullptr ? 0 : direct[n * dy.stride + k];
      const double value = w.dh.data()[n * Pp + k] + here;
      sum += value * value;
    }
    norms.hidden[to + n] = std::sqrt(sum);
    if (!cell_.has_cell_state()) continue;
    sum = 0;
    for (Index k = 0; k < hidden_size_; ++k) {
      const double value = w.dc.data()[(k / B * batch.n_sequences() + n) * B + k % B];
      sum += value * value;
    }
    norms.cell[to + n] = std::sqrt(sum);
  }
}

template class RecurrentLayer<float>;
template class RecurrentLayer<double>;

}  // namespace lstmcore
