// The views of the matrix products around the cell: legend in kernel_table.hpp.
#pragma once

#include "base/index.hpp"

namespace lstmcore {

// C (rows, outputs) = start + A panels, k running over n_k_blocks blocks of k_block columns of A.
// The start of the chain is the bias, or C itself when `accumulate`, or 0.
template <class Scalar>
struct PanelGemm {
  Index rows;
  const Scalar* a;
  Index a_row_stride, a_block_stride;
  Index n_k_blocks, k_block;
  Index k_units;  // of every B columns of the last of these blocks so many count; 0: all do
  // Rows from the first of A to the first that the next call reads, or 0; those are asked for, of
  // the blocks [asked_begin, asked_end) of columns.
  Index to_next = 0;
  Index asked_begin, asked_end;
  const Scalar* panels;  // [panel][n_k_blocks * k_block][4][B], the last panel [..][n % 4][B]
  Index panel_stride;    // from one panel to the next
  Index n_output_blocks;
  Index half_block = -1;  // the last of them, where its second half is but padding: zeros in C
  const Scalar* bias;     // (n_output_blocks * B) or null
  bool accumulate;
  Scalar* c;
  Index c_row_stride;
  Index c_panel_stride;  // from the outputs of one panel to the next; 4 B in a plain matrix
};

// C (k - k_begin, width) += sum over rows r, in their order, of A[r, k]^T B[r, :]; k in [k_begin,
// k_end); likewise for every panel of B.
template <class Scalar>
struct OuterAccumulate {
  Index rows;
  const Scalar* a;
  Index a_row_stride;
  const Index* a_rows;  // where row r stands in A, or null when there
  Index k_begin, k_end;
  Index ones = -1;  // the last k, where it is a column of ones that A does not have
  Index n_panels;
  const Scalar* b;
  Index b_row_stride;
  Index b_panel_stride;
  Index to_next = 0;      // rows from the first of B to the first that the next call reads
  Index n_blocks;         // width / B, 1 to 4
  Index half_panel = -1;  // the panel where the second half of every block is left out
  Scalar* c;              // row stride n_blocks * B
  Index c_panel_stride;
};

// C (n_blocks B) += sum over rows r, in their order, of A[r, :] B[r, :], element by element; of A
// where B is null.
template <class Scalar>
struct DiagonalAccumulate {
  Index rows;
  Index n_blocks = 1;
  const Scalar* a;
  Index a_row_stride;
  const Scalar* b;
  Index b_row_stride;
  const Index* b_rows;  // where row r stands in B, or null when there
  Scalar* c;
};

}  // namespace lstmcore
