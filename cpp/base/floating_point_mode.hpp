// Denormals are flushed to zero inside a kernel region and nowhere else: a decaying cell state
// would otherwise slow every later step down by an order of magnitude.
#pragma once

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

#include <cstdint>

namespace lstmcore {

// Sets flush-to-zero and denormals-are-zero for this thread, and restores the caller's mode.
class FlushDenormals {
 public:
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

#if defined(__x86_64__) || defined(_M_X64)
  FlushDenormals() noexcept : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | kFlush); }
  ~FlushDenormals() { _mm_setcsr(saved_); }

 private:
  static constexpr unsigned kFlush = 0x8040;  // FTZ (bit 15) and DAZ (bit 6)
  unsigned saved_;
#elif defined(__aarch64__)
  FlushDenormals() noexcept {
    asm volatile("mrs %0, fpcr" : "=r"(saved_));
    asm volatile("msr fpcr, %0" ::"r"(saved_ | kFlush));
  }
  ~FlushDenormals() { asm volatile("msr fpcr, %0" ::"r"(saved_)); }

 private:
  static constexpr std::uint64_t kFlush = std::uint64_t{1} << 24;  // FZ
  std::uint64_t saved_ = 0;
#else
  FlushDenormals() noexcept = default;
#endif
};

}  // namespace lstmcore
