// Layer normalisation of an LSTM: its gains and biases, and their gradients. The equations stand in
// kernels/cells/lstm_norm.inc. R packed rows, H hidden units, Hb blocks.
#pragma once

#include <algorithm>

#include "base/aligned_buffer.hpp"
#include "kernels/kernel_table.hpp"
#include "layers/gate_group.hpp"

namespace lstmcore {

// What a batch needs in memory: sums of the step under way, and what it leaves for BPTT.
template <class Scalar>
struct NormWorkspace {
  AlignedBuffer<Scalar> sums;  // [Hb][N][gates][B] of a step
  // What a batch leaves for BPTT.
  AlignedBuffer<Scalar> normed;      // [Hb][R][kNormed][B]
  AlignedBuffer<Scalar> deviations;  // (R, 3)
};

template <class Scalar>
class LayerNorm {
 public:
  static constexpr Index B = kBlock<Scalar>;

  // Where the biases of the gates (4 H) and the rest (10 H, array behind array as cell_arrays has
  // them) begin in the parameters.
  LayerNorm(Index hidden_size, Index bias_offset, Index offset, const KernelTable<Scalar>& kernels)
      : hidden_size_(hidden_size),
        n_blocks_(ceil_div(hidden_size, B)),
        bias_offset_(bias_offset),
        offset_(offset),
        kernels_(&kernels) {}

  // The parameters as kernels read them go into `options`.
  void reserve_panels(CellOptions<Scalar>& options);
  void pack_block(const Scalar* parameters, Index block) noexcept {
    copy_block(parameters, block, weights_.data() + block * kNormWeights * B);
  }

  void reserve(NormWorkspace<Scalar>& w, Index n_sequences) const;
  void reserve_history(NormWorkspace<Scalar>& w, Index n_rows) const;
  // Where the sums of a step stand whose first row is `row` of n_sequences.
  void set_sums(CellForward<Scalar>& step, NormWorkspace<Scalar>& w, Index row,
                Index n_sequences) const noexcept {
    constexpr Index width = cell_shape(CellKernel::kLstmSums).n_gates * B;
    step.sums = w.sums.data() + row * width;
    step.sums_block_stride = n_sequences * width;
  }
  // Where a step, forward or backward, whose first row is `row` of n_rows has its part of that.
  template <class Step>
  void set_history(Step& step, NormWorkspace<Scalar>& w, Index row, Index n_rows) const noexcept {
    step.normed = w.normed.data() + row * kNormed * B;
    step.normed_block_stride = n_rows * kNormed * B;
    step.deviations = w.deviations.data() + row * 3;
  }
  // Gradients of the four gates' sums of row 0 in block 0, after BPTT; the next row is kNormed
  // blocks behind.
  static const Scalar* gate_gradients(const NormWorkspace<Scalar>& w) noexcept {
    return w.normed.data() + kGradient * B;
  }

  // The gradient: for each block a panel [kNormParameters][B].
  static constexpr Index gradient_panel_size() noexcept { return kNormParameters * B; }
  // Adds, for each element of the blocks of a range, one sum over `rows` rows from `row` on in
  // ascending order; `panels` begins with the panel of range.block_begin.
  void accumulate_gradients(const NormWorkspace<Scalar>& w, Index n_rows, Index row, Index rows,
                            const GradientRange& range, Scalar* panels) const noexcept;
  // The panel of a block to where its elements stand in the parameters, and back.
  void unpack_gradient(const Scalar* panel, Index block, Scalar* gradient) const noexcept;
  void pack_gradient(const Scalar* gradient, Index block, Scalar* panel) const noexcept {
    copy_block(gradient, block, panel);
  }

 private:
  // The units of a block; where those of parameter k of it begin in the parameters.
  Index units(Index block) const noexcept { return std::min(B, hidden_size_ - block * B); }
  Index place(Index k, Index block) const noexcept {
    const Index array = k < kGainX ? bias_offset_ : offset_ - kGainX * hidden_size_;
    return array + k * hidden_size_ + block * B;
  }
  void copy_block(const Scalar* parameters, Index block, Scalar* to) const noexcept;

  Index hidden_size_;
  Index n_blocks_;
  Index bias_offset_;
  Index offset_;
  const KernelTable<Scalar>* kernels_;
  AlignedBuffer<Scalar> weights_;  // [Hb][kNormWeights][B]
};

}  // namespace lstmcore
