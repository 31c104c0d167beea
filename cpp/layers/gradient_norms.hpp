// How large the gradient of a layer's states is at every step: what BPTT notes down on its way.
#pragma once

#include "base/index.hpp"

namespace lstmcore {

// Euclidean norms of the gradients of h_t and of c_t as they leave a step: of h_t by all that reads
// it, of c_t by the step after. One for each row of the history of the whole batch: the N initial
// states, and then every step of every sequence.
struct GradientNorms {
  Index layer;
  Index n_sequences;  // N of the whole batch
  double* hidden;     // (N + R)
  double* cell;       // (N + R); not looked at where there is no c
};

}  // namespace lstmcore
