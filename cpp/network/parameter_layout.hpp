// Where each parameter stands in the one flat buffer: computed here and nowhere else. Gradients and
// optimiser moments have the same layout.
#pragma once

#include <string>
#include <vector>

#include "network/network.hpp"

namespace lstmcore {

struct ParameterEntry {
  std::string name;
  std::vector<Index> shape;
  Index offset;
};

// The arrays of the cell with a suffix: weight_ih_l0 and so on, then those of layer 1. Throws
// std::invalid_argument for a size below 1 and std::length_error when the sizes overflow.
std::vector<ParameterEntry> stack_layout(const StackSpec& spec);

// The same, followed by attention_weight (H, H), attention_bias (H) and attention_query (H) of
// attention pooling, H being the units that the stack puts out; by head_weight (K, H) and head_bias
// (K); and by embedding_weight_<column> (n_tokens, size).
std::vector<ParameterEntry> network_layout(const NetworkSpec& spec);

}  // namespace lstmcore
