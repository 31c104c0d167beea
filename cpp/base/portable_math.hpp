// exp and log in plain double arithmetic: the C library's differ from one processor to the next
// (it picks an FMA variant at run time), and the loss must have the same bits everywhere.
// For the few numbers of a loss or a probability; the cells have vector kernels of their own.
#pragma once

#include <cmath>
#include <limits>

namespace lstmcore::portable {

// 1 / k!: Taylor on |r| <= ln 2 / 2 leaves out less than 1e-19.
inline constexpr double kInverseFactorial[15] = {1.0,
                                                 1.0,
                                                 1.0 / 2,
                                                 1.0 / 6,
                                                 1.0 / 24,
                                                 1.0 / 120,
                                                 1.0 / 720,
                                                 1.0 / 5040,
                                                 1.0 / 40320,
                                                 1.0 / 362880,
                                                 1.0 / 3628800,
                                                 1.0 / 39916800,
                                                 1.0 / 479001600,
                                                 1.0 / 6227020800,
                                                 1.0 / 87178291200};

// e^x with a relative error of about 1e-15, for finite x and infinities; NaN in, NaN out.
inline double exp(double x) noexcept {
  if (!(x > -708.0)) return x != x ? x : 0.0;
  if (x > 709.7) return std::numeric_limits<double>::infinity();
  const double n = std::nearbyint(x * 1.4426950408889634);
  const double r = (x - n * 0x1.62e42fefa3000p-1) - n * 0x1.3de6af278ece6p-42;
  double sum = kInverseFactorial[14];
  for (int k = 13; k >= 0; --k) sum = sum * r + kInverseFactorial[k];
  return std::ldexp(sum, static_cast<int>(n));
}

// 2 atanh(f) = log((1 + f) / (1 - f)) for |f| <= 1/3.
inline double twice_atanh(double f) noexcept {
  const double square = f * f;
  double sum = 0.0;
  for (int k = 35; k >= 1; k -= 2) sum = sum * square + 1.0 / k;
  return 2.0 * f * sum;
}

// log(x) for x > 0; -infinity for 0, NaN for NaN.
inline double log(double x) noexcept {
  if (x != x || x == std::numeric_limits<double>::infinity()) return x;
  if (!(x > 0.0)) return -std::numeric_limits<double>::infinity();
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent);  // [0.5, 1)
  if (mantissa < 0.7071067811865476) {
    mantissa *= 2.0;
    exponent -= 1;
  }
  return exponent * 0.6931471805599453 + twice_atanh((mantissa - 1.0) / (mantissa + 1.0));
}

// log(1 + u) for u in [0, 1], precise for small u.
inline double log1p(double u) noexcept { return twice_atanh(u / (2.0 + u)); }

inline double sigmoid(double x) noexcept {
  if (x >= 0) return 1.0 / (1.0 + exp(-x));
  const double e = exp(x);
  return e / (1.0 + e);
}

}  // namespace lstmcore::portable
