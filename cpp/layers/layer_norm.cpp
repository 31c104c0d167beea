#include "layers/layer_norm.hpp"

namespace lstmcore {

// Zeroed, and only real elements are ever written: padding stays zero.
template <class Scalar>
void LayerNorm<Scalar>::reserve_panels(CellOptions<Scalar>& options) {
  Scalar* weights = weights_.reserve_zeroed(checked_product(n_blocks_, kNormWeights, B));
  for (Index block = 0; block < n_blocks_; ++block) {
    std::fill_n(weights + (block * kNormWeights + kReal) * B, units(block), Scalar{1});
  }
  options.norm = weights;
  options.n_units = hidden_size_;
}

template <class Scalar>
void LayerNorm<Scalar>::reserve(NormWorkspace<Scalar>& w, Index n_rows) const {
  w.normed.reserve(checked_product(n_rows, kNormed, n_blocks_ * B));
  w.deviations.reserve(checked_product(n_rows, 3));
}

template <class Scalar>
void LayerNorm<Scalar>::accumulate_gradients(const NormWorkspace<Scalar>& w, Index n_rows,
                                             Index row, Index rows, const GradientRange& range,
                                             Scalar* panels) const noexcept {
  for (Index block = range.block_begin; block < range.block_end; ++block) {
    const Scalar* normed = w.normed.data() + (block * n_rows + row) * kNormed * B;
    const auto add = [&](Index k, Index gradient, const Scalar* b) {
      DiagonalAccumulate<Scalar> sum{};
      sum.rows = rows;
      sum.a = normed + gradient * B;
      sum.a_row_stride = kNormed * B;
      sum.b = b;
      sum.b_row_stride = kNormed * B;
      sum.c = panels + k * B;
      kernels_->diagonal_accumulate(sum);
    };
    for (Index gate = 0; gate < 4; ++gate) {
      add(gate, kGradient + gate, nullptr);
      add(kGainX + gate, kGradient + gate, normed + gate * B);
      add(kGainH + gate, kGradient + gate, normed + (4 + gate) * B);
    }
    add(kGainC, kGradientC, normed + kNormedC * B);
    add(kBiasC, kGradientC, nullptr);
    panels += gradient_panel_size();
  }
}

template <class Scalar>
void LayerNorm<Scalar>::unpack_gradient(const Scalar* panel, Index block,
                                        Scalar* gradient) const noexcept {
  for (Index k = 0; k < kNormParameters; ++k) {
    std::copy_n(panel + k * B, units(block), gradient + place(k, block));
  }
}

template <class Scalar>
void LayerNorm<Scalar>::copy_block(const Scalar* parameters, Index block,
                                   Scalar* to) const noexcept {
  for (Index k = 0; k < kNormParameters; ++k) {
    std::copy_n(parameters + place(k, block), units(block), to + k * B);
  }
}

template class LayerNorm<float>;
template class LayerNorm<double>;

}  // namespace lstmcore
