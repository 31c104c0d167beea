// Random masks of training, and inverted dropout between layers. Srivastava et al.: Dropout: a
// simple way to prevent neural networks from overfitting (JMLR 2014). Whether a unit is dropped is
// a function of (seed, epoch, sample, layer, time step, unit): it does not depend on threads, nor
// on the batch the sample is in.
#pragma once

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

  // to[j] = from[j] * mask / (1 - rate) for the units of sequence n at step t, a multiple of B.
  // `from` may be `to`.
  template <class Scalar>
  void apply(const KernelTable<Scalar>& kernels, Index n, Index layer, Index t, Index n_units,
             const Scalar* from, Scalar* to) const noexcept {
    MaskRow<Scalar> row = row_of<Scalar>(MaskKind::kBetweenLayers, rate, n, layer, t, n_units);
    row.from = from;
    row.kept = kept_scale<Scalar>(rate);
    row.to = to;
    row.to_block_stride = kBlock<Scalar>;
    kernels.mask_row(row);
  }
  // mask[j] = dropped with probability `probability`, else kept; blocks of B units are `stride`
  // apart.
  template <class Scalar>
  void draw(const KernelTable<Scalar>& kernels, MaskKind kind, double probability, Index n,
            Index layer, Index t, Index n_units, Scalar dropped, Scalar kept, Scalar* mask,
            Index stride) const noexcept {
    MaskRow<Scalar> row = row_of<Scalar>(kind, probability, n, layer, t, n_units);
    row.dropped = dropped;
    row.kept = kept;
    row.to = mask;
    row.to_block_stride = stride;
    kernels.mask_row(row);
  }

  // What is kept is scaled up: expectations stay what they were.
  template <class Scalar>
  static Scalar kept_scale(double rate) noexcept {
    return static_cast<Scalar>(1.0 / (1.0 - rate));
  }

 private:
  template <class Scalar>
  MaskRow<Scalar> row_of(MaskKind kind, double probability, Index n, Index layer, Index t,
                         Index n_units) const noexcept {
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): who applies masks has samples.
    const auto sample = static_cast<std::uint64_t>(samples[n]);
    MaskRow<Scalar> row{};
    row.key =
        kind == MaskKind::kBetweenLayers ? key : mix64(key + static_cast<std::uint64_t>(kind));
    row.counter[0] = static_cast<std::uint32_t>(sample);
    row.counter[1] =
        static_cast<std::uint32_t>((sample >> 32) << 8) | static_cast<std::uint32_t>(layer);
    row.counter[2] = static_cast<std::uint32_t>(t);
    row.threshold = static_cast<std::uint32_t>(probability * 4294967296.0);
    row.size = n_units;
    return row;
  }
};

}  // namespace lstmcore
