// Where each parameter stands in the one flat buffer: computed here and nowhere else. Gradients and
// optimiser moments have the same layout.
#pragma once

#include <string>
#include <vector>

#include "base/index.hpp"

namespace lstmcore {

struct ParameterEntry {
  std::string name;
  std::vector<Index> shape;
  Index offset;
};

// weight_ih_l0 (4H, I), weight_hh_l0 (4H, H), bias_l0 (4H), then layer 1 and so on. Throws
// std::invalid_argument for a size below 1 and std::length_error when the sizes overflow.
std::vector<ParameterEntry> stack_layout(Index input_size, const std::vector<Index>& hidden_sizes);

// The same, followed by head_weight (K, H of the top layer) and head_bias (K).
std::vector<ParameterEntry> network_layout(Index input_size, const std::vector<Index>& hidden_sizes,
                                           Index n_outputs);

}  // namespace lstmcore
