#include "base/parallel.hpp"

#include <omp.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <bit>
#include <exception>

#include "base/floating_point_mode.hpp"

namespace lstmcore {
namespace {

std::atomic<bool> pool_started{false};
std::atomic<bool> pool_lost_by_fork{false};

void note_fork_in_child() {
  if (pool_started.load()) pool_lost_by_fork.store(true);
}

void remember_pool() {
  if (!pool_started.exchange(true)) pthread_atfork(nullptr, nullptr, note_fork_in_child);
}

// Waits a little longer each time it is asked: first spinning, then giving the processor away.
class Patience {
 public:
  void wait() noexcept {
    if (++waited_ < kSpins) {
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    } else {
      sched_yield();
    }
  }

 private:
  // About 50 microseconds on a Zen 4 (2026-11): longer than any gap between two tasks of a batch.
  static constexpr int kSpins = 2000;
  int waited_ = 0;
};

}  // namespace

bool Workers::run_one(int thread) noexcept {
  std::uint64_t unclaimed = unclaimed_.load(std::memory_order_relaxed);
  while (unclaimed != 0) {
    const std::uint64_t own = std::uint64_t{1} << (thread % kMostItems);
    const std::uint64_t item = (unclaimed & own) != 0 ? own : unclaimed & (~unclaimed + 1);
    if (unclaimed_.compare_exchange_weak(unclaimed, unclaimed & ~item, std::memory_order_acquire,
                                         std::memory_order_relaxed)) {
      body_(first_ + std::countr_zero(item), context_);
      return true;
    }
  }
  return false;
}

void Workers::lead(Index n_items, Item body, void* context) noexcept {
  for (Index first = 0; first < n_items; first += kMostItems) {
    lead_some(first, std::min(n_items - first, kMostItems), body, context);
  }
}

void Workers::lead_some(Index first, Index n_items, Item body, void* context) noexcept {
  // All items of the task before have been claimed and done: nobody reads these.
  body_ = body;
  context_ = context;
  first_ = first;
  // The first item is the leader's own without a claim.
  unclaimed_.store((~std::uint64_t{0} >> (kMostItems - n_items)) & ~std::uint64_t{1},
                   std::memory_order_release);
  body(first, context);
  Index n_done = 1;
  while (run_one(0)) ++n_done;
  n_left_ += n_items - n_done;
  Patience patience;
  while (n_helped_.load(std::memory_order_acquire) != n_left_) patience.wait();
}

void Workers::help(int thread) noexcept {
  Patience patience;
  while (!dismissed_.load(std::memory_order_acquire)) {
    if (run_one(thread)) {
      n_helped_.fetch_add(1, std::memory_order_release);
      patience = Patience();
    } else {
      patience.wait();
    }
  }
}

void Workers::dismiss() noexcept { dismissed_.store(true, std::memory_order_release); }

// Lends the private ends of Workers to the region below.
class Region {
 public:
  static void help(Workers& workers, int thread) noexcept { workers.help(thread); }
  static void dismiss(Workers& workers) noexcept { workers.dismiss(); }
};

void detail::run_with_workers(int n_threads, void (*program)(Workers&, void*), void* context) {
  if (n_threads <= 1 || pool_lost_by_fork.load(std::memory_order_relaxed)) {
    const FlushDenormals mode;
    Workers alone(1);
    program(alone, context);
    return;
  }
  remember_pool();
  Workers workers(n_threads);
  std::exception_ptr failure;  // nothing may leave an OpenMP region by throwing
#pragma omp parallel num_threads(n_threads)
  {
    const FlushDenormals mode;
    if (omp_get_thread_num() == 0) {
      try {
        program(workers, context);
      } catch (...) {
        failure = std::current_exception();
      }
      Region::dismiss(workers);
    } else {
      Region::help(workers, omp_get_thread_num());
    }
  }
  if (failure) std::rethrow_exception(failure);
}

int max_threads() noexcept { return omp_get_max_threads(); }

const char* threading_description() noexcept {
#if _OPENMP >= 202111
  return "OpenMP 5.2";
#elif _OPENMP >= 202011
  return "OpenMP 5.1";
#elif _OPENMP >= 201811
  return "OpenMP 5.0";
#else
  return "OpenMP 4.5";
#endif
}

}  // namespace lstmcore
