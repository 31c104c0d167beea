// A cell as Python describes it: {"kind": "lstm", "peephole": True, "gate_activation":
// ("hard_sigmoid", 0.2, 0.5)}. What is not there is as in the plain cell.

#include "arrays.hpp"
#include "bind.hpp"

namespace lstmcore::binding {
namespace {

void set_option(CellSpec& cell, const std::string& name, const py::handle& value) {
  if (name == "kind") {
    cell.kind = cell_kind_from_name(py::cast<std::string>(value));
  } else if (name == "reset_after") {
    cell.reset_after = py::cast<bool>(value);
  } else if (name == "relu") {
    cell.relu = py::cast<bool>(value);
  } else if (name == "recurrent_dropout") {
    cell.recurrent_dropout = py::cast<double>(value);
  } else if (name == "hidden_dropout") {
    cell.hidden_dropout = py::cast<double>(value);
  } else if (name == "zoneout_hidden") {
    cell.zoneout_hidden = py::cast<double>(value);
  } else if (name == "zoneout_cell") {
    cell.zoneout_cell = py::cast<double>(value);
  } else if (name == "proj_size") {
    cell.proj_size = py::cast<Index>(value);
  } else if (name == "peephole") {
    cell.peephole = py::cast<bool>(value);
  } else if (name == "coupled_gates") {
    cell.coupled_gates = py::cast<bool>(value);
  } else if (name == "layer_norm") {
    cell.layer_norm = py::cast<bool>(value);
  } else if (name == "gate_clip") {
    cell.gate_clip = py::cast<double>(value);
  } else if (name == "cell_clip") {
    cell.cell_clip = py::cast<double>(value);
  } else if (name == "gate_activation") {
    cell.gate_activation = activation_from(value);
  } else if (name == "cell_activation") {
    cell.cell_activation = activation_from(value);
  } else if (name == "output_activation") {
    cell.output_activation = activation_from(value);
  } else {
    throw std::invalid_argument("cell has an option '" + name + "', which is unknown");
  }
}

}  // namespace

ActivationSpec activation_from(const py::handle& value) {
  const auto [name, alpha, beta] = py::cast<std::tuple<std::string, double, double>>(value);
  return {activation_kind_from_name(name), alpha, beta};
}

CellSpec cell_from(const py::dict& options) {
  CellSpec cell;
  for (const auto& [key, value] : options) {
    const auto name = py::cast<std::string>(key);
    try {
      set_option(cell, name, value);
    } catch (const py::cast_error&) {
      throw std::invalid_argument("cell has an option '" + name + "' of the wrong type");
    }
  }
  check_cell(cell);
  return cell;
}

}  // namespace lstmcore::binding
