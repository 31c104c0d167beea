// Random masks of training, and inverted dropout between layers. Srivastava et al.: Dropout: a
// simple way to prevent neural networks from overfitting (JMLR 2014). Whether a unit is dropped is
// a function of (seed, epoch, sample, layer, time step, unit): it does not depend on threads, nor
// on the batch the sample is in.
#pragma once

#include <algorithm>

#include "base/random.hpp"
#include "kernels/kernel_table.hpp"
#include "layers/packed_batch.hpp"

namespace lstmcore {

// What a mask is for; each kind has random numbers of its own.
enum class MaskKind : std::uint8_t {
  kBetweenLayers,
  kHidden,         // h_{t-1} where W_hh multiplies it, the same for all steps
  kZoneoutHidden,  // whether h_t stays what it was
  kZoneoutCell,    // whether c_t does
  kCandidate,      // the candidate of an LSTM or a GRU
};

struct Dropout {
  double rate = 0.0;
  std::uint64_t key = 0;           // of seed and epoch
  const Index* samples = nullptr;  // dataset index of each sequence of the batch
  const Index* begins = nullptr;   // in a window over time, the first step of each sequence

  static std::uint64_t make_key(std::uint64_t seed, std::uint64_t epoch) noexcept {
    return mix64(seed ^ mix64(epoch));
  }
  // Whether masks are drawn at all: in training.
  bool draws() const noexcept { return samples != nullptr; }
  bool active() const noexcept { return rate > 0.0 && draws(); }

  // For a part of the batch that begins with sequence `first`.
  Dropout of_part(Index first) const noexcept {
    return {rate, key, draws() ? samples + first : nullptr, nullptr};
  }
  // Step t of a sequence, counted from where it begins.
  Index step(Index n, Index t) const noexcept { return begins == nullptr ? t : begins[n] + t; }

  // to[j] = from[j] * mask / (1 - rate) for the units of sequence n at step t. `from` may be `to`.
  template <class Scalar>
  void apply(Index n, Index layer, Index t, Index n_units, const Scalar* from,
             Scalar* to) const noexcept {
    const auto scale = static_cast<Scalar>(1.0 / (1.0 - rate));
    each_unit(MaskKind::kBetweenLayers, rate, n, layer, t, n_units,
              [&](Index j, bool drop) { to[j] = drop ? Scalar{0} : from[j] * scale; });
  }
  // mask[j] = dropped with probability `probability`, else kept; blocks of B units are `stride`
  // apart.
  template <class Scalar>
  void draw(MaskKind kind, double probability, Index n, Index layer, Index t, Index n_units,
            Scalar dropped, Scalar kept, Scalar* mask, Index stride) const noexcept {
    constexpr Index B = kBlock<Scalar>;
    each_unit(kind, probability, n, layer, t, n_units,
              [&](Index j, bool drop) { mask[j / B * stride + j % B] = drop ? dropped : kept; });
  }

 private:
  template <class Visit>
  void each_unit(MaskKind kind, double probability, Index n, Index layer, Index t, Index n_units,
                 Visit&& visit) const noexcept {
    const auto threshold = static_cast<std::uint64_t>(probability * 4294967296.0);
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): who applies masks has samples.
    const auto sample = static_cast<std::uint64_t>(samples[n]);
    const std::uint64_t key_of_kind =
        kind == MaskKind::kBetweenLayers ? key : mix64(key + static_cast<std::uint64_t>(kind));
    for (Index j = 0; j < n_units; j += 4) {
      const Philox random = philox4x32(
          {static_cast<std::uint32_t>(sample),
           static_cast<std::uint32_t>((sample >> 32) << 8) | static_cast<std::uint32_t>(layer),
           static_cast<std::uint32_t>(t), static_cast<std::uint32_t>(j / 4)},
          key_of_kind);
      const Index group = std::min<Index>(4, n_units - j);
      for (Index u = 0; u < group; ++u) {
        visit(j + u, random[static_cast<std::size_t>(u)] < threshold);
      }
    }
  }
};

}  // namespace lstmcore
