#include "layers/projection.hpp"

#include "layers/panels.hpp"

namespace lstmcore {

template <class Scalar>
Projection<Scalar>::Projection(Index hidden_size, Index output_size,
                               const KernelTable<Scalar>& kernels)
    : hidden_size_(hidden_size),
      output_size_(output_size),
      n_blocks_(ceil_div(hidden_size, B)),
      n_output_blocks_(ceil_div(output_size, B)),
      kernels_(&kernels) {}

template <class Scalar>
void Projection<Scalar>::reserve_panels() {
  forward_panels_.reserve_zeroed(checked_product(hidden_size_, n_output_blocks_ * B));
  backward_panels_.reserve_zeroed(checked_product(output_size_, n_blocks_ * B));
}

// Panels were zeroed when reserved and only real elements are ever written: padding stays zero.
template <class Scalar>
void Projection<Scalar>::pack_block(const Scalar* w_hr, Index block) noexcept {
  copy_columns(w_hr, block, forward_panels_.data(), hidden_size_, block * B);
  for (Index p = 0; p < output_size_; ++p) {
    std::copy_n(w_hr + p * hidden_size_ + block * B, units(block),
                panel_row(backward_panels_.data(), n_blocks_, output_size_, p, block));
  }
}

template <class Scalar>
void Projection<Scalar>::forward(const Scalar* m, Scalar* h, Index rows, Index block_begin,
                                 Index block_end) const noexcept {
  PanelGemm<Scalar> product = rows_product(m, n_blocks_ * B, hidden_size_, rows);
  product.panels = forward_panels_.data() + block_begin / 4 * product.panel_stride;
  product.n_output_blocks = block_end - block_begin;
  product.half_block = half_block_of<Scalar>(output_size_) - block_begin;
  product.c = h + block_begin * B;
  product.c_row_stride = n_output_blocks_ * B;
  kernels_->panel_gemm(product);
}

template <class Scalar>
void Projection<Scalar>::backward(const Scalar* dh, Scalar* dm, Index rows, Index block_begin,
                                  Index block_end) const noexcept {
  PanelGemm<Scalar> product = rows_product(dh, n_output_blocks_ * B, output_size_, rows);
  product.panels = backward_panels_.data() + block_begin / 4 * product.panel_stride;
  product.n_output_blocks = block_end - block_begin;
  product.half_block = half_block_of<Scalar>(hidden_size_) - block_begin;
  product.c = dm + block_begin * B;
  product.c_row_stride = n_blocks_ * B;
  kernels_->panel_gemm(product);
}

template <class Scalar>
void Projection<Scalar>::accumulate_gradients(const Scalar* m, const Scalar* dh, Index rows,
                                              const GradientRange& range,
                                              Scalar* panels) const noexcept {
  for (Index block = range.block_begin; block < range.block_end; ++block) {
    OuterAccumulate<Scalar> product{};
    product.rows = rows;
    product.a = m + block * B;
    product.a_row_stride = n_blocks_ * B;
    product.k_begin = std::max(range.begin, Index{0});
    product.k_end = std::min(range.end, units(block));
    product.n_panels = 1;
    product.b_row_stride = n_output_blocks_ * B;
    for (Index first = 0; first < n_output_blocks_ && product.k_begin < product.k_end; first += 4) {
      product.b = dh + first * B;
      product.n_blocks = std::min<Index>(4, n_output_blocks_ - first);
      product.c = panel_row(panels, n_output_blocks_, B, product.k_begin, first);
      kernels_->outer_accumulate(product);
    }
    panels += gradient_panel_size();
  }
}

template <class Scalar>
void Projection<Scalar>::unpack_gradient(const Scalar* panel, Index block,
                                         Scalar* dw_hr) const noexcept {
  for (Index out = 0; out < n_output_blocks_; ++out) {
    kernels_->transpose(panel_row(panel, n_output_blocks_, B, 0, out),
                        panel_width<Scalar>(n_output_blocks_, out),
                        dw_hr + out * B * hidden_size_ + block * B, hidden_size_, units(block),
                        std::min(B, output_size_ - out * B));
  }
}

template <class Scalar>
void Projection<Scalar>::pack_gradient(const Scalar* dw_hr, Index block,
                                       Scalar* panel) const noexcept {
  std::fill_n(panel, gradient_panel_size(), Scalar{0});
  copy_columns(dw_hr, block, panel, B, 0);
}

// The columns of W_hr that belong to a block, to the rows of panels from row `first` on.
template <class Scalar>
void Projection<Scalar>::copy_columns(const Scalar* w_hr, Index block, Scalar* panels, Index k_size,
                                      Index first) const noexcept {
  for (Index out = 0; out < n_output_blocks_; ++out) {
    kernels_->transpose(w_hr + out * B * hidden_size_ + block * B, hidden_size_,
                        panel_row(panels, n_output_blocks_, k_size, first, out),
                        panel_width<Scalar>(n_output_blocks_, out),
                        std::min(B, output_size_ - out * B), units(block));
  }
}

template class Projection<float>;
template class Projection<double>;

}  // namespace lstmcore
