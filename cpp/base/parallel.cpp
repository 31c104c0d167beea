#include "base/parallel.hpp"

#include <omp.h>
#include <pthread.h>
#include <sched.h>

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

bool Workers::run_one() noexcept {
  std::uint64_t claim = claim_.load(std::memory_order_acquire);
  for (;;) {
    const auto item = static_cast<Index>(claim & ((std::uint64_t{1} << kItemBits) - 1));
    if (item >= n_items_.load(std::memory_order_acquire)) return false;
    const Item body = body_.load(std::memory_order_relaxed);
    void* context = context_.load(std::memory_order_relaxed);
    // Success says that the task was still this one, and then it stays until the item is done:
    // what was read of it is right.
    if (claim_.compare_exchange_weak(claim, claim + 1, std::memory_order_acq_rel,
                                     std::memory_order_acquire)) {
      body(item, context);
      n_done_.fetch_add(1, std::memory_order_release);
      return true;
    }
  }
}

void Workers::lead(Index n_items, Item body, void* context) noexcept {
  // Between tasks all items are claimed: nobody can claim while the next one is written down.
  n_items_.store(0, std::memory_order_relaxed);
  n_done_.store(0, std::memory_order_relaxed);
  const std::uint64_t task = (claim_.load(std::memory_order_relaxed) >> kItemBits) + 1;
  claim_.store(task << kItemBits, std::memory_order_release);
  body_.store(body, std::memory_order_relaxed);
  context_.store(context, std::memory_order_relaxed);
  n_items_.store(n_items, std::memory_order_release);
  while (run_one()) {
  }
  Patience patience;
  while (n_done_.load(std::memory_order_acquire) < n_items) patience.wait();
}

void Workers::help() noexcept {
  Patience patience;
  while (!dismissed_.load(std::memory_order_acquire)) {
    if (run_one()) {
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
  static void help(Workers& workers) noexcept { workers.help(); }
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
      Region::help(workers);
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
