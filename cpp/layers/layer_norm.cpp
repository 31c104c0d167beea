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
void LayerNorm<Scalar>::reserve(NormWorkspace<Scalar>& w, Index n_sequences) const {
  constexpr Index gates = cell_shape(CellKernel::kLstmSums).n_gates;
  w.sums.reserve(checked_product(n_sequences, gates, n_blocks_ * B));
}

template <class Scalar>
void LayerNorm<Scalar>::reserve_history(NormWorkspace<Scalar>& w, Index n_rows) const {
  w.normed.reserve(checked_product(n_rows, kNormed, n_blocks_ * B));
  w.deviations.reserve(checked_product(n_rows, 3));
}

template <class Scalar>
void LayerNorm<Scalar>::accumulate_gradients(const NormWorkspace<Scalar>& w, Index n_rows,
                                             Index row, Index rows, const GradientRange& range,
                                             Scalar* panels) const noexcept {
  // So few rows that what all of these sums read of them stays in the first cache.
  constexpr Index kRows = 32;
  for (Index block = range.block_begin; block < range.block_end; ++block) {
    for (Index first = 0; first < rows; first += kRows) {
      const Scalar* normed = w.normed.data() + (block * n_rows + row + first) * kNormed * B;
      const auto add = [&](Index n_blocks, Index k, Index gradient, const Scalar* b) {
        DiagonalAccumulate<Scalar> sum{};
        sum.rows = std::min(kRows, rows - first);
        sum.n_blocks = n_blocks;
        sum.a = normed + gradient * B;
        sum.a_row_stride = kNormed * B;
        sum.b = b;
        sum.b_row_stride = kNormed * B;
        sum.c = panels + k * B;
        kernels_->diagonal_accumulate(sum);
      };
      add(4, 0, kGradient, nullptr);
      add(4, kGainX, kGradient, normed);
      add(4, kGainH, kGradient, normed + 4 * B);
      add(1, kGainC, kGradientC, normed + kNormedC * B);
      add(1, kBiasC, kGradientC, nullptr);
    }
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
