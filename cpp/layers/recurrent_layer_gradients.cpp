// The gradient of the parameters of a layer: sums over rows, parts and threads in one order.
#include <algorithm>

#include "layers/recurrent_layer.hpp"

namespace lstmcore {

template <class Scalar>
Index RecurrentLayer<Scalar>::panel_size(std::size_t k, const SumPlace& place) const noexcept {
  if (k < groups_.size()) {
    return place.n_columns > 0 ? groups_[k].gradient_panel_size(place.n_columns)
                               : groups_[k].gradient_panel_size();
  }
  if (norm_ && k == norm_sum()) return norm_->gradient_panel_size();
  return projection_ && k == projection_sum() ? projection_->gradient_panel_size()
                                              : peephole_part();
}

template <class Scalar>
GradientPanels<Scalar> RecurrentLayer<Scalar>::panels_of(LayerGradients<Scalar>& sums,
                                                         std::size_t k,
                                                         const SumPlace& place) const noexcept {
  const Index size = panel_size(k, place);
  return {sums.panels[k].data() + place.panel * size, size, place.first_column};
}

template <class Scalar>
void RecurrentLayer<Scalar>::clear(LayerGradients<Scalar>& sums) const noexcept {
  for (std::size_t k = 0; k < n_sums(); ++k) {
    std::fill_n(sums.panels[k].data(), n_blocks_ * panel_size(k, kWholePanels), Scalar{0});
  }
}

template <class Scalar>
void RecurrentLayer<Scalar>::accumulate_range(const PackedBatch& batch, Steps steps,
                                              const BatchRows<const Scalar>& x,
                                              const LayerWorkspace<Scalar>& w,
                                              const GradientRange& range,
                                              LayerGradients<Scalar>& sums,
                                              const SumPlace& place) const noexcept {
  const Index Hp = padded_hidden_size();
  const Index Pp = padded_output_size();
  // x_rows and previous say where x_t and h_{t-1} of each row stand; null where side by side.
  const auto add = [&](Index row, Index rows, const Index* x_rows, const Index* previous) {
    const GatheredRows<Scalar> inputs{x_rows == nullptr ? x.data + row * x.stride : x.data,
                                      x.stride, x_rows};
    const bool contiguous = previous == nullptr || drops_hidden(w);
    const Scalar* recurrent = drops_hidden(w) ? w.masked.data() : w.h.data();
    const Index n_zero = w.from_zeros ? std::clamp(batch.row_end(0) - row, Index{0}, rows) : 0;
    const GatheredRows<Scalar> hidden{contiguous ? recurrent + row * Pp : recurrent, Pp,
                                      contiguous ? nullptr : previous, n_zero};
    const GatheredRows<Scalar> reset{w.reset.data() + row * Hp, Hp, nullptr, n_zero};
    for (std::size_t group = 0; group < groups_.size(); ++group) {
      groups_[group].accumulate_gradients(w.groups[group], batch.n_rows(), row, rows, inputs,
                                          multiplies_reset(group) ? reset : hidden, range,
                                          panels_of(sums, group, place));
    }
    if (range.end != n_gradient_columns()) return;
    if (cell_.peephole) {
      accumulate_peepholes(batch, row, rows, previous, w, range,
                           panels_of(sums, peephole_sum(), place).data);
    }
    if (norm_) {
      norm_->accumulate_gradients(w.norm, batch.n_rows(), row, rows, range,
                                  panels_of(sums, norm_sum(), place).data);
    }
  };
  const bool gathers = x.of_whole && batch.is_part();
  const Index first_row = batch.offset(steps.begin);
  const Index last_row = batch.row_end(steps.end - 1);
  if (projection_) {
    const Index before = groups_.front().n_columns();
    projection_->accumulate_gradients(
        w.m.data() + first_row * Hp, w.dwhole.data() + first_row * Pp, last_row - first_row,
        {range.block_begin, range.block_end, range.begin - before, range.end - before},
        panels_of(sums, projection_sum(), place).data);
  }
  if (!gathers && batch.is_even()) {
    add(first_row, last_row - first_row, nullptr, nullptr);
    return;
  }
  constexpr Index kRows = 256;
  Index x_rows[kRows];
  Index previous[kRows];
  Index n = 0;
  Index row = first_row;
  for (Index t = steps.begin; t < steps.end; ++t) {
    for (Index i = 0; i < batch.n_active(t); ++i) {
      x_rows[n] = (gathers ? batch.whole_row(t) : batch.offset(t)) + i;
      previous[n] = batch.previous_history_row(t) + i;
      ++n;
      if (n < kRows && row + n < last_row) continue;
      add(row, n, x_rows, previous);
      row += n;
      n = 0;
    }
  }
}

template <class Scalar>
void RecurrentLayer<Scalar>::accumulate_peepholes(const PackedBatch& batch, Index row, Index rows,
                                                  const Index* previous,
                                                  const LayerWorkspace<Scalar>& w,
                                                  const GradientRange& range,
                                                  Scalar* panels) const noexcept {
  const GateGroup<Scalar>& group = groups_.front();
  // With layer normalisation the stash has the gradients of what was normalised.
  const Index width = (norm_ ? kNormed : group.n_gates()) * B;
  const Index last_gate = cell_.n_gates() - 1;
  const Scalar* all_gates =
      norm_ ? LayerNorm<Scalar>::gate_gradients(w.norm) : w.groups.front().gates.data();
  for (Index block = range.block_begin; block < range.block_end; ++block) {
    const Scalar* gates = all_gates + (block * batch.n_rows() + row) * width;
    const Scalar* c = w.c.data() + block * cell_stride(w, batch);
    const Scalar* seen_by_output = w.made_c(cell_) + block * cell_stride(w, batch);
    for (Index k = 0; k < cell_.n_peepholes(); ++k) {
      const bool of_output = k + 1 == cell_.n_peepholes();  // which looks at c_t
      DiagonalAccumulate<Scalar> sum{};
      sum.rows = rows;
      sum.a = gates + (of_output ? last_gate : k) * B;
      sum.a_row_stride = width;
      sum.b = of_output             ? seen_by_output + (batch.n_sequences() + row) * B
              : previous == nullptr ? c + row * B
                                    : c;
      sum.b_row_stride = B;
      sum.b_rows = of_output ? nullptr : previous;
      sum.c = panels + (block - range.block_begin) * peephole_part() + k * B;
      group.kernels().diagonal_accumulate(sum);
    }
  }
}

template <class Scalar>
void RecurrentLayer<Scalar>::copy_peepholes(const Scalar* parameters, Index block,
                                            Scalar* to) const noexcept {
  const Scalar* from = parameters + peephole_offset_ + block * B;
  for (Index k = 0; k < cell_.n_peepholes(); ++k) {
    std::copy_n(from + k * hidden_size_, std::min(B, hidden_size_ - block * B), to + k * B);
  }
}

template <class Scalar>
void RecurrentLayer<Scalar>::unpack_panel(std::size_t k, const Scalar* panel, Index block,
                                          Index begin, Index end, Scalar* gradient) const noexcept {
  if (k < groups_.size()) {
    groups_[k].unpack_gradient(panel, block, begin, end, gradient, gradient + hidden_offset_,
                               gradient + bias_offset_);
    return;
  }
  if (projection_ && k == projection_sum()) {
    projection_->unpack_gradient(panel, block, gradient + projection_offset_);
    return;
  }
  if (norm_ && k == norm_sum()) {
    norm_->unpack_gradient(panel, block, gradient);
    return;
  }
  Scalar* to = gradient + peephole_offset_ + block * B;
  for (Index n = 0; n < cell_.n_peepholes(); ++n) {
    std::copy_n(panel + n * B, std::min(B, hidden_size_ - block * B), to + n * hidden_size_);
  }
}

template <class Scalar>
void RecurrentLayer<Scalar>::pack_panel(std::size_t k, const Scalar* gradient, Index block,
                                        Index begin, Index end, Scalar* panel) const noexcept {
  if (k < groups_.size()) {
    groups_[k].pack_gradient(gradient, gradient + hidden_offset_, gradient + bias_offset_, block,
                             begin, end, panel);
  } else if (projection_ && k == projection_sum()) {
    projection_->pack_gradient(gradient + projection_offset_, block, panel);
  } else if (norm_ && k == norm_sum()) {
    norm_->pack_gradient(gradient, block, panel);
  } else {
    copy_peepholes(gradient, block, panel);
  }
}

template <class Scalar>
void RecurrentLayer<Scalar>::accumulate_gradients(const PackedBatch& batch, Steps steps,
                                                  const BatchRows<const Scalar>& x,
                                                  const LayerWorkspace<Scalar>& w,
                                                  LayerGradients<Scalar>& sums,
                                                  Workers& workers) const noexcept {
  const Index columns = n_gradient_columns();
  // By units where they share out evenly: gate gradients are then read by one thread alone.
  if (n_blocks_ % workers.size() == 0 || n_blocks_ >= Index{8} * workers.size()) {
    workers.each_range(n_blocks_, 1, [&](Index begin, Index end) {
      accumulate_range(batch, steps, x, w, {begin, end, 0, columns}, sums, {begin});
    });
  } else {
    workers.each_range(columns, 6, [&](Index begin, Index end) {
      accumulate_range(batch, steps, x, w, {0, n_blocks_, begin, end}, sums, kWholePanels);
    });
  }
}

template <class Scalar>
void RecurrentLayer<Scalar>::get_gradients(const std::vector<LayerGradients<Scalar>*>& parts,
                                           Scalar* gradient, Workers& workers) const noexcept {
  workers.each_range(n_blocks_, 1, [&](Index begin, Index end) {
    for (Index block = begin; block < end; ++block) {
      for (std::size_t k = 0; k < n_sums(); ++k) {
        const Index size = panel_size(k, kWholePanels);
        Scalar* sum = parts.front()->panels[k].data() + block * size;
        for (std::size_t part = 1; part < parts.size(); ++part) {
          const Scalar* more = parts[part]->panels[k].data() + block * size;
          for (Index j = 0; j < size; ++j) sum[j] += more[j];
        }
        unpack_panel(k, sum, block, 0, n_gradient_columns(), gradient);
      }
    }
  });
}

template <class Scalar>
void RecurrentLayer<Scalar>::add_gradients(const PackedBatch& batch,
                                           const BatchRows<const Scalar>& x,
                                           const LayerWorkspace<Scalar>& w,
                                           LayerGradients<Scalar>& scratch, Index rows_of_run,
                                           bool begins, Scalar* gradient,
                                           Workers& workers) const noexcept {
  const Index columns = n_gradient_columns();
  const Index pieces = std::min<Index>(workers.size(), n_blocks_);
  // body(number of the sum, block, its panel); what is in no group has one panel for all columns.
  const auto each_panel = [&](const GradientRange& range, const SumPlace& place, bool of_all,
                              auto&& body) {
    for (std::size_t k = 0; k < (of_all ? n_sums() : groups_.size()); ++k) {
      const GradientPanels<Scalar> panels = panels_of(scratch, k, place);
      for (Index block = range.block_begin; block < range.block_end; ++block) {
        body(k, block, panels.data + (block - range.block_begin) * panels.stride);
      }
    }
  };
  workers.each(pieces, [&](Index piece) {
    const Index piece_end = n_blocks_ * (piece + 1) / pieces;
    for (Index first = n_blocks_ * piece / pieces; first < piece_end; first += kBlocksAtOnce) {
      const Index last = std::min(first + kBlocksAtOnce, piece_end);
      for (Index begin = 0; begin < columns; begin += kColumnsAtOnce) {
        const Index end = std::min(begin + kColumnsAtOnce, columns);
        const GradientRange range{first, last, begin, end};
        const SumPlace place{piece * kBlocksAtOnce, begin, kColumnsAtOnce};
        each_panel(range, place, begin == 0, [&](std::size_t k, Index block, Scalar* panel) {
          if (begins) {
            std::fill_n(panel, panel_size(k, place), Scalar{0});
          } else {
            pack_panel(k, gradient, block, begin, end, panel);
          }
        });
        for (Index t_end = batch.n_steps(); t_end > 0;) {
          const Steps steps = batch.steps_before(t_end, rows_of_run);
          accumulate_range(batch, steps, x, w, range, scratch, place);
          t_end = steps.begin;
        }
        each_panel(range, place, end == columns,
                   [&](std::size_t k, Index block, const Scalar* panel) {
                     unpack_panel(k, panel, block, begin, end, gradient);
                   });
      }
    }
  });
}

template class RecurrentLayer<float>;
template class RecurrentLayer<double>;

}  // namespace lstmcore
