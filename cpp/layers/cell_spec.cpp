#include "layers/cell_spec.hpp"

#include <stdexcept>

namespace lstmcore {

CellKind cell_kind_from_name(std::string_view name) {
  if (name == "lstm") return CellKind::kLstm;
  if (name == "gru") return CellKind::kGru;
  if (name == "rnn") return CellKind::kRnn;
  throw std::invalid_argument("cell is '" + std::string(name) +
                              "'; expected 'lstm', 'gru' or 'rnn'");
}

std::vector<GateRows> gate_groups(const CellSpec& cell) {
  switch (cell.kind) {
    case CellKind::kLstm:
      return {{CellKernel::kLstm, {0, 1, 2, 3}, {0, 1, 2, 3}, {0, 1, 2, 3}}};
    case CellKind::kGru:
      // Parameters have r, z, n; the bias also, as a fourth gate, that of n inside the reset.
      if (cell.reset_after) {
        return {{CellKernel::kGru, {2, 0, 1, -1}, {-1, 0, 1, 2}, {2, 0, 1, 3}}};
      }
      return {{CellKernel::kGruGates, {0, 1}, {0, 1}, {0, 1}},
              {CellKernel::kGruCandidate, {2}, {2}, {2}}};
    case CellKind::kRnn:
      return {{cell.relu ? CellKernel::kRnnRelu : CellKernel::kRnnTanh, {0}, {0}, {0}}};
  }
  return {};
}

std::vector<ParameterArray> cell_arrays(const CellSpec& cell, Index input_size, Index hidden_size) {
  const Index rows = cell.n_gates() * hidden_size;
  std::vector<ParameterArray> arrays = {
      {"weight_ih", {rows, input_size}}, {"weight_hh", {rows, hidden_size}}, {"bias", {rows}}};
  if (cell.kind == CellKind::kGru && cell.reset_after) arrays.push_back({"bias_hn", {hidden_size}});
  return arrays;
}

}  // namespace lstmcore
