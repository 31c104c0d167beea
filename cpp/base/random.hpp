// Hashes that make keys of random numbers; the numbers themselves: kernels/mask_row.inc.
#pragma once

#include <cstdint>

namespace lstmcore {

// Steele, Lea, Flood: Fast splittable pseudorandom number generators (OOPSLA 2014), finaliser.
inline std::uint64_t mix64(std::uint64_t z) noexcept {
  z += 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

}  // namespace lstmcore
