// The layout of the weight panels that KernelTable::panel_gemm reads: four blocks of outputs a
// panel, k inside it; the last panel is as narrow as what is left.
#pragma once

#include <algorithm>

#include "kernels/kernel_table.hpp"

namespace lstmcore {

// Width of the panel that output block `block` is in.
template <class Scalar>
Index panel_width(Index n_output_blocks, Index block) {
  return std::min<Index>(4, n_output_blocks - block / 4 * 4) * kBlock<Scalar>;
}

// Where the weights of column k for output block `block` begin.
template <class Scalar>
Scalar* panel_row(Scalar* panels, Index n_output_blocks, Index k_size, Index k, Index block) {
  constexpr Index B = kBlock<Scalar>;
  const Index first = block / 4 * 4;
  const Index width = panel_width<Scalar>(n_output_blocks, block);
  return panels + first * B * k_size + k * width + (block - first) * B;
}

// A product of plain rows of `a`, k_size of each, into plain rows.
template <class Scalar>
PanelGemm<Scalar> rows_product(const Scalar* a, Index a_row_stride, Index k_size, Index rows) {
  PanelGemm<Scalar> product{};
  product.rows = rows;
  product.a = a;
  product.a_row_stride = a_row_stride;
  product.n_k_blocks = 1;
  product.k_block = k_size;
  product.panel_stride = kPanel<Scalar> * k_size;
  product.c_panel_stride = kPanel<Scalar>;
  return product;
}

}  // namespace lstmcore
