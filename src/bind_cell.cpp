// A cell as Python describes it: {"kind": "gru", "reset_after": False}.

#include "arrays.hpp"
#include "bind.hpp"

namespace lstmcore::binding {

CellSpec cell_from(const py::dict& options) {
  CellSpec cell;
  for (const auto& [key, value] : options) {
    const auto name = py::cast<std::string>(key);
    if (name == "kind") {
      cell.kind = cell_kind_from_name(py::cast<std::string>(value));
    } else if (name == "reset_after") {
      cell.reset_after = py::cast<bool>(value);
    } else if (name == "relu") {
      cell.relu = py::cast<bool>(value);
    } else {
      throw std::invalid_argument("cell has an option '" + name + "', which is unknown");
    }
  }
  return cell;
}

}  // namespace lstmcore::binding
