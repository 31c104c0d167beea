// Threads: the one place that knows OpenMP is parallel.cpp.
//
// One region per call into the core, however many batches, layers or steps it has. Inside, one
// thread leads and runs the program; whenever it comes to each(n, body) the others help. Items are
// claimed one by one, so nobody waits for a helper that the operating system has not scheduled: the
// leader waits only for items that were claimed and are not finished. A barrier would wait for
// every thread to arrive, and on a busy machine that is a time slice, thousands of times the work.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

#include "base/index.hpp"

namespace lstmcore {

class Workers {
 public:
  explicit Workers(int size) noexcept : size_(size) {}
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // The number of threads, the leader's among them.
  int size() const noexcept { return size_; }

  // Runs body(item) once for every item of [0, n_items), in any order on any thread, and returns
  // when all are done. body must not throw nor call each, and no bit of its result may depend on
  // who runs it.
  template <class Body>
  void each(Index n_items, Body&& body) noexcept {
    if (size_ == 1 || n_items == 1) {
      for (Index item = 0; item < n_items; ++item) body(item);
      return;
    }
    using Plain = std::remove_reference_t<Body>;
    lead(
        n_items, [](Index item, void* context) { (*static_cast<Plain*>(context))(item); },
        const_cast<void*>(static_cast<const void*>(std::addressof(body))));
  }

  // Runs body(begin, end) over [0, n) cut into as many pieces as there are threads, each but the
  // last a multiple of `grain` long.
  template <class Body>
  void each_range(Index n, Index grain, Body&& body) noexcept {
    const Index grains = ceil_div(n, grain);
    const Index pieces = grains < size_ ? grains : size_;
    each(pieces, [&](Index piece) {
      const Index begin = grains * piece / pieces * grain;
      const Index end = grains * (piece + 1) / pieces * grain;
      body(begin, end < n ? end : n);
    });
  }

  // Runs body(cuts[i], cuts[i + 1]) for every i.
  template <class Body>
  void each_between(const std::vector<Index>& cuts, Body&& body) noexcept {
    each(static_cast<Index>(cuts.size()) - 1, [&](Index i) {
      body(cuts[static_cast<std::size_t>(i)], cuts[static_cast<std::size_t>(i) + 1]);
    });
  }

 private:
  friend class Region;
  using Item = void (*)(Index, void*);

  void lead(Index n_items, Item body, void* context) noexcept;
  void lead_some(Index first, Index n_items, Item body, void* context) noexcept;
  void help(int thread) noexcept;  // until dismiss()
  void dismiss() noexcept;
  bool run_one(int thread) noexcept;  // claims and runs an item of the task, if one is left

  // A task is a set of items that nobody has claimed yet, a bit for each: to clear one is to claim
  // it, and from then on the task stays until the item is done. A thread takes the item of its own
  // number if it can: where each step of many has the same items, it finds in its cache what they
  // read at the step before. A step of two threads takes 87 us in the place of 95 with items that
  // were handed out in their order (T 25 N 4 I 512 H 512, Zen 4, 2026-11).
  static constexpr Index kMostItems = 64;
  alignas(64) std::atomic<std::uint64_t> unclaimed_{0};
  Item body_ = nullptr;
  void* context_ = nullptr;
  Index first_ = 0;
  int size_;
  std::atomic<bool> dismissed_{false};
  alignas(64) std::atomic<Index> n_helped_{0};  // items that helpers have done, of all tasks
  alignas(64) Index n_left_ = 0;                // and those that the leader has left to them
};

namespace detail {
void run_with_workers(int n_threads, void (*program)(Workers&, void*), void* context);
}

// Runs program(workers) on this thread with up to n_threads - 1 helpers, denormals flushed in all.
// What the program throws, outside of each, arrives at the caller. In a child that was forked after
// helpers had been started it runs alone: OpenMP's threads do not exist there, and waiting for them
// would hang.
template <class Program>
void run_with_workers(int n_threads, Program&& program) {
  using Plain = std::remove_reference_t<Program>;
  detail::run_with_workers(
      n_threads, [](Workers& workers, void* context) { (*static_cast<Plain*>(context))(workers); },
      const_cast<void*>(static_cast<const void*>(std::addressof(program))));
}

// The number of threads OpenMP would start now: the processor affinity, OMP_NUM_THREADS and
// threadpoolctl's limit all count.
int max_threads() noexcept;

// "OpenMP 4.5" and the like.
const char* threading_description() noexcept;

}  // namespace lstmcore
