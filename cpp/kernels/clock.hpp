// The same kernels with a clock around each, for those who ask where the time goes. It is a table
// of its own, chosen by the name of an instruction set with "+clock" behind it: nobody else pays.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/kernel_table.hpp"

namespace lstmcore {

struct KernelTime {
  const char* name;
  std::int64_t calls;
  double seconds;  // of all threads together
};

// What the kernels with a clock have taken since the process began.
std::vector<KernelTime> kernel_times();

// `kernels`, one of compiled_kernels(), with a clock.
const Kernels& with_clock(const Kernels& kernels);

}  // namespace lstmcore
