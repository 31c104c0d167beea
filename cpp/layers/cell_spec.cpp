#include "layers/cell_spec.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace lstmcore {

CellKind cell_kind_from_name(std::string_view name) {
  if (name == "lstm") return CellKind::kLstm;
  if (name == "gru") return CellKind::kGru;
  if (name == "rnn") return CellKind::kRnn;
  throw std::invalid_argument("cell is '" + std::string(name) +
                              "'; expected 'lstm', 'gru' or 'rnn'");
}

namespace {

struct NamedActivation {
  std::string_view name;
  ActivationKind kind;
};

constexpr NamedActivation kActivations[] = {
    {"sigmoid", ActivationKind::kSigmoid},
    {"tanh", ActivationKind::kTanh},
    {"relu", ActivationKind::kRelu},
    {"hard_sigmoid", ActivationKind::kHardSigmoid},
    {"leaky_relu", ActivationKind::kLeakyRelu},
    {"scaled_tanh", ActivationKind::kScaledTanh},
    {"affine", ActivationKind::kAffine},
    {"thresholded_relu", ActivationKind::kThresholdedRelu},
    {"elu", ActivationKind::kElu},
    {"softsign", ActivationKind::kSoftsign},
    {"softplus", ActivationKind::kSoftplus},
};

void require_rate(const char* name, double rate) {
  if (rate >= 0 && rate < 1) return;
  throw std::invalid_argument(std::string(name) + " is " + std::to_string(rate) +
                              ", expected at least 0 and less than 1");
}

void check_masks(const CellSpec& cell) {
  require_rate("recurrent_dropout", cell.recurrent_dropout);
  require_rate("hidden_dropout", cell.hidden_dropout);
  require_rate("zoneout_hidden", cell.zoneout_hidden);
  require_rate("zoneout_cell", cell.zoneout_cell);
  if (cell.recurrent_dropout > 0 && cell.kind == CellKind::kRnn) {
    throw std::invalid_argument("recurrent_dropout drops the candidate, which an RNN doesn't have");
  }
  if (cell.zoneout_cell > 0 && cell.kind != CellKind::kLstm) {
    throw std::invalid_argument("zoneout_cell is an option of an LSTM");
  }
}

void require_bound(const char* name, double bound) {
  if (bound > 0) return;
  throw std::invalid_argument(std::string(name) + " is " + std::to_string(bound) +
                              ", expected a number above 0");
}

// Slopes are functions of values: where alpha is negative, some of these have none.
void require_slope(const char* name, const ActivationSpec& activation) {
  const bool finite = std::isfinite(activation.alpha) && std::isfinite(activation.beta);
  bool fits = finite;
  const char* expected = "finite numbers";
  switch (activation.kind) {
    case ActivationKind::kLeakyRelu:
    case ActivationKind::kThresholdedRelu:
    case ActivationKind::kElu:
      fits = finite && activation.alpha >= 0;
      expected = "an alpha of at least 0";
      break;
    case ActivationKind::kHardSigmoid:
      fits = finite && activation.alpha > 0;
      expected = "an alpha above 0";
      break;
    case ActivationKind::kScaledTanh:
      fits = finite && activation.alpha > 0 && activation.beta > 0;
      expected = "alpha and beta above 0";
      break;
    default:
      break;
  }
  if (fits) return;
  throw std::invalid_argument(std::string(name) + " has alpha " + std::to_string(activation.alpha) +
                              " and beta " + std::to_string(activation.beta) + ", expected " +
                              expected);
}

}  // namespace

ActivationKind activation_kind_from_name(std::string_view name) {
  std::string names;
  for (const NamedActivation& activation : kActivations) {
    if (activation.name == name) return activation.kind;
    names += (names.empty() ? "'" : ", '") + std::string(activation.name) + "'";
  }
  throw std::invalid_argument("activation is '" + std::string(name) + "'; expected one of " +
                              names);
}

void check_cell(const CellSpec& cell) {
  check_masks(cell);
  if (cell.proj_size < 0) {
    throw std::invalid_argument("proj_size is " + std::to_string(cell.proj_size) +
                                ", expected at least 0");
  }
  if (cell.kind != CellKind::kLstm && cell.proj_size > 0) {
    throw std::invalid_argument("proj_size is an option of an LSTM");
  }
  if (cell.kind != CellKind::kLstm &&
      (cell.peephole || cell.coupled_gates || cell.layer_norm || cell.cell_clip < kUnbounded ||
       cell.output_activation.kind != ActivationKind::kTanh)) {
    throw std::invalid_argument(
        "peephole, coupled_gates, layer_norm, cell_clip and output_activation are options of an "
        "LSTM");
  }
  if (cell.layer_norm && cell.coupled_gates) {
    throw std::invalid_argument("layer_norm and coupled_gates can't be combined");
  }
  if (cell.kind == CellKind::kRnn && cell.gate_activation.kind != ActivationKind::kSigmoid) {
    throw std::invalid_argument("gate_activation is no option of an RNN, which has no gates");
  }
  require_bound("gate_clip", cell.gate_clip);
  require_bound("cell_clip", cell.cell_clip);
  require_slope("gate_activation", cell.gate_activation);
  require_slope("cell_activation", cell.cell_activation);
  require_slope("output_activation", cell.output_activation);
}

template <class Scalar>
Activation<Scalar> activation_of(const ActivationSpec& spec, double gate_clip,
                                 const KernelTable<Scalar>& kernels) noexcept {
  Activation<Scalar> activation{spec.kind, static_cast<Scalar>(spec.alpha),
                                static_cast<Scalar>(spec.beta), static_cast<Scalar>(-kUnbounded),
                                static_cast<Scalar>(kUnbounded)};
  if (gate_clip == kUnbounded) return activation;
  const auto bound = static_cast<Scalar>(gate_clip);
  Scalar ends[2] = {-bound, bound};
  kernels.activate(activation, ends, ends, 2);
  activation.low = std::min(ends[0], ends[1]);
  activation.high = std::max(ends[0], ends[1]);
  return activation;
}

template <class Scalar>
CellOptions<Scalar> options_of(const CellSpec& cell, const KernelTable<Scalar>& kernels) noexcept {
  CellOptions<Scalar> options{};
  options.gate_clip = static_cast<Scalar>(cell.gate_clip);
  options.cell_clip = static_cast<Scalar>(cell.cell_clip);
  options.zoneout_cell = static_cast<Scalar>(cell.zoneout_cell);
  options.gate = activation_of(cell.gate_activation, cell.gate_clip, kernels);
  const ActivationSpec relu{ActivationKind::kRelu};
  options.cell = activation_of(cell.relu ? relu : cell.cell_activation, cell.gate_clip, kernels);
  options.output = activation_of(cell.output_activation, kUnbounded, kernels);
  options.has_plain_activations = cell.has_plain_activations();
  options.has_gate_clip = cell.gate_clip < kUnbounded;
  return options;
}

template Activation<float> activation_of(const ActivationSpec&, double,
                                         const KernelTable<float>&) noexcept;
template Activation<double> activation_of(const ActivationSpec&, double,
                                          const KernelTable<double>&) noexcept;
template CellOptions<float> options_of(const CellSpec&, const KernelTable<float>&) noexcept;
template CellOptions<double> options_of(const CellSpec&, const KernelTable<double>&) noexcept;

std::vector<GateRows> gate_groups(const CellSpec& cell) {
  const bool any = cell.is_variant();
  switch (cell.kind) {
    case CellKind::kLstm:
      if (cell.layer_norm) {
        return {{CellKernel::kLstmSums,
                 {0, 1, 2, 3, -1, -1, -1, -1},
                 {-1, -1, -1, -1, 0, 1, 2, 3},
                 {-1, -1, -1, -1, -1, -1, -1, -1}}};
      }
      if (cell.coupled_gates) return {{CellKernel::kLstmCoupled, {0, 1, 2}, {0, 1, 2}, {0, 1, 2}}};
      return {{any ? CellKernel::kLstmVariant : CellKernel::kLstm,
               {0, 1, 2, 3},
               {0, 1, 2, 3},
               {0, 1, 2, 3}}};
    case CellKind::kGru:
      // Parameters have r, z, n; the bias also, as a fourth gate, that of n inside the reset.
      if (cell.reset_after) {
        return {{any ? CellKernel::kGruAny : CellKernel::kGru,
                 {2, 0, 1, -1},
                 {-1, 0, 1, 2},
                 {2, 0, 1, 3}}};
      }
      return {{any ? CellKernel::kGruGatesAny : CellKernel::kGruGates, {0, 1}, {0, 1}, {0, 1}},
              {any ? CellKernel::kGruCandidateAny : CellKernel::kGruCandidate, {2}, {2}, {2}}};
    case CellKind::kRnn:
      if (any) return {{CellKernel::kRnnAny, {0}, {0}, {0}}};
      return {{cell.relu ? CellKernel::kRnnRelu : CellKernel::kRnnTanh, {0}, {0}, {0}}};
  }
  return {};
}

std::vector<ParameterArray> cell_arrays(const CellSpec& cell, Index input_size, Index hidden_size) {
  if (cell.proj_size > 0 && cell.proj_size >= hidden_size) {
    throw std::invalid_argument("proj_size is " + std::to_string(cell.proj_size) +
                                ", expected less than the hidden size, " +
                                std::to_string(hidden_size));
  }
  const Index rows = cell.n_gates() * hidden_size;
  std::vector<ParameterArray> arrays = {{"weight_ih", {rows, input_size}},
                                        {"weight_hh", {rows, cell.output_size(hidden_size)}},
                                        {"bias", {rows}}};
  if (cell.kind == CellKind::kGru && cell.reset_after) arrays.push_back({"bias_hn", {hidden_size}});
  if (cell.peephole) arrays.push_back({"peephole", {cell.n_peepholes() * hidden_size}});
  if (cell.proj_size > 0) arrays.push_back({"weight_hr", {cell.proj_size, hidden_size}});
  if (cell.layer_norm) {
    arrays.push_back({"ln_ih_weight", {rows}});
    arrays.push_back({"ln_hh_weight", {rows}});
    arrays.push_back({"ln_c_weight", {hidden_size}});
    arrays.push_back({"ln_c_bias", {hidden_size}});
  }
  return arrays;
}

}  // namespace lstmcore
