// AVX2 and FMA: eight floats or four doubles a register, sixteen registers.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "base/index.hpp"
#include "kernels/vec_transpose.hpp"

namespace lstmcore {
namespace {

struct VecFloat32 {
  using Scalar = float;
  static constexpr Index kLanes = 8;
  static constexpr int kCellRows = 3;
  static constexpr int kRowsInRegisters = 2;
  // Gates x units of a tile of many rows: 12 x 1 measures ahead of 6 x 2, and that of 3 x 4.
  static constexpr int kCellWidth = 1;
  // Gates of a tile of more rows than kCellRows: twelve sums, two weights and a factor fill the
  // registers. Forward 155 GFLOP/s where 12 x 1 makes 137 and 3 x 4, with spills, 127 (I 32, H 128,
  // 2 cores of a Zen 4, 2026-11).
  static constexpr int kGatesAtOnce = 2;
  static constexpr int kGateRows = 6;
  static constexpr int kGemmRows = 6;
  static constexpr Index kTransposeTile = 8;
  static constexpr int kGemmBlocks = 1;

  __m256 reg;

  using Half = VecFloat32;  // of a block

  static VecFloat32 load(const float* p) noexcept { return {_mm256_loadu_ps(p)}; }
  // The first n numbers, which may be none, and zeros.
  static VecFloat32 load_first(const float* p, Index n) noexcept {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return {
        _mm256_maskload_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), lane))};
  }
  static VecFloat32 set1(float x) noexcept { return {_mm256_set1_ps(x)}; }
  void store(float* p) const noexcept { _mm256_storeu_ps(p, reg); }
  using V = VecFloat32;
  static V add(V a, V b) noexcept { return {_mm256_add_ps(a.reg, b.reg)}; }
  static V sub(V a, V b) noexcept { return {_mm256_sub_ps(a.reg, b.reg)}; }
  static V mul(V a, V b) noexcept { return {_mm256_mul_ps(a.reg, b.reg)}; }
  static V div(V a, V b) noexcept { return {_mm256_div_ps(a.reg, b.reg)}; }
  static V fma(V a, V b, V c) noexcept { return {_mm256_fmadd_ps(a.reg, b.reg, c.reg)}; }
  static V min(V a, V b) noexcept { return {_mm256_min_ps(a.reg, b.reg)}; }
  static V max(V a, V b) noexcept { return {_mm256_max_ps(a.reg, b.reg)}; }
  static V sqrt(V a) noexcept { return {_mm256_sqrt_ps(a.reg)}; }
  static V where_positive(V a, V yes, V no) noexcept {
    const auto mask = _mm256_cmp_ps(a.reg, _mm256_setzero_ps(), _CMP_GT_OQ);
    return {_mm256_blendv_ps(no.reg, yes.reg, mask)};
  }
  // yes where a number is below the bound, no elsewhere.
  static V where_below(const std::uint32_t* numbers, std::uint32_t bound, V yes, V no) noexcept {
    const __m256i some = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(numbers));
    const __m256i most = _mm256_max_epu32(some, _mm256_set1_epi32(static_cast<int>(bound)));
    const __m256i reached = _mm256_cmpeq_epi32(some, most);
    return {_mm256_blendv_ps(yes.reg, no.reg, _mm256_castsi256_ps(reached))};
  }
  static V abs(V a) noexcept { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0F), a.reg)}; }
  static V copysign(V magnitude, V sign) noexcept {
    const __m256 mask = _mm256_set1_ps(-0.0F);
    return {_mm256_or_ps(_mm256_andnot_ps(mask, magnitude.reg), _mm256_and_ps(mask, sign.reg))};
  }
  template <int kMantissa, int kBias>
  static V pow2(V shifted) noexcept {
    const __m256i n = _mm256_slli_epi32(_mm256_castps_si256(shifted.reg), kMantissa);
    return {_mm256_castsi256_ps(_mm256_add_epi32(n, _mm256_set1_epi32(kBias << kMantissa)))};
  }
  // a 2^n + c, rounded once; `shifted` holds n as pow2 wants it.
  template <int kMantissa, int kBias>
  static V fma_pow2(V a, V, V shifted, V c) noexcept {
    return fma(a, pow2<kMantissa, kBias>(shifted), c);
  }
};

struct VecFloat64 {
  using Scalar = double;
  static constexpr Index kLanes = 4;
  static constexpr int kCellRows = 3;
  static constexpr int kRowsInRegisters = 2;
  static constexpr int kCellWidth = 1;
  static constexpr int kGatesAtOnce = 2;
  static constexpr int kGateRows = 6;
  static constexpr int kGemmRows = 6;
  static constexpr Index kTransposeTile = 4;
  static constexpr int kGemmBlocks = 1;

  __m256d reg;

  using Half = VecFloat64;

  static VecFloat64 load(const double* p) noexcept { return {_mm256_loadu_pd(p)}; }
  static VecFloat64 load_first(const double* p, Index n) noexcept {
    const __m256i lane = _mm256_setr_epi64x(0, 1, 2, 3);
    return {_mm256_maskload_pd(p, _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), lane))};
  }
  static VecFloat64 set1(double x) noexcept { return {_mm256_set1_pd(x)}; }
  void store(double* p) const noexcept { _mm256_storeu_pd(p, reg); }
  using V = VecFloat64;
  static V add(V a, V b) noexcept { return {_mm256_add_pd(a.reg, b.reg)}; }
  static V sub(V a, V b) noexcept { return {_mm256_sub_pd(a.reg, b.reg)}; }
  static V mul(V a, V b) noexcept { return {_mm256_mul_pd(a.reg, b.reg)}; }
  static V div(V a, V b) noexcept { return {_mm256_div_pd(a.reg, b.reg)}; }
  static V fma(V a, V b, V c) noexcept { return {_mm256_fmadd_pd(a.reg, b.reg, c.reg)}; }
  static V min(V a, V b) noexcept { return {_mm256_min_pd(a.reg, b.reg)}; }
  static V max(V a, V b) noexcept { return {_mm256_max_pd(a.reg, b.reg)}; }
  static V sqrt(V a) noexcept { return {_mm256_sqrt_pd(a.reg)}; }
  static V where_positive(V a, V yes, V no) noexcept {
    const auto mask = _mm256_cmp_pd(a.reg, _mm256_setzero_pd(), _CMP_GT_OQ);
    return {_mm256_blendv_pd(no.reg, yes.reg, mask)};
  }
  static V where_below(const std::uint32_t* numbers, std::uint32_t bound, V yes, V no) noexcept {
    const __m128i some = _mm_loadu_si128(reinterpret_cast<const __m128i*>(numbers));
    const __m128i most = _mm_max_epu32(some, _mm_set1_epi32(static_cast<int>(bound)));
    const __m256i reached = _mm256_cvtepi32_epi64(_mm_cmpeq_epi32(some, most));
    return {_mm256_blendv_pd(yes.reg, no.reg, _mm256_castsi256_pd(reached))};
  }
  static V abs(V a) noexcept { return {_mm256_andnot_pd(_mm256_set1_pd(-0.0), a.reg)}; }
  static V copysign(V magnitude, V sign) noexcept {
    const __m256d mask = _mm256_set1_pd(-0.0);
    return {_mm256_or_pd(_mm256_andnot_pd(mask, magnitude.reg), _mm256_and_pd(mask, sign.reg))};
  }
  template <int kMantissa, int kBias>
  static V pow2(V shifted) noexcept {
    const __m256i n = _mm256_slli_epi64(_mm256_castpd_si256(shifted.reg), kMantissa);
    const __m256i bias = _mm256_set1_epi64x(static_cast<long long>(kBias) << kMantissa);
    return {_mm256_castsi256_pd(_mm256_add_epi64(n, bias))};
  }
  template <int kMantissa, int kBias>
  static V fma_pow2(V a, V, V shifted, V c) noexcept {
    return fma(a, pow2<kMantissa, kBias>(shifted), c);
  }
};

// Numbers of 32 bits, each in the lower half of 64; what stands in the upper half is arbitrary.
struct VecUint64 {
  static constexpr Index kLanes = 4;

  __m256i reg;

  using V = VecUint64;
  static V set1(std::uint64_t x) noexcept {
    return {_mm256_set1_epi64x(static_cast<long long>(x))};
  }
  // first and the numbers after it, in the order in which `interleave` wants them.
  static V count_from(std::uint64_t first) noexcept {
    return {_mm256_add_epi64(set1(first).reg, _mm256_setr_epi64x(0, 2, 1, 3))};
  }
  static V mul(V a, V b) noexcept { return {_mm256_mul_epu32(a.reg, b.reg)}; }
  static V upper_half(V a) noexcept { return {_mm256_srli_epi64(a.reg, 32)}; }
  static V xor3(V a, V b, V c) noexcept {
    return {_mm256_xor_si256(_mm256_xor_si256(a.reg, b.reg), c.reg)};
  }
  // Of the smallest number counted a, b, c, d, then of the next; 4 kLanes numbers in all.
  static void interleave(V a, V b, V c, V d, std::uint32_t* to) noexcept {
    const __m256i ab = _mm256_blend_epi32(a.reg, _mm256_slli_epi64(b.reg, 32), 0xAA);
    const __m256i cd = _mm256_blend_epi32(c.reg, _mm256_slli_epi64(d.reg, 32), 0xAA);
    auto* vectors = reinterpret_cast<__m256i*>(to);
    _mm256_storeu_si256(vectors, _mm256_unpacklo_epi64(ab, cd));
    _mm256_storeu_si256(vectors + 1, _mm256_unpackhi_epi64(ab, cd));
  }
};

}  // namespace
}  // namespace lstmcore
