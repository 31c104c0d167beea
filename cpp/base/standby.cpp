#include "base/standby.hpp"

#include <pthread.h>
#include <sched.h>

#include <csignal>
#include <cstddef>
#include <new>
#include <system_error>
#include <thread>

#include "base/floating_point_mode.hpp"

namespace lstmcore {
namespace {

using Clock = StandbyThread::Clock;

// How long a thread spins for its next task.
constexpr auto kSpin = std::chrono::microseconds(100);

// Never destroyed: threads look at it until the process ends.
struct Process {
  StandbyThread threads[StandbyTeam::kMost];
  Clock::time_point last_return;
  std::atomic<int> n_threads{0};
  std::atomic<bool> lent{false};
  std::atomic<bool> lost_by_fork{false};
};

Process& process() noexcept {
  alignas(Process) static std::byte memory[sizeof(Process)];
  static auto* const it = ::new (static_cast<void*>(memory)) Process;
  return *it;
}

void note_fork_in_child() { process().lost_by_fork.store(true); }

void relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Signals are for the threads of the caller.
class BlockSignals {
 public:
  BlockSignals() noexcept {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &saved_);
  }
  ~BlockSignals() { pthread_sigmask(SIG_SETMASK, &saved_, nullptr); }
  BlockSignals(const BlockSignals&) = delete;
  BlockSignals& operator=(const BlockSignals&) = delete;

 private:
  sigset_t saved_;
};

}  // namespace

bool StandbyThread::offer(Task task, void* context) noexcept {
  int state = state_.load(std::memory_order_acquire);
  if (state != kFree && state != kDone) return false;
  task_ = task;
  context_ = context;
  // Fails where it goes to sleep at this moment.
  return state_.compare_exchange_strong(state, kOffered, std::memory_order_release,
                                        std::memory_order_relaxed);
}

StandbyThread::Outcome StandbyThread::outcome(Clock::duration patience) noexcept {
  int state = state_.load(std::memory_order_acquire);
  if (state == kOffered &&
      state_.compare_exchange_strong(state, kFree, std::memory_order_acquire)) {
    return Outcome::kNotBegun;
  }
  if (state != kAtWork) return Outcome::kDone;
  const Clock::time_point begin = Clock::now();
  while (Clock::now() - begin < patience) {
    for (int i = 0; i < 32; ++i) {
      if (state_.load(std::memory_order_acquire) != kAtWork) return Outcome::kDone;
      relax();
    }
  }
  return Outcome::kLate;
}

void StandbyThread::rest() noexcept {
  const Clock::time_point end = Clock::now() + kSpin;
  for (;;) {
    for (int i = 0; i < 128; ++i) {
      if (state_.load(std::memory_order_relaxed) == kOffered) return;
      relax();
    }
    if (Clock::now() < end) continue;
    int state = state_.load(std::memory_order_relaxed);
    if (state == kOffered) return;
    if (!state_.compare_exchange_strong(state, kAsleep, std::memory_order_relaxed)) continue;
    state_.wait(kAsleep, std::memory_order_relaxed);
    return;
  }
}

void StandbyThread::run() noexcept {
  const FlushDenormals mode;
  for (;;) {
    rest();
    int state = kOffered;
    if (!state_.compare_exchange_strong(state, kAtWork, std::memory_order_acquire,
                                        std::memory_order_relaxed)) {
      continue;
    }
    task_(context_);
    state_.store(kDone, std::memory_order_release);
  }
}

void StandbyThread::wake() noexcept {
  state_.store(kFree, std::memory_order_relaxed);
  state_.notify_one();
}

void StandbyThread::wait_until_idle() const noexcept {
  while (state_.load(std::memory_order_acquire) == kAtWork) sched_yield();
}

StandbyTeam::StandbyTeam(int wanted, bool worth_waking) noexcept {
  Process& here = process();
  if (wanted < 1 || here.lost_by_fork.load(std::memory_order_relaxed) ||
      here.lent.exchange(true, std::memory_order_acquire)) {
    return;
  }
  size_ = wanted < kMost ? wanted : kMost;
  int n_threads = here.n_threads.load(std::memory_order_relaxed);
  if (n_threads < size_) {
    if (n_threads == 0) pthread_atfork(nullptr, nullptr, note_fork_in_child);
    const BlockSignals blocked;
    try {
      for (; n_threads < size_; ++n_threads) {
        std::thread(&StandbyThread::run, &here.threads[n_threads]).detach();
      }
    } catch (const std::system_error&) {
      size_ = n_threads;  // no more to be had
    }
    here.n_threads.store(n_threads, std::memory_order_relaxed);
  }
  if (!worth_waking && Clock::now() - here.last_return > kSpin) return;
  for (int i = 0; i < size_; ++i) {
    if (here.threads[i].asleep()) here.threads[i].wake();
  }
}

StandbyTeam::~StandbyTeam() {
  if (size_ == 0) return;
  Process& here = process();
  here.last_return = Clock::now();
  here.lent.store(false, std::memory_order_release);
}

StandbyThread& StandbyTeam::operator[](int i) const noexcept { return process().threads[i]; }

void StandbyTeam::wait_until_idle() noexcept {
  Process& here = process();
  if (here.lost_by_fork.load(std::memory_order_relaxed)) return;
  const int n_threads = here.n_threads.load(std::memory_order_relaxed);
  for (int i = 0; i < n_threads; ++i) here.threads[i].wait_until_idle();
}

}  // namespace lstmcore
