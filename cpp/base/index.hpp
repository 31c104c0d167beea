// The integer that counts everything, and products of sizes that cannot wrap around.
#pragma once

#include <cstddef>
#include <limits>
#include <stdexcept>

namespace lstmcore {

// Signed and as wide as a pointer: T * N * 4H passes 2^31 on ordinary data.
using Index = std::ptrdiff_t;

// Product of non-negative sizes; throws std::length_error instead of wrapping around.
template <class... Sizes>
Index checked_product(Index first, Sizes... rest) {
  Index product = first;
  const auto multiply = [&product](Index size) {
    if (size != 0 && product > std::numeric_limits<Index>::max() / size) {
      throw std::length_error("the product of the sizes does not fit into memory");
    }
    product *= size;
  };
  (multiply(static_cast<Index>(rest)), ...);
  return product;
}

constexpr Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }
constexpr Index round_up(Index a, Index b) { return ceil_div(a, b) * b; }

}  // namespace lstmcore
