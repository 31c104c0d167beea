// Inverted dropout. Srivastava et al.: Dropout: a simple way to prevent neural networks from
// overfitting (JMLR 2014). Whether a unit is dropped is a function of (seed, epoch, sample, layer,
// time step, unit): it does not depend on threads, nor on the batch the sample is in.
#pragma once

#include <algorithm>

#include "base/random.hpp"
#include "layers/packed_batch.hpp"

namespace lstmcore {

struct Dropout {
  double rate = 0.0;
  std::uint64_t key = 0;           // of seed and epoch
  const Index* samples = nullptr;  // dataset index of each sequence of the batch
  const Index* begins = nullptr;   // in a window over time, the first step of each sequence

  static std::uint64_t make_key(std::uint64_t seed, std::uint64_t epoch) noexcept {
    return mix64(seed ^ mix64(epoch));
  }
  bool active() const noexcept { return rate > 0.0 && samples != nullptr; }

  // For a part of the batch that begins with sequence `first`.
  Dropout of_part(Index first) const noexcept {
    return {rate, key, samples == nullptr ? nullptr : samples + first, nullptr};
  }
  // Step t of a sequence, counted from where it begins.
  Index step(Index n, Index t) const noexcept { return begins == nullptr ? t : begins[n] + t; }

  // to[j] = from[j] * mask / (1 - rate) for the units of sequence n at step t. `from` may be `to`.
  template <class Scalar>
  void apply(Index n, Index layer, Index t, Index n_units, const Scalar* from,
             Scalar* to) const noexcept {
    const auto threshold = static_cast<std::uint64_t>(rate * 4294967296.0);
    const auto scale = static_cast<Scalar>(1.0 / (1.0 - rate));
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): who applies masks is active.
    const auto sample = static_cast<std::uint64_t>(samples[n]);
    for (Index j = 0; j < n_units; j += 4) {
      const Philox random = philox4x32(
          {static_cast<std::uint32_t>(sample),
           static_cast<std::uint32_t>((sample >> 32) << 8) | static_cast<std::uint32_t>(layer),
           static_cast<std::uint32_t>(t), static_cast<std::uint32_t>(j / 4)},
          key);
      const Index group = std::min<Index>(4, n_units - j);
      for (Index u = 0; u < group; ++u) {
        const bool keep = random[static_cast<std::size_t>(u)] >= threshold;
        to[j + u] = keep ? from[j + u] * scale : Scalar{0};
      }
    }
  }
};

}  // namespace lstmcore
