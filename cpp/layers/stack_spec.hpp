// What a stack of recurrent layers is made of.
#pragma once

#include <vector>

#include "layers/cell_spec.hpp"

namespace lstmcore {

struct StackSpec {
  Index input_size = 0;
  std::vector<Index> hidden_sizes;  // of each layer, lowest first
  CellSpec cell = {};
  bool with_dx = false;  // whether gradients of x are asked for
};

}  // namespace lstmcore
