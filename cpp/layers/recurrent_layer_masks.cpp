// Masks, and what stands around a cell: dropout of h_{t-1} where W_hh multiplies it, the same for
// all steps of a sequence (Gal and Ghahramani: A theoretically grounded application of dropout in
// recurrent neural networks, 2016), and zoneout, by which a unit of h_t stays what it was (Krueger
// et al.: Zoneout: regularizing RNNs by randomly preserving hidden activations, 2016).
#include <algorithm>

#include "layers/recurrent_layer.hpp"

namespace lstmcore {

template <class Scalar>
void RecurrentLayer<Scalar>::draw_masks(const PackedBatch& batch, const Dropout& dropout,
                                        Index number, LayerWorkspace<Scalar>& w, Index n_begin,
                                        Index n_end) const noexcept {
  if (!w.masks.drawn) return;
  const KernelTable<Scalar>& kernels = groups_.front().kernels();
  const Index Pp = padded_output_size();
  const Index Hp = padded_hidden_size();
  const Index stride = batch.n_rows() * B;
  for (Index n = n_begin; n < n_end && cell_.hidden_dropout > 0; ++n) {
    dropout.draw(kernels, MaskKind::kHidden, cell_.hidden_dropout, n, number, 0, Pp, Scalar{0},
                 Dropout::kept_scale<Scalar>(cell_.hidden_dropout), w.masks.hidden.data() + n * Pp,
                 B);
  }
  const Index steps = cell_.has_step_masks() && n_begin < n_end ? batch.length(n_begin) : 0;
  for (Index t = 0; t < steps; ++t) {
    for (Index n = n_begin; n < std::min(n_end, batch.n_active(t)); ++n) {
      const Index row = batch.offset(t) + n;
      const Index step = dropout.step(n, t);
      if (cell_.zoneout_hidden > 0) {
        dropout.draw(kernels, MaskKind::kZoneoutHidden, cell_.zoneout_hidden, n, number, step, Pp,
                     Scalar{1}, Scalar{0}, w.masks.zoneout_hidden.data() + row * Pp, B);
      }
      if (cell_.zoneout_cell > 0) {
        dropout.draw(kernels, MaskKind::kZoneoutCell, cell_.zoneout_cell, n, number, step, Hp,
                     Scalar{1}, Scalar{0}, w.masks.zoneout_cell.data() + row * B, stride);
      }
      if (cell_.recurrent_dropout > 0) {
        dropout.draw(kernels, MaskKind::kCandidate, cell_.recurrent_dropout, n, number, step, Hp,
                     Scalar{0}, Dropout::kept_scale<Scalar>(cell_.recurrent_dropout),
                     w.masks.candidate.data() + row * B, stride);
      }
    }
  }
}

template <class Scalar>
void RecurrentLayer<Scalar>::mask_hidden(const PackedBatch& batch, LayerWorkspace<Scalar>& w,
                                         Index t, Index n_begin, Index n_end, Index block_begin,
                                         Index block_end) const noexcept {
  const Index Pp = padded_output_size();
  for (Index n = n_begin; n < std::min(n_end, batch.n_active(t)); ++n) {
    const Scalar* mask = w.masks.hidden.data() + n * Pp;
    const Scalar* h = w.h.data() + (batch.previous_history_row(t) + n) * Pp;
    Scalar* to = w.masked.data() + (batch.offset(t) + n) * Pp;
    for (Index j = block_begin * B; j < block_end * B; ++j) to[j] = mask[j] * h[j];
  }
}

template <class Scalar>
void RecurrentLayer<Scalar>::zone_out(const PackedBatch& batch, LayerWorkspace<Scalar>& w, Index t,
                                      Index n_begin, Index n_end, Index block_begin,
                                      Index block_end) const noexcept {
  const Index Pp = padded_output_size();
  const auto expected = static_cast<Scalar>(cell_.zoneout_hidden);
  for (Index n = n_begin; n < std::min(n_end, batch.n_active(t)); ++n) {
    const Scalar* before = w.h.data() + (batch.previous_history_row(t) + n) * Pp;
    const Scalar* stays =
        w.masks.drawn ? w.masks.zoneout_hidden.data() + (batch.offset(t) + n) * Pp : nullptr;
    Scalar* h = w.h.data() + (batch.history_row(t) + n) * Pp;
    for (Index j = block_begin * B; j < block_end * B; ++j) {
      const Scalar z = stays == nullptr ? expected : stays[j];
      h[j] = z * before[j] + (1 - z) * h[j];
    }
  }
}

template <class Scalar>
void RecurrentLayer<Scalar>::gather_gradient(const PackedBatch& batch,
                                             const BatchRows<const Scalar>& dy,
                                             LayerWorkspace<Scalar>& w, Index t, Index n_begin,
                                             Index n_end, Index block_begin,
                                             Index block_end) const noexcept {
  const Index Pp = padded_output_size();
  const Index begin = block_begin * B;
  const Index end = block_end * B;
  const auto expected = static_cast<Scalar>(cell_.zoneout_hidden);
  for (Index n = n_begin; n < std::min(n_end, batch.n_active(t)); ++n) {
    const Index row = batch.offset(t) + n;
    const Scalar* dh = w.dh.data() + n * Pp;
    const Scalar* from_above = dy.data == nullptr ? nullptr : dy.at(batch, t) + n * dy.stride;
    Scalar* to = projection_ ? w.dwhole.data() + row * Pp : w.dh.data() + n * Pp;
    const Index given = from_above == nullptr ? begin : std::clamp(output_size_, begin, end);
    for (Index j = begin; j < given; ++j) to[j] = dh[j] + from_above[j];
    for (Index j = given; j < end; ++j) to[j] = dh[j];
    if (zones_out()) {
      const Scalar* stays = w.masks.drawn ? w.masks.zoneout_hidden.data() + row * Pp : nullptr;
      Scalar* dcarried = w.dcarried.data() + n * Pp;
      for (Index j = begin; j < end; ++j) {
        const Scalar z = stays == nullptr ? expected : stays[j];
        dcarried[j] = z * to[j];
        to[j] *= 1 - z;
      }
    }
    if (drops_hidden(w)) std::fill_n(w.dmasked.data() + n * Pp + begin, end - begin, Scalar{0});
  }
}

template <class Scalar>
void RecurrentLayer<Scalar>::finish_gradient(const PackedBatch& batch, LayerWorkspace<Scalar>& w,
                                             Index t, Index n_begin, Index n_end, Index block_begin,
                                             Index block_end) const noexcept {
  const Index Pp = padded_output_size();
  const Index begin = block_begin * B;
  const Index end = block_end * B;
  for (Index n = n_begin; n < std::min(n_end, batch.n_active(t)); ++n) {
    Scalar* dh = w.dh.data() + n * Pp;
    if (drops_hidden(w)) {
      const Scalar* mask = w.masks.hidden.data() + n * Pp;
      const Scalar* dmasked = w.dmasked.data() + n * Pp;
      const bool adds = cell_.carries_hidden();
      for (Index j = begin; j < end; ++j) dh[j] = (adds ? dh[j] : 0) + mask[j] * dmasked[j];
    }
    if (zones_out()) {
      const Scalar* dcarried = w.dcarried.data() + n * Pp;
      for (Index j = begin; j < end; ++j) dh[j] += dcarried[j];
    }
  }
}

template class RecurrentLayer<float>;
template class RecurrentLayer<double>;

}  // namespace lstmcore
