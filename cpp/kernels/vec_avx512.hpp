// AVX-512 F, BW, DQ, VL: sixteen floats or eight doubles a register, thirty-two registers.
#pragma once

#include <immintrin.h>

#include <cstdint>

// gcc 12 takes the deliberately undefined operand of its own AVX-512 intrinsics for a mistake.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include "base/index.hpp"
#include "kernels/vec_transpose.hpp"

namespace lstmcore {
namespace {

// Half a block, for units that fill no more.
struct HalfFloat32 {
  using Scalar = float;
  static constexpr Index kLanes = 8;
  __m256 reg;

  static HalfFloat32 load(const float* p) noexcept { return {_mm256_loadu_ps(p)}; }
  static HalfFloat32 set1(float x) noexcept { return {_mm256_set1_ps(x)}; }
  void store(float* p) const noexcept { _mm256_storeu_ps(p, reg); }
  using V = HalfFloat32;
  static V fma(V a, V b, V c) noexcept { return {_mm256_fmadd_ps(a.reg, b.reg, c.reg)}; }
};

struct HalfFloat64 {
  using Scalar = double;
  static constexpr Index kLanes = 4;
  __m256d reg;

  static HalfFloat64 load(const double* p) noexcept { return {_mm256_loadu_pd(p)}; }
  static HalfFloat64 set1(double x) noexcept { return {_mm256_set1_pd(x)}; }
  void store(double* p) const noexcept { _mm256_storeu_pd(p, reg); }
  using V = HalfFloat64;
  static V fma(V a, V b, V c) noexcept { return {_mm256_fmadd_pd(a.reg, b.reg, c.reg)}; }
};

// The first halves of two such blocks, one behind the other, in one register: by default of two
// that stand side by side.
struct HalvesFloat32 {
  using Scalar = float;
  static constexpr Index kLanes = 16;
  static constexpr Index kBlocks = 2;
  __m512 reg;

  static HalvesFloat32 load(const float* p) noexcept { return load(p, p + 16); }
  static HalvesFloat32 load(const float* a, const float* b) noexcept {
    return {_mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(a)), _mm256_loadu_ps(b), 1)};
  }
  static HalvesFloat32 twice(const float* p) noexcept {
    return {_mm512_broadcast_f32x8(_mm256_loadu_ps(p))};
  }
  static HalvesFloat32 set1(float x) noexcept { return {_mm512_set1_ps(x)}; }
  static HalvesFloat32 set1(float a, float b) noexcept {
    return {_mm512_mask_blend_ps(0xFF00, _mm512_set1_ps(a), _mm512_set1_ps(b))};
  }
  HalfFloat32 first() const noexcept { return {_mm512_castps512_ps256(reg)}; }
  HalfFloat32 second() const noexcept { return {_mm512_extractf32x8_ps(reg, 1)}; }
  void store(float* p) const noexcept {
    first().store(p);
    second().store(p + 16);
  }
  using V = HalvesFloat32;
  static V fma(V a, V b, V c) noexcept { return {_mm512_fmadd_ps(a.reg, b.reg, c.reg)}; }
};

struct HalvesFloat64 {
  using Scalar = double;
  static constexpr Index kLanes = 8;
  static constexpr Index kBlocks = 2;
  __m512d reg;

  static HalvesFloat64 load(const double* p) noexcept { return load(p, p + 8); }
  static HalvesFloat64 load(const double* a, const double* b) noexcept {
    return {_mm512_insertf64x4(_mm512_castpd256_pd512(_mm256_loadu_pd(a)), _mm256_loadu_pd(b), 1)};
  }
  static HalvesFloat64 twice(const double* p) noexcept {
    return {_mm512_broadcast_f64x4(_mm256_loadu_pd(p))};
  }
  static HalvesFloat64 set1(double x) noexcept { return {_mm512_set1_pd(x)}; }
  static HalvesFloat64 set1(double a, double b) noexcept {
    return {_mm512_mask_blend_pd(0xF0, _mm512_set1_pd(a), _mm512_set1_pd(b))};
  }
  HalfFloat64 first() const noexcept { return {_mm512_castpd512_pd256(reg)}; }
  HalfFloat64 second() const noexcept { return {_mm512_extractf64x4_pd(reg, 1)}; }
  void store(double* p) const noexcept {
    first().store(p);
    second().store(p + 8);
  }
  using V = HalvesFloat64;
  static V fma(V a, V b, V c) noexcept { return {_mm512_fmadd_pd(a.reg, b.reg, c.reg)}; }
};

struct VecFloat32 {
  using Scalar = float;
  static constexpr Index kLanes = 16;
  static constexpr int kCellRows = 6;
  static constexpr int kRowsInRegisters = 2;
  static constexpr int kCellWidth = 4;
  // Of a cell with more gates. All eight, three rows at a time, read the weights twice as often:
  // inference with layer normalisation is 15 to 19 % slower like that at H 128 and 256 (2 cores of
  // a Zen 5, 2026-11).
  static constexpr int kGatesAtOnce = 4;
  static constexpr int kGateRows = 6;
  static constexpr int kGemmRows = 6;
  static constexpr Index kTransposeTile = 8;
  static constexpr int kGemmBlocks = 4;

  __m512 reg;

  using Half = HalfFloat32;
  using Halves = HalvesFloat32;
  static VecFloat32 widen(Half a) noexcept { return {_mm512_zextps256_ps512(a.reg)}; }
  static VecFloat32 load(const float* p) noexcept { return {_mm512_loadu_ps(p)}; }
  // The first n numbers, which may be none, and zeros.
  static VecFloat32 load_first(const float* p, Index n) noexcept {
    return {_mm512_maskz_loadu_ps(static_cast<__mmask16>(n > 0 ? (1U << n) - 1 : 0), p)};
  }
  static VecFloat32 set1(float x) noexcept { return {_mm512_set1_ps(x)}; }
  void store(float* p) const noexcept { _mm512_storeu_ps(p, reg); }
  using V = VecFloat32;
  static V add(V a, V b) noexcept { return {_mm512_add_ps(a.reg, b.reg)}; }
  static V sub(V a, V b) noexcept { return {_mm512_sub_ps(a.reg, b.reg)}; }
  static V mul(V a, V b) noexcept { return {_mm512_mul_ps(a.reg, b.reg)}; }
  static V div(V a, V b) noexcept { return {_mm512_div_ps(a.reg, b.reg)}; }
  static V fma(V a, V b, V c) noexcept { return {_mm512_fmadd_ps(a.reg, b.reg, c.reg)}; }
  static V min(V a, V b) noexcept { return {_mm512_min_ps(a.reg, b.reg)}; }
  static V max(V a, V b) noexcept { return {_mm512_max_ps(a.reg, b.reg)}; }
  static V sqrt(V a) noexcept { return {_mm512_sqrt_ps(a.reg)}; }
  static V where_positive(V a, V yes, V no) noexcept {
    const auto mask = _mm512_cmp_ps_mask(a.reg, _mm512_setzero_ps(), _CMP_GT_OQ);
    return {_mm512_mask_blend_ps(mask, no.reg, yes.reg)};
  }
  // yes where a number is below the bound, no elsewhere.
  static V where_below(const std::uint32_t* numbers, std::uint32_t bound, V yes, V no) noexcept {
    const __m512i limit = _mm512_set1_epi32(static_cast<int>(bound));
    const auto below = _mm512_cmplt_epu32_mask(_mm512_loadu_si512(numbers), limit);
    return {_mm512_mask_blend_ps(below, no.reg, yes.reg)};
  }
  static V abs(V a) noexcept { return {_mm512_andnot_ps(_mm512_set1_ps(-0.0F), a.reg)}; }
  static V copysign(V magnitude, V sign) noexcept {
    const __m512 mask = _mm512_set1_ps(-0.0F);
    return {_mm512_or_ps(_mm512_andnot_ps(mask, magnitude.reg), _mm512_and_ps(mask, sign.reg))};
  }
  template <int kMantissa, int kBias>
  static V pow2(V shifted) noexcept {
    const __m512i n = _mm512_slli_epi32(_mm512_castps_si512(shifted.reg), kMantissa);
    return {_mm512_castsi512_ps(_mm512_add_epi32(n, _mm512_set1_epi32(kBias << kMantissa)))};
  }
  // a 2^n + c, rounded once; `shifted` holds n as pow2 wants it.
  template <int kMantissa, int kBias>
  static V fma_pow2(V a, V n, V, V c) noexcept {
    return {_mm512_add_ps(_mm512_scalef_ps(a.reg, n.reg), c.reg)};
  }
};

struct VecFloat64 {
  using Scalar = double;
  static constexpr Index kLanes = 8;
  static constexpr int kCellRows = 6;
  static constexpr int kRowsInRegisters = 2;
  static constexpr int kCellWidth = 4;
  static constexpr int kGatesAtOnce = 4;
  static constexpr int kGateRows = 6;
  static constexpr int kGemmRows = 6;
  static constexpr Index kTransposeTile = 4;
  static constexpr int kGemmBlocks = 4;

  __m512d reg;

  using Half = HalfFloat64;
  using Halves = HalvesFloat64;
  static VecFloat64 widen(Half a) noexcept { return {_mm512_zextpd256_pd512(a.reg)}; }
  static VecFloat64 load(const double* p) noexcept { return {_mm512_loadu_pd(p)}; }
  static VecFloat64 load_first(const double* p, Index n) noexcept {
    return {_mm512_maskz_loadu_pd(static_cast<__mmask8>(n > 0 ? (1U << n) - 1 : 0), p)};
  }
  static VecFloat64 set1(double x) noexcept { return {_mm512_set1_pd(x)}; }
  void store(double* p) const noexcept { _mm512_storeu_pd(p, reg); }
  using V = VecFloat64;
  static V add(V a, V b) noexcept { return {_mm512_add_pd(a.reg, b.reg)}; }
  static V sub(V a, V b) noexcept { return {_mm512_sub_pd(a.reg, b.reg)}; }
  static V mul(V a, V b) noexcept { return {_mm512_mul_pd(a.reg, b.reg)}; }
  static V div(V a, V b) noexcept { return {_mm512_div_pd(a.reg, b.reg)}; }
  static V fma(V a, V b, V c) noexcept { return {_mm512_fmadd_pd(a.reg, b.reg, c.reg)}; }
  static V min(V a, V b) noexcept { return {_mm512_min_pd(a.reg, b.reg)}; }
  static V max(V a, V b) noexcept { return {_mm512_max_pd(a.reg, b.reg)}; }
  static V sqrt(V a) noexcept { return {_mm512_sqrt_pd(a.reg)}; }
  static V where_positive(V a, V yes, V no) noexcept {
    const auto mask = _mm512_cmp_pd_mask(a.reg, _mm512_setzero_pd(), _CMP_GT_OQ);
    return {_mm512_mask_blend_pd(mask, no.reg, yes.reg)};
  }
  static V where_below(const std::uint32_t* numbers, std::uint32_t bound, V yes, V no) noexcept {
    const __m256i some = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(numbers));
    const __m256i limit = _mm256_set1_epi32(static_cast<int>(bound));
    return {_mm512_mask_blend_pd(_mm256_cmplt_epu32_mask(some, limit), no.reg, yes.reg)};
  }
  static V abs(V a) noexcept { return {_mm512_andnot_pd(_mm512_set1_pd(-0.0), a.reg)}; }
  static V copysign(V magnitude, V sign) noexcept {
    const __m512d mask = _mm512_set1_pd(-0.0);
    return {_mm512_or_pd(_mm512_andnot_pd(mask, magnitude.reg), _mm512_and_pd(mask, sign.reg))};
  }
  template <int kMantissa, int kBias>
  static V pow2(V shifted) noexcept {
    const __m512i n = _mm512_slli_epi64(_mm512_castpd_si512(shifted.reg), kMantissa);
    const __m512i bias = _mm512_set1_epi64(static_cast<long long>(kBias) << kMantissa);
    return {_mm512_castsi512_pd(_mm512_add_epi64(n, bias))};
  }
  template <int kMantissa, int kBias>
  static V fma_pow2(V a, V n, V, V c) noexcept {
    return {_mm512_add_pd(_mm512_scalef_pd(a.reg, n.reg), c.reg)};
  }
};

// Numbers of 32 bits, each in the lower half of 64; what stands in the upper half is arbitrary.
struct VecUint64 {
  static constexpr Index kLanes = 8;

  __m512i reg;

  using V = VecUint64;
  static V set1(std::uint64_t x) noexcept { return {_mm512_set1_epi64(static_cast<long long>(x))}; }
  // first and the numbers after it, in the order in which `interleave` wants them.
  static V count_from(std::uint64_t first) noexcept {
    return {_mm512_add_epi64(set1(first).reg, _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7))};
  }
  static V mul(V a, V b) noexcept { return {_mm512_mul_epu32(a.reg, b.reg)}; }
  static V upper_half(V a) noexcept { return {_mm512_srli_epi64(a.reg, 32)}; }
  static V xor3(V a, V b, V c) noexcept {
    return {_mm512_ternarylogic_epi64(a.reg, b.reg, c.reg, 0x96)};
  }
  // Of the smallest number counted a, b, c, d, then of the next; 4 kLanes numbers in all.
  static void interleave(V a, V b, V c, V d, std::uint32_t* to) noexcept {
    const __m512i ab = _mm512_mask_blend_epi32(0xAAAA, a.reg, _mm512_slli_epi64(b.reg, 32));
    const __m512i cd = _mm512_mask_blend_epi32(0xAAAA, c.reg, _mm512_slli_epi64(d.reg, 32));
    _mm512_storeu_si512(to, _mm512_unpacklo_epi64(ab, cd));
    _mm512_storeu_si512(to + 16, _mm512_unpackhi_epi64(ab, cd));
  }
};

}  // namespace
}  // namespace lstmcore
