// The masks of layers on their own: of a seed, and of sequences that have numbers.
#pragma once

#include "arrays.hpp"
#include "layers/dropout.hpp"

namespace lstmcore::binding {

struct SeededMasks {
  // Without a seed none are drawn.
  SeededMasks(const py::object& seed, const py::object& numbers, Index n_sequences) {
    if (seed.is_none()) return;
    samples = as_array<Index>(numbers, "samples", {n_sequences});
    dropout.key = Dropout::make_key(py::cast<std::uint64_t>(seed), 0);
    dropout.samples = samples.data();
  }

  Array<Index> samples;
  Dropout dropout;  // of a rate of 0: nothing is dropped between the layers
};

}  // namespace lstmcore::binding
