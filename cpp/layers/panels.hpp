// The layout of the weight panels that KernelTable::panel_gemm reads: four blocks of outputs a
// panel, k inside it; the last panel is as narrow as what is left.
#pragma once

#include <algorithm>

#include "kernels/kernel_table.hpp"

namespace lstmcore {

// Where the weights of column k for output block `block` begin.
template <class Scalar>
Scalar* panel_row(Scalar* panels, Index n_output_blocks, Index k_size, Index k, Index block) {
  constexpr Index B = kBlock<Scalar>;
  const Index first = block / 4 * 4;
  const Index width = std::min<Index>(4, n_output_blocks - first) * B;
  return panels + first * B * k_size + k * width + (block - first) * B;
}

}  // namespace lstmcore
