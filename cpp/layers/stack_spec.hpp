// What a stack of recurrent layers is made of.
#pragma once

#include <vector>

#include "layers/cell_spec.hpp"

namespace lstmcore {

struct StackSpec {
  Index input_size = 0;
  std::vector<Index> hidden_sizes;  // of each level, lowest first
  CellSpec cell = {};
  bool with_dx = false;        // whether gradients of x are asked for
  bool bidirectional = false;  // a second layer beside each, which reads from the end to the start
  bool residual = false;       // what a level above the lowest reads is added to what it puts out

  Index n_levels() const noexcept { return static_cast<Index>(hidden_sizes.size()); }
  Index n_directions() const noexcept { return bidirectional ? 2 : 1; }
  // Units that a level reads, and that it puts out: those of both directions side by side.
  Index output_size(Index level) const {
    return checked_product(n_directions(),
                           cell.output_size(hidden_sizes[static_cast<std::size_t>(level)]));
  }
  Index input_size_of(Index level) const {
    return level == 0 ? input_size : output_size(level - 1);
  }
};

}  // namespace lstmcore
