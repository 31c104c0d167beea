// The recurrent cell of a layer: which one, the arrays of its parameters, and how the kernels see
// them. H hidden units, I inputs, P outputs of a projection.
#pragma once

#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "base/index.hpp"
#include "kernels/kernel_table.hpp"

namespace lstmcore {

enum class CellKind : std::uint8_t { kLstm, kGru, kRnn };

inline constexpr double kUnbounded = std::numeric_limits<double>::infinity();

struct ActivationSpec {
  ActivationKind kind;
  double alpha = 0;
  double beta = 0;
};

struct CellSpec {
  CellKind kind = CellKind::kLstm;
  bool reset_after = true;        // GRU: whether r acts on the product with W_hh, or on h before it
  bool relu = false;              // RNN: relu in the place of tanh
  bool peephole = false;          // LSTM: weights from c to the gates
  bool coupled_gates = false;     // LSTM: f = 1 - i
  bool layer_norm = false;        // LSTM: of both products and of c
  double gate_clip = kUnbounded;  // bound of what goes into gates and candidate
  double cell_clip = kUnbounded;  // LSTM: bound of c
  ActivationSpec gate_activation{ActivationKind::kSigmoid};  // of i, f, o; of r, z
  ActivationSpec cell_activation{ActivationKind::kTanh};     // of g; of n; of an RNN's h
  ActivationSpec output_activation{ActivationKind::kTanh};   // LSTM: of c on its way to h
  Index proj_size = 0;  // LSTM: width P of h = W_hr (o tanh c), or 0 where h is o tanh(c) itself

  double hidden_dropout = 0;     // rate of dropout of h_{t-1} in the product with W_hh
  double zoneout_hidden = 0;     // probability that a unit of h_t stays what it was
  double zoneout_cell = 0;       // LSTM: the same of c_t
  double recurrent_dropout = 0;  // LSTM, GRU: rate of dropout of the candidate

  // Whether there is a state c beside h.
  bool has_cell_state() const noexcept { return kind == CellKind::kLstm; }
  // Whether h_{t-1} reaches h_t past the weights, and so does its gradient.
  bool carries_hidden() const noexcept { return kind == CellKind::kGru; }
  // Gates in W_ih (gates * H, I), in the order of the parameters.
  Index n_gates() const noexcept {
    return kind == CellKind::kLstm ? (coupled_gates ? 3 : 4) : kind == CellKind::kGru ? 3 : 1;
  }
  // Gates that can be looked at: f of coupled gates too.
  Index n_shown_gates() const noexcept { return kind == CellKind::kLstm ? 4 : n_gates(); }
  // Weights of each unit from c to its gates.
  Index n_peepholes() const noexcept { return peephole ? n_gates() - 1 : 0; }
  bool has_plain_activations() const noexcept {
    return gate_activation.kind == ActivationKind::kSigmoid &&
           cell_activation.kind == ActivationKind::kTanh &&
           output_activation.kind == ActivationKind::kTanh;
  }
  // Whether training draws masks for it: for each step, or for a whole sequence.
  bool has_step_masks() const noexcept {
    return zoneout_hidden > 0 || zoneout_cell > 0 || recurrent_dropout > 0;
  }
  bool has_masks() const noexcept { return hidden_dropout > 0 || has_step_masks(); }
  // Whether c_t as it was before zoneout is asked for again, and has to be kept.
  bool keeps_new_c() const noexcept {
    return zoneout_cell > 0 && (peephole || layer_norm || cell_clip < kUnbounded);
  }
  // Whether its kernel does more than that of the plain cell.
  bool is_variant() const noexcept {
    return peephole || coupled_gates || layer_norm || gate_clip < kUnbounded ||
           cell_clip < kUnbounded || recurrent_dropout > 0 || zoneout_cell > 0 ||
           !has_plain_activations();
  }
  // Width of h, which is what the layer puts out and what W_hh multiplies.
  Index output_size(Index hidden_size) const noexcept {
    return proj_size > 0 ? proj_size : hidden_size;
  }
  // Multiply-adds of the products of one row, forward.
  double multiply_adds(Index input_size, Index hidden_size) const noexcept {
    const auto inputs = static_cast<double>(input_size + output_size(hidden_size));
    return static_cast<double>(hidden_size) *
           (static_cast<double>(n_gates()) * inputs + static_cast<double>(proj_size));
  }
};

// Throw std::invalid_argument, naming those that there are.
CellKind cell_kind_from_name(std::string_view name);
ActivationKind activation_kind_from_name(std::string_view name);

// Throws std::invalid_argument for options that the kind of cell has no place for, and for numbers
// that they can't be.
void check_cell(const CellSpec& cell);

// The activation for the kernels; what goes into it is bounded by gate_clip, which may be infinite.
template <class Scalar>
Activation<Scalar> activation_of(const ActivationSpec& spec, double gate_clip,
                                 const KernelTable<Scalar>& kernels) noexcept;
// The options for the kernels, but for the peepholes.
template <class Scalar>
CellOptions<Scalar> options_of(const CellSpec& cell, const KernelTable<Scalar>& kernels) noexcept;

// Gates that one fused product computes, and where in the parameters each of its G accumulators
// has its rows: gate g of W_ih is rows g H to (g + 1) H. -1 where it has none.
struct GateRows {
  CellKernel kernel;
  int input[8];
  int hidden[8];
  int bias[8];
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

// weight_ih (gates H, I), weight_hh (gates H, H or P), bias (gates H) and what the cell has beside
// them: bias_hn (H) of a GRU whose reset gate acts after the product, peephole (n H) of an LSTM,
// for i, f and o, without f where it is coupled, weight_hr (P, H) of a projection; ln_ih_weight and
// ln_hh_weight (4 H), ln_c_weight and ln_c_bias (H) of layer normalisation. Throws
// std::invalid_argument where P is not less than H.
std::vector<ParameterArray> cell_arrays(const CellSpec& cell, Index input_size, Index hidden_size);

}  // namespace lstmcore
