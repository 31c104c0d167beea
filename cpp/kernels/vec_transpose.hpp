// Square transposes in AVX registers, for the AVX2 and the AVX-512 kernels alike.
#pragma once

#include <immintrin.h>

#include "base/index.hpp"

namespace lstmcore {
namespace {

// to[c][r] = from[r][c] for an 8 x 8 tile.
inline void transpose_tile(const float* from, Index from_stride, float* to, Index to_stride) {
  __m256 row[8];
  __m256 pair[8];
  __m256 quad[8];
#pragma GCC unroll 8
  for (Index r = 0; r < 8; ++r) row[r] = _mm256_loadu_ps(from + r * from_stride);
#pragma GCC unroll 4
  for (Index r = 0; r < 4; ++r) {
    pair[2 * r] = _mm256_unpacklo_ps(row[2 * r], row[2 * r + 1]);
    pair[2 * r + 1] = _mm256_unpackhi_ps(row[2 * r], row[2 * r + 1]);
  }
#pragma GCC unroll 2
  for (Index r = 0; r < 2; ++r) {
    quad[4 * r] = _mm256_shuffle_ps(pair[4 * r], pair[4 * r + 2], 0x44);
    quad[4 * r + 1] = _mm256_shuffle_ps(pair[4 * r], pair[4 * r + 2], 0xEE);
    quad[4 * r + 2] = _mm256_shuffle_ps(pair[4 * r + 1], pair[4 * r + 3], 0x44);
    quad[4 * r + 3] = _mm256_shuffle_ps(pair[4 * r + 1], pair[4 * r + 3], 0xEE);
  }
#pragma GCC unroll 4
  for (Index c = 0; c < 4; ++c) {
    _mm256_storeu_ps(to + c * to_stride, _mm256_permute2f128_ps(quad[c], quad[c + 4], 0x20));
    _mm256_storeu_ps(to + (c + 4) * to_stride, _mm256_permute2f128_ps(quad[c], quad[c + 4], 0x31));
  }
}

// The same for a 4 x 4 tile of doubles.
inline void transpose_tile(const double* from, Index from_stride, double* to, Index to_stride) {
  __m256d row[4];
#pragma GCC unroll 4
  for (Index r = 0; r < 4; ++r) row[r] = _mm256_loadu_pd(from + r * from_stride);
  const __m256d low01 = _mm256_unpacklo_pd(row[0], row[1]);
  const __m256d high01 = _mm256_unpackhi_pd(row[0], row[1]);
  const __m256d low23 = _mm256_unpacklo_pd(row[2], row[3]);
  const __m256d high23 = _mm256_unpackhi_pd(row[2], row[3]);
  _mm256_storeu_pd(to, _mm256_permute2f128_pd(low01, low23, 0x20));
  _mm256_storeu_pd(to + to_stride, _mm256_permute2f128_pd(high01, high23, 0x20));
  _mm256_storeu_pd(to + 2 * to_stride, _mm256_permute2f128_pd(low01, low23, 0x31));
  _mm256_storeu_pd(to + 3 * to_stride, _mm256_permute2f128_pd(high01, high23, 0x31));
}

}  // namespace
}  // namespace lstmcore
