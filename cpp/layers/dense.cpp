#include "layers/dense.hpp"

#include <algorithm>

#include "layers/panels.hpp"

namespace lstmcore {

template <class Scalar>
Dense<Scalar>::Dense(Index n_features, Index n_outputs, const KernelTable<Scalar>& kernels)
    : n_features_(n_features),
      n_outputs_(n_outputs),
      n_feature_blocks_(ceil_div(n_features, B)),
      n_output_blocks_(ceil_div(n_outputs, B)),
      kernels_(&kernels) {}

template <class Scalar>
void Dense<Scalar>::reserve_panels() {
  forward_panels_.reserve_zeroed(checked_product(n_features_, padded_outputs()));
  bias_.reserve_zeroed(padded_outputs());
  backward_panels_.reserve_zeroed(checked_product(n_outputs_, padded_features()));
}

// Panels were zeroed when reserved and only real elements are ever written: padding stays zero.
template <class Scalar>
void Dense<Scalar>::pack(const Scalar* parameters) noexcept {
  const Scalar* b = parameters + n_outputs_ * n_features_;
  for (Index out = 0; out < n_outputs_; ++out) {
    const Scalar* row = parameters + out * n_features_;
    for (Index k = 0; k < n_features_; ++k) {
      panel_row(forward_panels_.data(), n_output_blocks_, n_features_, k, out / B)[out % B] =
          row[k];
    }
    for (Index block = 0; block < n_feature_blocks_; ++block) {
      std::copy_n(row + block * B, std::min(B, n_features_ - block * B),
                  panel_row(backward_panels_.data(), n_feature_blocks_, n_outputs_, out, block));
    }
    bias_.data()[out] = b[out];
  }
}

template <class Scalar>
void Dense<Scalar>::forward(const Scalar* features, Scalar* scores, Index rows) const noexcept {
  PanelGemm<Scalar> product = rows_product(features, padded_features(), n_features_, rows);
  product.panels = forward_panels_.data();
  product.n_output_blocks = n_output_blocks_;
  product.bias = bias_.data();
  product.c = scores;
  product.c_row_stride = padded_outputs();
  kernels_->panel_gemm(product);
}

template <class Scalar>
void Dense<Scalar>::backward(const Scalar* dscores, Scalar* dfeatures, Index rows,
                             bool accumulate) const noexcept {
  PanelGemm<Scalar> product = rows_product(dscores, padded_outputs(), n_outputs_, rows);
  product.panels = backward_panels_.data();
  product.n_output_blocks = n_feature_blocks_;
  product.accumulate = accumulate;
  product.c = dfeatures;
  product.c_row_stride = padded_features();
  kernels_->panel_gemm(product);
}

template <class Scalar>
void Dense<Scalar>::weight_gradients(const Scalar* features, const Scalar* dscores, Index rows,
                                     Scalar* gradient_panels, Scalar* gradient,
                                     Workers& workers) const noexcept {
  constexpr Index kColumns = 24;  // at least four tiles for each thread
  std::fill_n(gradient_panels, gradient_panel_size(), Scalar{0});
  workers.each_range(n_features_ + 1, kColumns, [&](Index begin, Index end) {
    add_gradient_columns(features, dscores, rows, gradient_panels, begin, end);
  });
  unpack_gradient(gradient_panels, gradient);
}

template <class Scalar>
void Dense<Scalar>::unpack_gradient(const Scalar* gradient_panels,
                                    Scalar* gradient) const noexcept {
  const Index columns = n_features_ + 1;
  for (Index out = 0; out < n_outputs_; ++out) {
    for (Index k = 0; k < n_features_; ++k) {
      gradient[out * n_features_ + k] =
          panel_row(gradient_panels, n_output_blocks_, columns, k, out / B)[out % B];
    }
    gradient[n_outputs_ * n_features_ + out] =
        panel_row(gradient_panels, n_output_blocks_, columns, n_features_, out / B)[out % B];
  }
}

template <class Scalar>
void Dense<Scalar>::add_gradient_columns(const Scalar* features, const Scalar* dscores, Index rows,
                                         Scalar* gradient_panels, Index begin,
                                         Index end) const noexcept {
  const Index columns = n_features_ + 1;  // the last is the bias
  for (Index first = 0; first < n_output_blocks_ && begin < end; first += 4) {
    OuterAccumulate<Scalar> product{};
    product.rows = rows;
    product.a = features;
    product.a_row_stride = padded_features();
    product.k_begin = begin;
    product.k_end = end;
    product.ones = n_features_;
    product.n_panels = 1;
    product.b = dscores + first * B;
    product.b_row_stride = padded_outputs();
    product.n_blocks = std::min<Index>(4, n_output_blocks_ - first);
    product.c = gradient_panels + first * B * columns + begin * product.n_blocks * B;
    kernels_->outer_accumulate(product);
  }
}

template class Dense<float>;
template class Dense<double>;

}  // namespace lstmcore
