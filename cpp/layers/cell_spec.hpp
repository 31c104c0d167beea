// The recurrent cell of a layer: which one, the arrays of its parameters, and how the kernels see
// them. H hidden units, I inputs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/index.hpp"
#include "kernels/cell_shape.hpp"

namespace lstmcore {

enum class CellKind : std::uint8_t { kLstm, kGru, kRnn };

struct CellSpec {
  CellKind kind = CellKind::kLstm;
  bool reset_after = true;  // GRU: whether r acts on the product with W_hh, or on h before it
  bool relu = false;        // RNN: relu in the place of tanh

  // Whether there is a state c beside h.
  bool has_cell_state() const noexcept { return kind == CellKind::kLstm; }
  // Whether h_{t-1} reaches h_t past the weights, and so does its gradient.
  bool carries_hidden() const noexcept { return kind == CellKind::kGru; }
  // Gates in W_ih (gates * H, I), in the order of the parameters.
  Index n_gates() const noexcept {
    return kind == CellKind::kLstm ? 4 : kind == CellKind::kGru ? 3 : 1;
  }
  // Multiply-adds of the products of one row, forward.
  double multiply_adds(Index input_size, Index hidden_size) const noexcept {
    return static_cast<double>(n_gates()) * static_cast<double>(hidden_size) *
           static_cast<double>(input_size + hidden_size);
  }
};

// Throws std::invalid_argument, naming the cells there are.
CellKind cell_kind_from_name(std::string_view name);

// Gates that one fused product computes, and where in the parameters each of its G accumulators
// has its rows: gate g of W_ih is rows g H to (g + 1) H. -1 where it has none.
struct GateRows {
  CellKernel kernel;
  int input[4];
  int hidden[4];
  int bias[4];
};

// In the order in which a step computes them.
std::vector<GateRows> gate_groups(const CellSpec& cell);

struct ParameterArray {
  std::string name;
  std::vector<Index> shape;

  Index size() const {
    Index product = 1;
    for (const Index n : shape) product = checked_product(product, n);
    return product;
  }
};

// weight_ih (gates H, I), weight_hh (gates H, H), bias (gates H) and what the cell has beside them.
std::vector<ParameterArray> cell_arrays(const CellSpec& cell, Index input_size, Index hidden_size);

}  // namespace lstmcore
