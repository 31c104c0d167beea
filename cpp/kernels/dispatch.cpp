#include "kernels/dispatch.hpp"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "base/cpu.hpp"
#include "kernels/clock.hpp"

namespace lstmcore {
namespace {

constexpr std::string_view kClock = "+clock";

std::string names(const std::vector<const Kernels*>& kernels) {
  std::string list;
  for (const Kernels* k : kernels)
    list += (list.empty() ? "'" : ", '") + std::string(k->name) + "'";
  return list;
}

bool runs_here(const Kernels& kernels) {
#ifdef LSTMCORE_X86_KERNELS
  if (&kernels == &kAvx512Kernels) return cpu_has_avx512();
  if (&kernels == &kAvx2Kernels) return cpu_has_avx2_fma();
#endif
  return &kernels == &kScalarKernels;
}

}  // namespace

std::vector<const Kernels*> compiled_kernels() {
#ifdef LSTMCORE_X86_KERNELS
  return {&kAvx512Kernels, &kAvx2Kernels, &kScalarKernels};
#else
  return {&kScalarKernels};
#endif
}

const std::vector<const Kernels*>& available_kernels() {
  // Asked once: under a hypervisor every CPUID is a trap of tens of microseconds.
  static const std::vector<const Kernels*> available = [] {
    std::vector<const Kernels*> runnable;
    for (const Kernels* k : compiled_kernels()) {
      if (runs_here(*k)) runnable.push_back(k);
    }
    return runnable;
  }();
  return available;
}

const Kernels& select_kernels(std::string_view name) {
  std::string source = "isa";
  if (name.empty()) {
    const char* forced = std::getenv("LSTMCORE_ISA");
    if (forced == nullptr || *forced == '\0') return *available_kernels().front();
    name = forced;
    source = "LSTMCORE_ISA";
  }
  const bool with_a_clock = name.ends_with(kClock);
  const std::string_view plain = name.substr(0, name.size() - (with_a_clock ? kClock.size() : 0));
  for (const Kernels* k : available_kernels()) {
    if (plain == k->name) return with_a_clock ? with_clock(*k) : *k;
  }
  const std::vector<const Kernels*> all = compiled_kernels();
  const bool compiled =
      std::any_of(all.begin(), all.end(), [&](const Kernels* k) { return plain == k->name; });
  std::string message = source;
  message.append(" is '").append(name);
  message += compiled ? "', which this processor does not have" : "', which is unknown";
  throw std::invalid_argument(message + "; expected one of " + names(available_kernels()));
}

}  // namespace lstmcore
