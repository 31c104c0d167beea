// Threads that stand by for calls too short for an OpenMP region: a step of a few microseconds.
//
// What is offered to one of them it may take or not. The caller does its own part meanwhile, takes
// back what has not been begun by then, and does not wait long for what has: a thread that the
// operating system has put aside in the middle of its work would cost a time slice, a thousand
// steps. So a thread works on memory of its own, and what it finishes too late is of no account.
//
// A thread is started by the first call that wants it, never by an import. It spins for a while
// after each task and then sleeps. Nobody waits for one to wake up: it is woken for the next call
// where calls come fast or take longer than that, and left alone where they don't. In a child that
// was forked there are none.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace lstmcore {

class StandbyThread {
 public:
  using Task = void (*)(void* context) noexcept;
  using Clock = std::chrono::steady_clock;

  StandbyThread() = default;
  StandbyThread(const StandbyThread&) = delete;
  StandbyThread& operator=(const StandbyThread&) = delete;

  // Whether it neither sleeps nor is still at work on what it has been offered before.
  bool free() const noexcept {
    const int state = state_.load(std::memory_order_acquire);
    return state == kFree || state == kDone;
  }
  // Offers it task(context), which runs with denormals flushed, if it is free.
  bool offer(Task task, void* context) noexcept;
  // What has become of what it was offered. Waits, if it is at work, for at most `patience`. What
  // it has not begun by now it never will: the caller has to.
  enum class Outcome : std::uint8_t { kDone, kLate, kNotBegun };
  Outcome outcome(Clock::duration patience) noexcept;

 private:
  friend class StandbyTeam;
  // An int, for the system can wait for no other: NOLINTNEXTLINE(performance-enum-size)
  enum State : int { kFree, kOffered, kAtWork, kDone, kAsleep };

  void run() noexcept;
  void rest() noexcept;  // until something is offered
  // Who wakes it has seen all that it did before it slept: free() no longer tells of that.
  bool asleep() const noexcept { return state_.load(std::memory_order_acquire) == kAsleep; }
  void wake() noexcept;
  void wait_until_idle() const noexcept;

  alignas(64) std::atomic<int> state_{kFree};
  Task task_ = nullptr;
  void* context_ = nullptr;
};

// The threads that stand by in this process, lent to one call at a time.
class StandbyTeam {
 public:
  static constexpr int kMost = 15;

  // As many as can be had, up to `wanted`: none while another call has them. Those that sleep are
  // woken if the call before this one was just now, or this one is `worth_waking` for.
  StandbyTeam(int wanted, bool worth_waking) noexcept;
  ~StandbyTeam();
  StandbyTeam(const StandbyTeam&) = delete;
  StandbyTeam& operator=(const StandbyTeam&) = delete;

  int size() const noexcept { return size_; }
  StandbyThread& operator[](int i) const noexcept;

  // Waits until every thread has done with what it was offered so far: before memory is given back
  // or written that a thread may still read.
  static void wait_until_idle() noexcept;

 private:
  int size_ = 0;
};

}  // namespace lstmcore
