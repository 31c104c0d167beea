#include "kernels/clock.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

namespace lstmcore {
namespace {

struct alignas(64) Counter {
  const char* name;
  std::atomic<std::int64_t> calls{0};
  std::atomic<std::int64_t> nanoseconds{0};
};

enum Slot : std::uint8_t {
  kCellForward,
  kCellBackward,
  kPanelGemm,
  kOuterAccumulate,
  kTranspose,
  kOptimizer
};

Counter counters[] = {{"cell_forward"},     {"cell_backward"}, {"panel_gemm"},
                      {"outer_accumulate"}, {"transpose"},     {"optimizer"}};

// clang-tidy sees parentheses around the template argument Base that nobody has written.
// NOLINTBEGIN(readability-redundant-parentheses)

// Runs `kernel` by the clock of a slot.
template <Slot kSlot, class Kernel, class... Arguments>
void run_clocked(Kernel kernel, const Arguments&... arguments) noexcept {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  kernel(arguments...);
  const std::chrono::nanoseconds took = Clock::now() - begin;
  counters[kSlot].calls.fetch_add(1, std::memory_order_relaxed);
  counters[kSlot].nanoseconds.fetch_add(took.count(), std::memory_order_relaxed);
}

// The kernel that Member names in Base's table, with the clock of a slot.
template <const Kernels& Base, Slot kSlot, auto Member>
struct Clocked;

template <const Kernels& Base, Slot kSlot, class Scalar, class... Arguments,
          void (*KernelTable<Scalar>::*Member)(Arguments...) noexcept>
struct Clocked<Base, kSlot, Member> {
  static void run(Arguments... arguments) noexcept {
    run_clocked<kSlot>(Base.table<Scalar>().*Member, arguments...);
  }
};

// The same for a kernel of a cell.
template <const Kernels& Base, class Scalar, int kCell>
CellFunctions<Scalar> clocked_cell() {
  return {[](const CellForward<Scalar>& s) noexcept {
            run_clocked<kCellForward>(Base.table<Scalar>().cells[kCell].inputs, s);
          },
          [](const CellForward<Scalar>& s) noexcept {
            run_clocked<kCellForward>(Base.table<Scalar>().cells[kCell].forward, s);
          },
          [](const CellBackward<Scalar>& s) noexcept {
            run_clocked<kCellBackward>(Base.table<Scalar>().cells[kCell].backward, s);
          },
          Base.table<Scalar>().cells[kCell].finish_rows == nullptr
              ? nullptr
              : +[](const CellForward<Scalar>& s) noexcept {
                  run_clocked<kCellForward>(Base.table<Scalar>().cells[kCell].finish_rows, s);
                }};
}

template <const Kernels& Base, class Scalar, int... kCells>
void clock_cells(KernelTable<Scalar>& table, std::integer_sequence<int, kCells...>) {
  ((table.cells[kCells] = clocked_cell<Base, Scalar, kCells>()), ...);
}

template <const Kernels& Base, class Scalar>
KernelTable<Scalar> clocked_table() {
  using Table = KernelTable<Scalar>;
  Table table = Base.table<Scalar>();
  clock_cells<Base>(table, std::make_integer_sequence<int, kCellKernels>{});
  table.panel_gemm = Clocked<Base, kPanelGemm, &Table::panel_gemm>::run;
  table.outer_accumulate = Clocked<Base, kOuterAccumulate, &Table::outer_accumulate>::run;
  table.transpose = Clocked<Base, kTranspose, &Table::transpose>::run;
  table.adam = Clocked<Base, kOptimizer, &Table::adam>::run;
  table.sgd = Clocked<Base, kOptimizer, &Table::sgd>::run;
  table.rmsprop = Clocked<Base, kOptimizer, &Table::rmsprop>::run;
  return table;
}

template <const Kernels& Base>
const Kernels& clocked() {
  static const std::string name = std::string(Base.name) + "+clock";
  static const Kernels kernels = [] {
    Kernels copy = Base;
    copy.name = name.c_str();
    copy.float32 = clocked_table<Base, float>();
    copy.float64 = clocked_table<Base, double>();
    return copy;
  }();
  return kernels;
}

// NOLINTEND(readability-redundant-parentheses)

}  // namespace

std::vector<KernelTime> kernel_times() {
  std::vector<KernelTime> times;
  for (const Counter& counter : counters) {
    const auto nanoseconds = static_cast<double>(counter.nanoseconds.load());
    times.push_back({counter.name, counter.calls.load(), 1e-9 * nanoseconds});
  }
  return times;
}

const Kernels& with_clock(const Kernels& kernels) {
#ifdef LSTMCORE_X86_KERNELS
  if (&kernels == &kAvx512Kernels) return clocked<kAvx512Kernels>();
  if (&kernels == &kAvx2Kernels) return clocked<kAvx2Kernels>();
#endif
  if (&kernels == &kScalarKernels) return clocked<kScalarKernels>();
  throw std::invalid_argument(std::string(kernels.name) + " has a clock already");
}

}  // namespace lstmcore
