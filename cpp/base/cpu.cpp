#include "base/cpu.hpp"

#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace lstmcore {

#if defined(__x86_64__)
namespace {

struct Registers {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(unsigned leaf, unsigned subleaf) noexcept {
  Registers r;
  __get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx);
  return r;
}

constexpr bool bit(unsigned word, int position) noexcept { return ((word >> position) & 1U) != 0; }

// The register sets that the operating system saves on a context switch; 0 without OSXSAVE.
std::uint64_t saved_register_sets() noexcept {
  if (!bit(cpuid(1, 0).ecx, 27)) return 0;
  unsigned low = 0;
  unsigned high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (std::uint64_t{high} << 32) | low;
}

constexpr std::uint64_t kSaveAvx = 0x06;     // XMM and YMM
constexpr std::uint64_t kSaveAvx512 = 0xE6;  // those, the mask registers and ZMM

}  // namespace

bool cpu_has_avx2_fma() noexcept {
  const Registers basic = cpuid(1, 0);
  const Registers extended = cpuid(7, 0);
  const bool saved = (saved_register_sets() & kSaveAvx) == kSaveAvx;
  return saved && bit(basic.ecx, 12) && bit(basic.ecx, 28) && bit(extended.ebx, 5);
}

bool cpu_has_avx512() noexcept {
  const Registers extended = cpuid(7, 0);
  const bool saved = (saved_register_sets() & kSaveAvx512) == kSaveAvx512;
  return saved && cpu_has_avx2_fma() && bit(extended.ebx, 16) && bit(extended.ebx, 17) &&
         bit(extended.ebx, 30) && bit(extended.ebx, 31);
}
#else
bool cpu_has_avx2_fma() noexcept { return false; }
bool cpu_has_avx512() noexcept { return false; }
#endif

}  // namespace lstmcore
