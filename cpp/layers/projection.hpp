// The projection of what an LSTM's cells put out: h_t = W_hr m_t, m_t = o tanh(c_t). Sak, Senior,
// Beaufays: Long short-term memory based recurrent neural network architectures for large
// vocabulary speech recognition (2014). H cells, P outputs, W_hr (P, H); matrices as wide as
// padded.
#pragma once

#include <algorithm>

#include "base/aligned_buffer.hpp"
#include "kernels/kernel_table.hpp"
#include "layers/gate_group.hpp"

namespace lstmcore {

template <class Scalar>
class Projection {
 public:
  static constexpr Index B = kBlock<Scalar>;

  Projection(Index hidden_size, Index output_size, const KernelTable<Scalar>& kernels);

  void reserve_panels();
  // The columns of W_hr that belong to block `block` of cells.
  void pack_block(const Scalar* w_hr, Index block) noexcept;

  // h = W_hr m for the blocks of outputs [block_begin, block_end), and dm = dh W_hr for blocks of
  // cells; the first block is a multiple of 4.
  void forward(const Scalar* m, Scalar* h, Index rows, Index block_begin,
               Index block_end) const noexcept;
  void backward(const Scalar* dh, Scalar* dm, Index rows, Index block_begin,
                Index block_end) const noexcept;

  // The gradient of W_hr: for each block of cells a panel, whose columns are the cells.
  Index gradient_panel_size() const noexcept { return B * n_output_blocks_ * B; }
  // Adds, for each element of a range, one sum over all rows in ascending order; `panels` begins
  // with the panel of range.block_begin.
  void accumulate_gradients(const Scalar* m, const Scalar* dh, Index rows,
                            const GradientRange& range, Scalar* panels) const noexcept;
  // The panel of a block to where its elements stand in W_hr, and back.
  void unpack_gradient(const Scalar* panel, Index block, Scalar* dw_hr) const noexcept;
  void pack_gradient(const Scalar* dw_hr, Index block, Scalar* panel) const noexcept;

 private:
  // The cells of a block.
  Index units(Index block) const noexcept { return std::min(B, hidden_size_ - block * B); }
  void copy_columns(const Scalar* w_hr, Index block, Scalar* panels, Index k_size,
                    Index first) const noexcept;

  Index hidden_size_;
  Index output_size_;
  Index n_blocks_;
  Index n_output_blocks_;
  const KernelTable<Scalar>* kernels_;
  AlignedBuffer<Scalar> forward_panels_;   // [panel][H][4][B]
  AlignedBuffer<Scalar> backward_panels_;  // [panel][P][4][B]
};

}  // namespace lstmcore
