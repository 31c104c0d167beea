// What the processor and the operating system together allow.
#pragma once

namespace lstmcore {

// True when the instructions exist and the operating system saves their registers (XGETBV).
bool cpu_has_avx2_fma() noexcept;
bool cpu_has_avx512() noexcept;  // F, BW, DQ and VL

}  // namespace lstmcore
