// The kernels of one instruction set and the views they work on.
//
// Legend: T time steps, N sequences, I inputs, H hidden units, R packed rows; B = kBlock<Scalar>
// hidden units make a block (64 bytes, whatever the vector length, so that every layout and every
// order of summation is the same on every instruction set); G gates of a cell (cell_shape.hpp).
//
// Each output is ONE chain of fused multiply-adds over k in ascending order, started at the bias
// (or at what is accumulated into): neither tiles, nor threads, nor the vector length can change a
// bit of it.
#pragma once

#include "base/index.hpp"
#include "kernels/cell_options.hpp"
#include "kernels/cell_shape.hpp"
#include "kernels/products.hpp"

namespace lstmcore {

template <class Scalar>
inline constexpr Index kBlock = 64 / static_cast<Index>(sizeof(Scalar));

// The last of the blocks that n units fill, where its second half is but padding; else -1.
template <class Scalar>
constexpr Index half_block_of(Index n) noexcept {
  const Index in_last = n % kBlock<Scalar>;
  return in_last > 0 && in_last <= kBlock<Scalar> / 2 ? n / kBlock<Scalar> : -1;
}

// Four gates of a block, or four blocks of outputs: the width of every weight panel.
template <class Scalar>
inline constexpr Index kPanel = 4 * kBlock<Scalar>;

// One time step of `rows` sequences for the hidden blocks [block_begin, block_end) and one group of
// gates: z = b + x_t W_ih^T + h_{t-1} W_hh^T, finished by the cell (kernels/cells/). What a cell
// does not have is null.
template <class Scalar>
struct CellForward {
  Index rows;
  Index block_begin, block_end;
  Index input_size, recurrent_size;  // the two parts of k
  Index half_block = -1;             // the last block, where its second half is but padding
  const Scalar* x;                   // (rows, I), row stride x_stride; or null, and then
  Index x_stride;
  Scalar* start;  // [block][row][G][B]: b + x_t W_ih^T, computed before; may be `gates`
  Index start_block_stride;
  // (rows, recurrent_size), what W_hh multiplies: h_{t-1} or made of it; or null, to multiply x
  // alone
  const Scalar* recurrent;
  Index recurrent_stride;
  bool from_zeros = false;  // all of it is zeros, and need not be multiplied
  const Scalar* panels;  // [block] of [I][gates of the input][B], [recurrent_size][gates of h][B]
  bool far = false;      // whether they lie beyond the core's own cache, and have to be asked for
  const Scalar* bias;    // [block][G][B]
  const Scalar* h_prev;  // (rows, H padded to B), row stride h_stride
  Scalar* h;             // likewise; does not overlap h_prev nor recurrent
  Index h_stride;
  const Scalar* c_prev;  // [block][row][B]
  Scalar* c;             // [block][row][B]; may be c_prev
  Scalar* new_c;         // likewise, c_t before zoneout, where BPTT or finish_rows ask; or null
  Index c_block_stride;
  // What BPTT needs, null in inference unless another group reads it.
  Scalar* gates;  // [block][row][G][B], after their activations
  Index gates_block_stride;
  Scalar* tanh_c;  // [block][row][B]
  Index tanh_c_block_stride;
  // Gates of the group before this one, [block][row][G of that group][B].
  const Scalar* other_gates;
  Index other_block_stride;
  const CellOptions<Scalar>* options;
  Scalar* sums;  // [block][row][G][B] of both products, with layer normalisation
  Index sums_block_stride;
  Scalar* normed;  // [block][row][kNormed][B], likewise for BPTT
  Index normed_block_stride;
  Scalar* deviations;  // (rows, 3): 1 / those of both products and of c
  // Masks of training, [block][row][B], or null: what multiplies the candidate; 1 where c_t stays
  // what it was, else 0.
  const Scalar* candidate_mask;
  const Scalar* cell_zoneout;
  Index mask_block_stride;
};

// One time step of BPTT up to the pre-activations: the gates in the stash are overwritten by the
// gradients of what went into their activations, dc carries on to t - 1.
template <class Scalar>
struct CellBackward {
  Index rows;
  Index block_begin, block_end;
  const Scalar* dy;  // (rows, dy_size), row stride dy_stride; gradient of h_t from above, or null
  Index dy_size, dy_stride;
  const Scalar* dy_before;  // of the step before, which the next call has as dy; or null
  Scalar* dh;  // (rows, H padded), row stride h_stride; gradient of h_t from t + 1. Where the
               // cell carries h on: out, what reaches h_{t-1} past the weights
  Index h_stride;
  const Scalar* h_prev;  // (rows, H padded), row stride h_stride
  Scalar* dc;            // [block][row][B]; in: gradient of c_t from t + 1, out: of c_{t-1}
  Index dc_block_stride;
  const Scalar* c_prev;  // [block][row][B]
  const Scalar* c;       // likewise; before zoneout
  Index c_block_stride;
  const Scalar* tanh_c;  // [block][row][B]
  Index tanh_c_block_stride;
  Scalar* gates;  // [block][row][G][B], in: gates, out: their gradients
  Index gates_block_stride;
  Scalar* other_gates;  // of the other group: the candidate also makes the gradient of z
  Index other_block_stride;
  const Scalar* drecurrent;  // (rows, H padded), row stride h_stride; gradient of what the
                             // candidate multiplied
  const CellOptions<Scalar>* options;
  Scalar* normed;  // as in CellForward
  Index normed_block_stride;
  const Scalar* deviations;
  // Masks of training, [block][row][B], or null: what multiplies the candidate; 1 where c_t stays
  // what it was, else 0.
  const Scalar* candidate_mask;
  const Scalar* cell_zoneout;
  Index mask_block_stride;
};

// One optimiser step over parameters [0, size). `scale` multiplies every gradient (clipping).
template <class Scalar>
struct OptimizerStep {
  Index size;
  Scalar* parameters;
  const Scalar* gradient;
  Scalar* moment1;  // Adam: mean of gradients; SGD: velocity; RMSprop: mean of squares
  Scalar* moment2;  // Adam: mean of squares; null for the others
  Scalar scale;
  Scalar learning_rate;  // Adam: already divided by 1 - beta1^t
  Scalar beta1;          // Adam: beta1; SGD: momentum; RMSprop: alpha
  Scalar beta2;
  Scalar one_minus_beta1;  // rounded once: 1 - (float)0.999 would be 1e-5 off
  Scalar one_minus_beta2;
  Scalar epsilon;
  Scalar inverse_sqrt_correction;  // Adam: 1 / sqrt(1 - beta2^t)
  Scalar weight_decay;             // added to the gradient: an L2 penalty
  Scalar decoupled_decay;          // AdamW: learning_rate * weight_decay, shrinks the parameter
};

// A mask drawn for a row of units, a multiple of B: `dropped` where a unit's random number is below
// the threshold, else `kept`; or, of values there are, those that are kept times `kept`.
template <class Scalar>
struct MaskRow {
  std::uint64_t key;
  std::uint32_t counter[3];  // beside them counts a fourth the units, by fours
  std::uint32_t threshold;
  Index size;
  const Scalar* from;  // (size), or null for the mask itself
  Scalar dropped, kept;
  Scalar* to;  // blocks of B units, to_block_stride apart; may be `from` where they are contiguous
  Index to_block_stride;
};

// What a cell is made of.
template <class Scalar>
struct CellFunctions {
  void (*inputs)(const CellForward<Scalar>&) noexcept;  // x to start, for many rows at once
  void (*forward)(const CellForward<Scalar>&) noexcept;
  void (*backward)(const CellBackward<Scalar>&) noexcept;
  // Whole rows, after forward; null but with layer normalisation, where backward takes such too.
  void (*finish_rows)(const CellForward<Scalar>&) noexcept;
};

template <class Scalar>
struct KernelTable {
  CellFunctions<Scalar> cells[kCellKernels];
  void (*panel_gemm)(const PanelGemm<Scalar>&) noexcept;
  void (*outer_accumulate)(const OuterAccumulate<Scalar>&) noexcept;
  void (*diagonal_accumulate)(const DiagonalAccumulate<Scalar>&) noexcept;
  // to[c * to_stride + r] = from[r * from_stride + c]
  void (*transpose)(const Scalar* from, Index from_stride, Scalar* to, Index to_stride,
                    Index n_rows, Index n_columns) noexcept;
  void (*mask_row)(const MaskRow<Scalar>&) noexcept;
  void (*adam)(const OptimizerStep<Scalar>&) noexcept;
  void (*sgd)(const OptimizerStep<Scalar>&) noexcept;
  void (*rmsprop)(const OptimizerStep<Scalar>&) noexcept;
  void (*sigmoid)(const Scalar* x, Scalar* y, Index size) noexcept;
  void (*tanh)(const Scalar* x, Scalar* y, Index size) noexcept;
  void (*activate)(const Activation<Scalar>&, const Scalar* x, Scalar* y, Index size) noexcept;

  const CellFunctions<Scalar>& cell(CellKernel kernel) const noexcept {
    return cells[static_cast<int>(kernel)];
  }
};

// Both dtypes of one instruction set.
struct Kernels {
  const char* name;
  int lanes_float32;
  KernelTable<float> float32;
  KernelTable<double> float64;

  template <class Scalar>
  const KernelTable<Scalar>& table() const noexcept {
    if constexpr (sizeof(Scalar) == sizeof(float)) {
      return float32;
    } else {
      return float64;
    }
  }
};

extern const Kernels kScalarKernels;
extern const Kernels kAvx2Kernels;    // x86-64 only
extern const Kernels kAvx512Kernels;  // x86-64 only

}  // namespace lstmcore
