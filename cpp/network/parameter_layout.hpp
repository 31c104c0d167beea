// Where each parameter stands in the one flat buffer: computed here and nowhere else. Gradients and
// optimiser moments have the same layout.
#pragma once

#include <string>
#include <vector>

#include "layers/stack_spec.hpp"

namespace lstmcore {

struct ParameterEntry {
  std::string name;
  std::vector<Index> shape;
  Index offset;
};

// The arrays of the cell with a suffix: weight_ih_l0 and so on, then those of layer 1. Throws
// std::invalid_argument for a size below 1 and std::length_error when the sizes overflow.
std::vector<ParameterEntry> stack_layout(const StackSpec& spec);

// The same, followed by head_weight (K, units that the stack puts out) and head_bias (K).
std::vector<ParameterEntry> network_layout(const StackSpec& spec, Index n_outputs);

}  // namespace lstmcore
