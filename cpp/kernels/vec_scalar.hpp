// Vectors in portable C++: four lanes (two for double) of plain arithmetic. The twin that the other
// instruction sets are held against, and the code that runs where they don't exist.
#pragma once

#include <cstdint>

#include "base/index.hpp"

namespace lstmcore {
namespace {

template <class ScalarT, class BitsT, int kLanesV>
struct PlainVec {
  using Scalar = ScalarT;
  using Bits = BitsT;
  static constexpr Index kLanes = kLanesV;
  // Register tiles: rows of the cell, those of a tile that is finished in registers too, and gates
  // times units where a cell has fewer than four gates; rows and blocks of the GEMMs.
  static constexpr int kCellRows = 2;
  static constexpr int kRowsInRegisters = 0;
  static constexpr int kCellWidth = 2;
  static constexpr int kGatesAtOnce = 8;  // all there are
  static constexpr int kGemmRows = 2;
  static constexpr Index kTransposeTile = 1;
  static constexpr int kGemmBlocks = 1;

  using Half = PlainVec;  // of a block
  // A vector of the compiler's own, in whatever registers there are. An array takes nearly twice as
  // long to compile, and is no faster (gcc 12, 2026-11).
  using Lanes [[gnu::vector_size(kLanesV * sizeof(Scalar))]] = Scalar;
  using BitLanes [[gnu::vector_size(kLanesV * sizeof(Bits))]] = Bits;
  Lanes lanes;

  template <class F>
  static PlainVec each(F f) noexcept {
    PlainVec r;
    for (int l = 0; l < kLanesV; ++l) r.lanes[l] = f(l);
    return r;
  }
  static BitLanes bits(PlainVec x) noexcept { return __builtin_bit_cast(BitLanes, x.lanes); }
  static PlainVec of_bits(BitLanes x) noexcept { return {__builtin_bit_cast(Lanes, x)}; }
  static constexpr Bits kSign = Bits{1} << (8 * sizeof(Bits) - 1);

  static PlainVec load(const Scalar* p) noexcept {
    PlainVec r;
    __builtin_memcpy(&r.lanes, p, sizeof(Lanes));
    return r;
  }
  // The first n numbers, which may be none, and zeros.
  static PlainVec load_first(const Scalar* p, Index n) noexcept {
    return each([=](int l) { return l < n ? p[l] : Scalar{0}; });
  }
  static PlainVec set1(Scalar x) noexcept { return {x - Lanes{}}; }
  void store(Scalar* p) const noexcept { __builtin_memcpy(p, &lanes, sizeof(Lanes)); }
  static PlainVec add(PlainVec a, PlainVec b) noexcept { return {a.lanes + b.lanes}; }
  static PlainVec sub(PlainVec a, PlainVec b) noexcept { return {a.lanes - b.lanes}; }
  static PlainVec mul(PlainVec a, PlainVec b) noexcept { return {a.lanes * b.lanes}; }
  static PlainVec div(PlainVec a, PlainVec b) noexcept { return {a.lanes / b.lanes}; }
  static Scalar fma1(Scalar a, Scalar b, Scalar c) noexcept {
    if constexpr (sizeof(Scalar) == 4) {
      return __builtin_fmaf(a, b, c);
    } else {
      return __builtin_fma(a, b, c);
    }
  }
  // a b + c, rounded once.
  static PlainVec fma(PlainVec a, PlainVec b, PlainVec c) noexcept {
    return each([&](int l) { return fma1(a.lanes[l], b.lanes[l], c.lanes[l]); });
  }
  // The second operand where either is NaN, as the x86 instructions do.
  static PlainVec min(PlainVec a, PlainVec b) noexcept {
    return {a.lanes < b.lanes ? a.lanes : b.lanes};
  }
  static PlainVec max(PlainVec a, PlainVec b) noexcept {
    return {a.lanes > b.lanes ? a.lanes : b.lanes};
  }
  // yes where a > 0, no elsewhere, NaN among it.
  static PlainVec where_positive(PlainVec a, PlainVec yes, PlainVec no) noexcept {
    return {a.lanes > Lanes{} ? yes.lanes : no.lanes};
  }
  // yes where a number is below the bound, no elsewhere.
  static PlainVec where_below(const std::uint32_t* numbers, std::uint32_t bound, PlainVec yes,
                              PlainVec no) noexcept {
    return each([&](int l) { return numbers[l] < bound ? yes.lanes[l] : no.lanes[l]; });
  }
  static PlainVec sqrt(PlainVec a) noexcept {
    return each([&](int l) {
      if constexpr (sizeof(Scalar) == 4) {
        return __builtin_sqrtf(a.lanes[l]);
      } else {
        return __builtin_sqrt(a.lanes[l]);
      }
    });
  }
  static PlainVec abs(PlainVec a) noexcept { return of_bits(bits(a) & ~kSign); }
  static PlainVec copysign(PlainVec magnitude, PlainVec sign) noexcept {
    return of_bits((bits(magnitude) & ~kSign) | (bits(sign) & kSign));
  }
  // 2^n, n being held in the low mantissa bits of `shifted`.
  template <int kMantissa, int kBias>
  static PlainVec pow2(PlainVec shifted) noexcept {
    return of_bits((bits(shifted) << kMantissa) + (Bits{kBias} << kMantissa));
  }
  // a 2^n + c, rounded once.
  template <int kMantissa, int kBias>
  static PlainVec fma_pow2(PlainVec a, PlainVec, PlainVec shifted, PlainVec c) noexcept {
    return fma(a, pow2<kMantissa, kBias>(shifted), c);
  }
};

using VecFloat32 = PlainVec<float, unsigned, 4>;
using VecFloat64 = PlainVec<double, unsigned long long, 2>;

// A number of 32 bits in the lower half of 64; what stands in the upper half is arbitrary.
struct VecUint64 {
  static constexpr Index kLanes = 1;

  std::uint64_t lane;

  using V = VecUint64;
  static V set1(std::uint64_t x) noexcept { return {x}; }
  // first and the numbers after it, in the order in which `interleave` wants them.
  static V count_from(std::uint64_t first) noexcept { return {first}; }
  // Of the lower halves.
  static V mul(V a, V b) noexcept {
    return {std::uint64_t{static_cast<std::uint32_t>(a.lane)} * static_cast<std::uint32_t>(b.lane)};
  }
  static V upper_half(V a) noexcept { return {a.lane >> 32}; }
  static V xor3(V a, V b, V c) noexcept { return {a.lane ^ b.lane ^ c.lane}; }
  // Of the smallest number counted a, b, c, d, then of the next; 4 kLanes numbers in all.
  static void interleave(V a, V b, V c, V d, std::uint32_t* to) noexcept {
    to[0] = static_cast<std::uint32_t>(a.lane);
    to[1] = static_cast<std::uint32_t>(b.lane);
    to[2] = static_cast<std::uint32_t>(c.lane);
    to[3] = static_cast<std::uint32_t>(d.lane);
  }
};

}  // namespace
}  // namespace lstmcore
