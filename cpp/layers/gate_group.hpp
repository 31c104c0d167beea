// The weights of one group of gates: packed for the kernels, and the products with them.
//
// W_ih (.., I), W_hh (.., P) and b stand in the parameters gate by gate; here each block of B
// hidden units has a panel with the columns of all gates side by side. R packed rows, G gates, Hb
// blocks.
#pragma once

#include <algorithm>

#include "base/aligned_buffer.hpp"
#include "kernels/kernel_table.hpp"
#include "layers/cell_spec.hpp"
#include "layers/packed_batch.hpp"

namespace lstmcore {

// Bytes of weights that a thread can't keep in its own cache beside what it works on.
inline constexpr Index kBeyondOwnCache = 1 << 20;

// What a batch leaves in memory for one group.
template <class Scalar>
struct GroupWorkspace {
  AlignedBuffer<Scalar> gates;   // [Hb][R][G][B]; BPTT overwrites it with the gate gradients
  AlignedBuffer<Scalar> starts;  // [Hb][rows][G][B] of forward_together in inference
};

// A matrix that the weight gradients multiply: row r of it, or rows[r]. Its first n_zero rows are
// known to be zeros.
template <class Scalar>
struct GatheredRows {
  const Scalar* data;
  Index stride;
  const Index* rows;
  Index n_zero = 0;
};

// Some of the gradients: blocks of hidden units, and columns of their panels.
struct GradientRange {
  Index block_begin, block_end;
  Index begin, end;
};

// Where the sums of such a range are kept: a panel for each block, `stride` apart, of the columns
// from first_column on.
template <class Scalar>
struct GradientPanels {
  Scalar* data;
  Index stride;
  Index first_column;
};

template <class Scalar>
class GateGroup {
 public:
  static constexpr Index B = kBlock<Scalar>;

  GateGroup(const GateRows& rows, Index input_size, Index recurrent_size, Index hidden_size,
            bool with_dx, const KernelTable<Scalar>& kernels);

  Index n_gates() const noexcept { return shape_.n_gates; }
  const GateRows& rows() const noexcept { return rows_; }
  const KernelTable<Scalar>& kernels() const noexcept { return *kernels_; }
  const CellFunctions<Scalar>& functions() const noexcept { return kernels_->cell(rows_.kernel); }

  void reserve_panels();
  // The parameters of block `block` into the panels.
  void pack_block(const Scalar* w_ih, const Scalar* w_hh, const Scalar* bias, Index block) noexcept;
  void reserve(GroupWorkspace<Scalar>& w, Index n_rows) const;

  // The weights of a step.
  void set_weights(CellForward<Scalar>& step) const noexcept;
  // b + x_t W_ih^T of many rows, to where a step starts.
  void inputs(CellForward<Scalar> rows) const noexcept;
  // A step, from the first hidden block to the last, or the other way round. Where weights are
  // larger than a cache, whoever turns at each step finds there what he has read last.
  void forward(CellForward<Scalar> step, bool descending) const noexcept;

  // c (rows, P or I padded to B) = or += the gate gradients of `rows` rows from `row` on times
  // W_hh, of which the output blocks [block_begin, block_end), the first a multiple of 4; times
  // W_ih.
  void hidden_gradient(const GroupWorkspace<Scalar>& w, Index n_rows, Index row, Index rows,
                       Index block_begin, Index block_end, bool accumulate,
                       Scalar* c) const noexcept;
  void input_gradient(const GroupWorkspace<Scalar>& w, Index n_rows, Index row, Index rows,
                      bool accumulate, Scalar* c) const noexcept;

  // The gradient of the weights: for each block a panel with the columns of the forward panel, and
  // then the bias.
  Index n_columns() const noexcept { return input_size_ + recurrent_size_ + 1; }
  Index gradient_panel_size() const noexcept { return bias_part() + shape_.n_gates * B; }
  // Room for any columns in succession, that many of them.
  Index gradient_panel_size(Index n_columns) const noexcept {
    return n_columns * shape_.n_gates * B;
  }
  // Adds, for each element of a range, one sum over `rows` rows from `row` on in ascending order.
  void accumulate_gradients(const GroupWorkspace<Scalar>& w, Index n_rows, Index row, Index rows,
                            const GatheredRows<Scalar>& x, const GatheredRows<Scalar>& recurrent,
                            const GradientRange& range,
                            const GradientPanels<Scalar>& panels) const noexcept;
  // The columns [begin, end) of a block, side by side in a panel, to where their elements stand in
  // the parameters, and back.
  void unpack_gradient(const Scalar* panel, Index block, Index begin, Index end, Scalar* dw_ih,
                       Scalar* dw_hh, Scalar* dbias) const noexcept;
  void pack_gradient(const Scalar* dw_ih, const Scalar* dw_hh, const Scalar* dbias, Index block,
                     Index begin, Index end, Scalar* panel) const noexcept;

 private:
  // Whether h_{t-1} W_hh^T of a step that has a place to start from is done apart from the cell.
  bool multiplies_apart(const CellForward<Scalar>& step) const noexcept;
  // Bytes of weights that a step reads.
  Index bytes_of(const CellForward<Scalar>& step) const noexcept {
    return bias_part() * (step.block_end - step.block_begin) * static_cast<Index>(sizeof(Scalar));
  }
  // Adds h_{t-1} W_hh^T to what the step starts from; nothing is left of that product.
  void multiply(CellForward<Scalar>& step) const noexcept;
  // Where a column begins in a whole panel: first the inputs, then the hidden units, then the bias.
  Index place(Index column) const noexcept {
    const Index inputs = std::min(column, input_size_);
    return (inputs * shape_.n_input() + (column - inputs) * shape_.n_hidden()) * B;
  }
  Index hidden_part() const noexcept { return place(input_size_); }
  Index bias_part() const noexcept { return place(input_size_ + recurrent_size_); }
  // visit(part) for the rows of each gate in W_ih, then in W_hh, that are columns [begin, end) of
  // the panel of a block.
  struct WeightPart {
    bool of_input;
    Index row, column;  // of W_ih or of W_hh, where it begins
    Index n_columns;
    Index in_panel, width;
  };
  template <class Visit>
  void each_part(Index block, Index begin, Index end, Visit&& visit) const noexcept;
  // The weights of a block transposed into a panel of its columns [begin, end), with zeros beside
  // them.
  void transpose_block(const Scalar* w_ih, const Scalar* w_hh, Index block, Index begin, Index end,
                       Scalar* panel) const noexcept;
  void copy_bias(const Scalar* bias, Index block, Scalar* to) const noexcept;
  PanelGemm<Scalar> product(const GroupWorkspace<Scalar>& w, Index n_rows, Index row, Index rows,
                            int first_gate, int n_gates) const noexcept;

  GateRows rows_;
  CellShape shape_;
  Index input_size_;
  Index recurrent_size_;
  Index hidden_size_;
  Index n_blocks_;
  Index n_input_blocks_;
  Index n_recurrent_blocks_;
  bool with_dx_;
  const KernelTable<Scalar>* kernels_;
  AlignedBuffer<Scalar> forward_panels_;  // [block] of [I][gates of x][B], [P][gates of h][B]
  AlignedBuffer<Scalar> bias_;            // [block][G][B]
  AlignedBuffer<Scalar> dh_panels_;       // W_hh as panel_gemm wants it, k = [block][gate][B]
  AlignedBuffer<Scalar> dx_panels_;       // W_ih likewise
};

}  // namespace lstmcore
